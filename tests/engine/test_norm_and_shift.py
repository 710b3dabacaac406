"""The options `norm` and `shift` of a layer: against torch's own functions, between the engines, and for every gradient."""

import warnings

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.fused import Fused
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
from learning_to_learn.topology.norms import EPSILON, normalised
from tests.engine.interpret import interpret
from tests.engine.test_kernels import FLOAT32, FLOAT64, compare
from tests.engine.test_wiring import hold_to_the_reference, register_own
from tests.helpers import random_case

LAYERS = {
    "both": [{"neuron": 3, "shift": 3, "norm": "layer"}, {"gru": 3, "residual": True, "norm": "rms", "shift": 2}],
    "heads": [{"neuron": 4, "norm": "rms"}, {"neuron": 4, "heads": 4, "residual": True, "norm": "layer"}],
    "groups": [{"delta_rule": {"count": 2, "width": 3}, "shift": 4, "norm": "rms"}],
}
SLOW = pytest.mark.slow


MORE = [(name, gradient, None, update) for name in LAYERS for gradient in ("bptt", "truncated") for update in (None, 5)]


@pytest.mark.parametrize(
    ("name", "gradient", "window", "update"), [("both", "bptt", 3, None), *(pytest.param(*one, marks=SLOW) for one in MORE)]
)
@pytest.mark.parametrize("error_feedback", [True, pytest.param(False, marks=SLOW)])
def test_kernels(name, gradient, window, update, error_feedback):
    net, algorithm = Network.of(LAYERS[name], error_feedback=error_feedback), make_gradient(gradient, window=window)
    hold_to_the_reference(net, algorithm, replicas=3, batch=5, length=13, split=6, update=update)


SCALAR = {
    "both": LAYERS["both"],
    "heads": LAYERS["heads"],
    "alone": [{"min_gru": 3, "norm": "layer", "shift": 2}],
    "alone, and heard by itself": [{"neuron": 3, "shift": 2}, {"independent_neuron": 2, "forget_cell": 1, "norm": "rms"}],
    "every layer is heard by the output": [
        {"neuron": 3, "norm": "rms"},
        {"min_gru": 3, "residual": True},
        {"neuron": 3, "residual": True, "recurrent": False, "norm": "layer"},
    ],
    "sums of several, below a shift": [
        {"own_numbers": 2, "heads": 2, "norm": "rms"},
        {"min_gru": 2, "neuron": 2, "heads": 2, "residual": True, "norm": "layer"},
        {"linear_recurrent": 1, "gru": 2, "residual": True},
        {"neuron": 2, "memory_cell": 2, "shift": 3, "residual": True, "norm": "rms"},
    ],
    "not recurrent": [{"own_numbers": 1, "neuron": 2, "recurrent": False, "norm": "layer"}, {"gru": 3, "shift": 3, "heads": 3}],
    "one unit": [{"neuron": 1, "shift": 2, "norm": "rms"}, {"neuron": 1, "shift": 2}],
}
"""Layers that rtrl can run, which vector units are not in."""
LAST = {"outputs": 2, "kind": "linear"}
ENDS = {
    "": {},
    "error feedback": {"error_feedback": True},
    "outputs": LAST,
    "outputs, error feedback": {**LAST, "error_feedback": True},
    "outputs, feedback": {**LAST, "feedback": True},
    "softmax, feedback": {"outputs": 3, "kind": "softmax", "feedback": True},
    "log loss, error feedback": {"outputs": 2, "loss": "log", "error_feedback": True},
    "softmax, log loss": {"outputs": 2, "kind": "softmax", "loss": "log"},
}
"""How a network ends. `feedback` is an option of its first layer."""


def network_of(name, end):
    register_own()
    options = dict(ENDS[end])
    first, *others = SCALAR[name]
    return Network.of([{**first, "feedback": options.pop("feedback", False)}, *others], **options)


@pytest.mark.parametrize(
    ("name", "end"),
    [("one unit", "log loss, error feedback"), *((name, end) for name in SCALAR for end in ("", "outputs, error feedback"))]
    + [pytest.param(name, "outputs, feedback", marks=SLOW) for name in SCALAR],
)
def test_what_is_printed_for_rtrl(name, end):
    """Not compiled, which takes longer: the gradient over a sequence is that of bptt."""
    net = network_of(name, end)
    case = random_case(net, batch=5, length=5)
    expected = make_gradient("bptt").segment(net, *case, None)
    found, gradient = interpret(net, "rtrl", *case)
    compare(found, expected.outputs, FLOAT64)
    compare(gradient, expected.gradient, FLOAT64)


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", SCALAR)
def test_rtrl_kernels(name, end):
    hold_to_the_reference(network_of(name, end), make_gradient("rtrl"), replicas=2, batch=5, length=7, split=3)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name == "alone" else SLOW) for name in SCALAR])
