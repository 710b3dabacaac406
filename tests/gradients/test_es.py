"""Evolution strategies against the gradient that they estimate, and against losses that are known."""

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import Carry, make_gradient
from learning_to_learn.topology import Network
from tests.helpers import network, random_case


def test_the_estimate_approaches_the_gradient():
    """With P parameters and n pairs, the expected squared error of the estimate is about (P + 1) / n of |gradient|^2."""
    net = network("neurons")
    parameters, x, target = random_case(net, replicas=2, batch=4, length=6)
    true = make_gradient("bptt").segment(net, parameters, x, target, None)
    pairs = 4000
    found = make_gradient("es", population=2 * pairs, deviation=1e-3).segment(net, parameters, x, target, None)
    error = (found.gradient - true.gradient).norm(dim=1) / true.gradient.norm(dim=1)
    assert (error < 2 * ((net.parameters + 1) / pairs) ** 0.5).all()
    torch.testing.assert_close(found.outputs, true.outputs, rtol=0, atol=0)
    torch.testing.assert_close(found.carry.state, true.carry.state, rtol=0, atol=0)


def test_both_engines_make_the_same_estimate_and_replicas_are_independent():
    net, gradient = network("cells"), make_gradient("es", population=6)
    parameters, x, target = random_case(net, replicas=3, batch=3, length=5)
    state = net.forward(parameters, x)[1]
    for carry in (None, Carry(state)):
        expected = make_engine("reference", net, gradient).segment(parameters, x, target, carry)
        found = make_engine("fused", net, gradient, dtype=torch.float64).segment(parameters, x, target, carry)
        torch.testing.assert_close(found.gradient, expected.gradient, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.outputs, expected.outputs, rtol=0, atol=1e-13)
        alone = None if carry is None else Carry(state[1:2])
        second = gradient.segment(net, parameters[1:2], x[1:2], target[1:2], alone)
        torch.testing.assert_close(second.gradient[0], expected.gradient[1], rtol=0, atol=0)


def test_the_noise_repeats_for_the_same_weights_and_data_and_for_no_others():
    net, gradient = network("neurons"), make_gradient("es", population=4)
    parameters, x, target = random_case(net)
    first, again = (gradient.segment(net, parameters, x, target, None).gradient for _ in range(2))
    assert torch.equal(first, again)
    moved = gradient.segment(net, parameters, x + 1e-6, target, None).gradient
    assert (moved - first).abs().max() > 1e-3 * first.abs().max()


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [("es", {"population": 7}, "even"), ("bptt", {"population": 8}, "only es"), ("es", {"window": 3}, "window")],
)
def test_settings_that_an_algorithm_has_not_are_refused(name, settings, says):
    with pytest.raises(UserError, match=says):
        make_gradient(name, **settings)


def test_no_gradient_is_zero_and_runs_the_network():
    net = Network.of([{"neuron": 2}])
    parameters, x, target = random_case(net)
    found = make_gradient("none").segment(net, parameters, x, target, None)
    assert not found.gradient.any()
    torch.testing.assert_close(found.outputs, net.forward(parameters, x)[0], rtol=0, atol=0)
