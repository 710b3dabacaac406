"""Any number of inputs and outputs, with every output neuron and loss: gradients against finite differences, kernels against
the reference. Tables of names and of what the network hears of its own outputs.
"""

import itertools

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.losses import log_loss_of, loss_of
from learning_to_learn.topology import Network
from tests.engine.test_kernels import FLOAT64, compare
from tests.helpers import random_case

LAYERS = [{"memory_cell": 2, "neuron": 1}]
JORDAN = [{"neuron": 3, "recurrent": False, "feedback": True}]
SHAPES = {
    "series_of_classes": {"inputs": 3, "outputs": 3, "kind": "softmax", "loss": "log"},
    "two_linear": {"inputs": 7, "outputs": 2, "kind": "linear", "loss": "squared"},
    "two_truths": {"inputs": 4, "outputs": 2, "kind": "logistic", "loss": "log"},
    "one_truth": {"inputs": 1, "outputs": 1, "kind": "logistic", "loss": "log"},
    "one_linear": {"inputs": 2, "outputs": 1, "kind": "linear", "loss": "squared"},
    "brier": {"inputs": 4, "outputs": 3, "kind": "softmax", "loss": "squared"},
}
FEEDBACK = {"none": {}, "error": {"error_feedback": True}, "jordan": {}}


def net_of(shape, feedback="none"):
    return Network.of(JORDAN if feedback == "jordan" else LAYERS, **SHAPES[shape], **FEEDBACK[feedback])


@pytest.mark.parametrize("feedback", FEEDBACK)
@pytest.mark.parametrize("shape", SHAPES)
def test_bptt_and_rtrl_against_finite_differences(shape, feedback):
    net = net_of(shape, feedback)
    parameters, x, target = random_case(net, batch=2, length=5)
    step = 1e-5
    nudges = step * torch.eye(net.parameters, dtype=torch.float64)
    inputs, wanted = (v.expand(net.parameters, *v.shape[1:]) for v in (x, target))
    up, down = (
        loss_of(net.forward(parameters + sign * nudges, inputs)[0], wanted, net.kind, net.loss).mean((1, 2)) for sign in (1, -1)
    )
    for name in ("bptt", "rtrl"):
        found = make_gradient(name).segment(net, parameters, x, target, None).gradient[0]
        torch.testing.assert_close(found, (up - down) / (2 * step), rtol=0, atol=1e-9)


COMPILED = {("brier", "bptt", "none"), ("two_truths", "rtrl", "none")}
"""Those of `make test`: every kernel takes long to compile."""


@pytest.mark.parametrize(
    ("shape", "gradient", "feedback"),
    [
        pytest.param(*case, marks=[] if case in COMPILED else pytest.mark.slow)
        for case in itertools.product(SHAPES, ["bptt", "truncated", "rtrl"], FEEDBACK)
    ],
)
def test_kernels_against_the_reference(shape, gradient, feedback):
    net, algorithm = net_of(shape, feedback), make_gradient(gradient)
    parameters, x, target = random_case(net, replicas=2, batch=19, length=21)
    fused = make_engine("fused", net, algorithm, dtype=torch.float64, keep=True)
    reference = make_engine("reference", net, algorithm)
    one = other = None
    for piece in (slice(0, 18), slice(18, 21)):  # more than a slab, then the rest of the sequence
        one = fused.segment(parameters, x[:, :, piece], target[:, :, piece], one and one.carry)
        other = reference.segment(parameters, x[:, :, piece], target[:, :, piece], other and other.carry)
        compare(one.outputs, other.outputs, FLOAT64)
        compare(one.carry.state, other.carry.state, FLOAT64)
        worst = other.gradient.abs().max()
        compare(one.gradient / worst, other.gradient / worst, FLOAT64)
    compare(fused.outputs(parameters, x)[0], reference.outputs(parameters, x)[0], FLOAT64)


def test_a_certain_wrong_answer_still_has_its_gradient():
    """Where float32 rounds a probability to 0 or 1, the log loss's derivative by the pre-activation is f - y all the same."""
    for shape in ("one_truth", "series_of_classes"):
        net = net_of(shape)
        parameters, x, target = random_case(net, batch=2, length=3, dtype=torch.float32)
        parameters[:, -1] = 60.0  # the last bias
        target = torch.zeros_like(target)
        target[..., 0] = float(net.outputs > 1)
        for engine in ("fused", "reference"):
            found = make_engine(engine, net, make_gradient("bptt")).segment(parameters, x, target).gradient
            assert found[0, -1].item() == pytest.approx(1.0, abs=1e-5)


def test_the_log_loss_of_pre_activations_is_that_of_the_outputs():
    z, truth = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)
    torch.testing.assert_close(log_loss_of(z, truth, "logistic"), loss_of(z.sigmoid(), truth, "logistic", "log"))
    classes = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 1, 0]]
    torch.testing.assert_close(log_loss_of(z, classes, "softmax"), loss_of(z.softmax(-1), classes, "softmax", "log"))


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_targets_of_another_shape_are_refused(engine):
    net = net_of("two_linear")
    parameters, x, target = random_case(net, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"they must be \(1, 3, 7, 2\)"):
        make_engine(engine, net, make_gradient("bptt")).segment(parameters, x, target[..., 0])