def test_weights_may_change_within_a_sequence(name):
    """With the sensitivities of the weights that were, as the reference engine keeps them."""
    net = network_of(name, "")
    parameters, x, target = random_case(net, replicas=2, batch=5, length=8)
    fused = make_engine("fused", net, make_gradient("rtrl"), dtype=torch.float64, keep=True)
    reference = make_engine("reference", net, make_gradient("rtrl"))
    one = other = None
    for start in range(0, 8, 2):
        piece = slice(start, start + 2)
        one = fused.segment(parameters, x[:, :, piece], target[:, :, piece], one and one.carry)
        other = reference.segment(parameters, x[:, :, piece], target[:, :, piece], other and other.carry)
        compare(one.outputs, other.outputs, FLOAT64)
        compare(one.gradient, other.gradient, FLOAT64)
        parameters = parameters - 0.1 * other.gradient


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(torch.float64, FLOAT64, id="f64"), pytest.param(torch.float32, FLOAT32, id="f32", marks=SLOW)],
)
@pytest.mark.parametrize("name", ["alone", *(pytest.param(name, marks=SLOW) for name in SCALAR if name != "alone")])
def test_rtrl_is_bptt_over_a_sequence(name, dtype, tolerance):
    net = network_of(name, "")
    case = random_case(net, replicas=2, batch=2, length=6)
    expected = make_engine("reference", net, make_gradient("bptt")).segment(*case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine = make_engine("auto", net, make_gradient("rtrl"), dtype=dtype)
    assert isinstance(engine, Fused)
    compare(engine.segment(*(values.to(dtype) for values in case)).gradient, expected.gradient, tolerance)


def test_the_norms_are_those_of_torch():
    h = torch.randn(4, 7, dtype=torch.float64)
    for norm, of_torch in (("rms", torch.nn.functional.rms_norm), ("layer", torch.nn.functional.layer_norm)):
        compare(normalised(norm, h), of_torch(h, (7,), eps=EPSILON), 1e-12)


def test_a_shift_is_a_causal_convolution_and_starts_as_none():
    """Against torch's depthwise convolution; then the initial weights, with which the layer hears what it would without."""
    net = Network.of([{"linear_neuron": 3, "recurrent": False, "shift": 4}], kind="linear", outputs=3)
    parameters, x, _ = random_case(net, replicas=1, batch=2, length=9)
    shift, mixing, readout = net.split(parameters)
    scale = shift.matrix[0, :, :3].diagonal()
    taps = torch.stack([scale, *(scale * tap for tap in shift.numbers[0].view(3, 3))], 1)
    weight = taps.flip(1).unsqueeze(1)
    past = torch.nn.functional.pad(x[0].mT, (3, 0))
    heard = torch.nn.functional.conv1d(past, weight, groups=3).mT
    for layer in (mixing, readout):
        heard = torch.nn.functional.linear(heard, layer.matrix[0, :, :3], layer.matrix[0, :, -1])
    compare(net.forward(parameters, x)[0][0], heard, 1e-12)


def test_a_network_with_shift_starts_as_the_one_without():
    from learning_to_learn.topology.initial import initial_parameters

    net, plain = Network.of([{"neuron": 3, "shift": 4}]), Network.of([{"neuron": 3}])
    parameters, x, _ = random_case(net, replicas=1, batch=2, length=9)
    parameters = initial_parameters(net, [7]).double()
    own = net.layers[0].parameters
    compare(net.forward(parameters, x)[0], plain.forward(parameters[:, own:], x)[0], 1e-12)
    assert own == 3 * 4


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"neuron": 2, "norm": "batch"}], "norm: 'batch'; choose one of rms, layer"),
        ([{"neuron": 2, "norm": True}], "norm: True; choose one of rms, layer"),
        ([{"neuron": 2, "shift": 0}], "shift: 0; it must be a whole number >= 1"),
        ([{"neuron": 2, "shift": 2.5}], "shift: 2.5; it must be a whole number >= 1"),
        ([{"neuron": 2, "shift": 2, "feedback": "last_layer"}, {"neuron": 2}], "does not go with shift"),
    ],
)
def test_what_does_not_fit_is_refused(layers, message):
    with pytest.raises(UserError, match=message):
        Network.of(layers)


def test_what_a_network_is_called():
    assert (
        Network.of(LAYERS["both"]).describe() == "H1: 3 neuron (layer norm, shift 3); H2: 3 gru (residual, rms norm, shift 2)"
    )
