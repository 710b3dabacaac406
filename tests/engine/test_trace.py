"""A user's own unit is fused; what cannot be is named, and runs on the reference engine."""

import warnings

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.trace import UnsupportedOperation
from learning_to_learn.gradients import Gradient, Segment, make_gradient
from learning_to_learn.topology import UNITS, Network, Unit, unit
from tests.engine.test_kernels import FLOAT64, compare
from tests.helpers import random_case


@pytest.mark.parametrize("gradient_name", ["bptt", "truncated", "rtrl"])
def test_a_unit_of_many_operations_is_fused(gradient_name):
    @unit(states=2)
    def mixture(a, b, u, v):
        u = torch.where(a > b, 0.5 * u + torch.relu(a), torch.minimum(u, b))
        v = 0.9 * v + torch.exp(-a.abs()) * torch.clamp(b, -1, 1)
        v = v + torch.where(a > 0, 0.25, -0.5)
        return torch.tanh(u) / (1 + v * v) + torch.sqrt(1 + u.square()) * 0.1, u, v

    net, gradient = Network.of([{"mixture": 3, "neuron": 1}]), make_gradient(gradient_name)
    case = random_case(net, replicas=2, batch=19, length=9)
    one = make_engine("fused", net, gradient, dtype=torch.float64).segment(*case)
    other = make_engine("reference", net, gradient).segment(*case)
    compare(one.outputs, other.outputs, FLOAT64)
    compare(one.gradient, other.gradient, FLOAT64)


def test_an_unsupported_operation_is_named_once_and_the_reference_runs():
    @unit()
    def sorted_neuron(z):
        return (torch.special.i0(z),)

    net = Network.of([{"sorted_neuron": 2}])
    with pytest.raises(UnsupportedOperation, match=r"sorted_neuron uses aten.*i0"):
        make_engine("fused", net, make_gradient("bptt"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        engine = make_engine("auto", net, make_gradient("bptt"))
    assert [str(w.message) for w in caught if "reference engine" in str(w.message)] == [str(caught[-1].message)]
    assert engine.name == "reference"


def test_a_changed_unit_never_runs_stale_code():
    found = []
    for factor in (1.0, 2.0):
        # One name, two meanings, as when a user edits a file.
        UNITS["stretched"] = Unit("stretched", lambda z, f=factor: (torch.tanh(f * z),), ("z",))
        net = Network.of([{"stretched": 2}])
        parameters, x, _ = random_case(net)
        fused = make_engine("fused", net, make_gradient("bptt"), dtype=torch.float64).outputs(parameters, x)[0]
        compare(fused, make_engine("reference", net, make_gradient("bptt")).outputs(parameters, x)[0], FLOAT64)
        found.append(fused)
    assert not torch.equal(*found)


def test_a_gradient_of_ones_own_is_never_run_as_another():
    class Silent(Gradient):
        name = "silent"

        def segment(self, network, parameters, x, target, carry):
            segment = make_gradient("bptt").segment(network, parameters, x, target, carry)
            return Segment(torch.zeros_like(parameters), segment.outputs, segment.carry)

    net = Network.of([{"neuron": 2}])
    with pytest.warns(UserWarning, match="gradient silent has no fused kernel"):
        engine = make_engine("auto", net, Silent())
    assert (engine.segment(*random_case(net)).gradient == 0).all()
