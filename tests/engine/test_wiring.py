"""Kernels of layers that are not fully connected, and of units with numbers, outputs and initial states of their own."""

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.fused import print_kernel
from learning_to_learn.gradients import Carry, make_gradient
from learning_to_learn.topology import Network, Trained, Uniform, unit
from tests.engine.test_kernels import FLOAT64, compare
from tests.helpers import SCALAR_UNITS, random_case


def register_own():
    @unit(states=2, outputs=2, initial={"v": Trained(Uniform(0.2, 0.4)), "w": 0.7})
    def own_numbers(z, v, w, *, a=0.5, b=0.2):
        v = torch.tanh(a) * v + z
        return torch.tanh(v) * b, w * v, v, 0.5 * w + a * v


WIRINGS = {
    "heads": ([{"gru": 4, "neuron": 2, "heads": 2, "feedback": True}, {"neuron": 3, "recurrent": False}], False),
    "residual": ([{"neuron": 2}, {"neuron": 2, "residual": True, "recurrent": False}, {"neuron": 2, "residual": True}], True),
    "not_recurrent_first": ([{"linear_recurrent": 2}, {"own_numbers": 3}], True),
}


@pytest.mark.parametrize(
    "gradient_name", ["bptt", *(pytest.param(name, marks=pytest.mark.slow) for name in ("truncated", "rtrl"))]
)  # printed kernels of rtrl are interpreted in test_structure.py, which costs less than compiling them
@pytest.mark.parametrize("wiring", WIRINGS)
def test_wirings(wiring, gradient_name):
    register_own()
    layers, error_feedback = WIRINGS[wiring]
    hold_to_the_reference(Network.of(layers, error_feedback=error_feedback), make_gradient(gradient_name))


@pytest.mark.slow
@pytest.mark.parametrize("gradient_name", ["bptt", "truncated", "rtrl"])
@pytest.mark.parametrize("options", [{}, {"heads": 3}, {"recurrent": False}], ids=["", "heads", "not_recurrent"])
@pytest.mark.parametrize("name", SCALAR_UNITS)
def test_every_unit_in_every_wiring(name, options, gradient_name):
    hold_to_the_reference(Network.of([{name: 3, **options}, {"neuron": 1}]), make_gradient(gradient_name))


def hold_to_the_reference(net, gradient, *, replicas=2, batch=19, length=7, split=3, update=None):
    """A sequence in two segments, then one from a state that is given without its history."""
    fused = make_engine("fused", net, gradient, dtype=torch.float64, keep=True, batch=update)
    reference = make_engine("reference", net, gradient)
    parameters, x, target = random_case(net, replicas=replicas, batch=batch, length=length)
    one = other = None
    for piece in (slice(0, split), slice(split, length)):
        one = fused.segment(parameters, x[:, :, piece], target[:, :, piece], one and one.carry)
        other = reference.segment(parameters, x[:, :, piece], target[:, :, piece], other and other.carry)
        compare(one.outputs, other.outputs, FLOAT64)
        compare(one.gradient, other.gradient, FLOAT64)
        compare(one.carry.state, other.carry.state, FLOAT64)
    given = Carry(other.carry.state)
    one, other = (engine.segment(parameters, x, target, given) for engine in (fused, reference))
    compare(one.gradient, other.gradient, FLOAT64)


@pytest.mark.parametrize("window", [None, 3])
def test_a_trained_initial_state_gets_its_gradient(window):
    """Against autograd through the initial state, which only the first window reaches."""
    register_own()
    net, gradient = Network.of([{"own_numbers": 2}]), make_gradient("bptt", window=window)
    parameters, x, target = random_case(net, batch=17, length=8)
    leaf = parameters.clone().requires_grad_()
    state, total = None, 0.0
    for start in range(0, 8, window or 8):
        piece = slice(start, start + (window or 8))
        outputs, state = net.forward(leaf, x[:, :, piece], state)
        total = total + (outputs - target[:, :, piece]).square().sum() / (17 * 8)
        state = state.detach()
    total.backward()
    for name in ("fused", "reference"):
        found = make_engine(name, net, gradient, dtype=torch.float64).segment(parameters, x, target).gradient
        torch.testing.assert_close(found, leaf.grad, rtol=0, atol=1e-12)
    start = net.layers[0].blocks[0].numbers()[-1]
    places = slice(net.layers[0].weights + start.start, net.layers[0].weights + start.stop)
    assert (leaf.grad[:, places] != 0).all()


@pytest.mark.parametrize("gradient_name", ["bptt", "rtrl"])
@pytest.mark.parametrize("name", SCALAR_UNITS)
def test_every_unit_can_be_printed(name, gradient_name):
    assert "def block" in print_kernel(Network.of([{name: 2}]), make_gradient(gradient_name))


def test_what_depends_on_numbers_alone_is_computed_once():
    source = print_kernel(Network.of([{"linear_recurrent": 2}]), make_gradient("bptt"))
    before, loop = source.partition("def block")[2].split("for cycle in range(steps):")
    for function in ("exp(", "cos(", "sin(", "sqrt("):
        assert function in before
        assert function not in loop


def test_what_a_layer_does_not_have_is_not_printed():
    """No weights from itself, no sources from the cycle before."""
    source = print_kernel(Network.of([{"min_gru": 4}]), make_gradient("bptt"))
    assert "outputs0_next +" not in source
    assert source.count("outer(gradient") == 2  # the layer's one matrix and the output neuron's
