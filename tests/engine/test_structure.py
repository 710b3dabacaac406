"""rtrl keeps the sensitivities that can be nonzero and no others: its gradient is that of bptt over a whole sequence."""

import re

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.fused import print_kernel
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
from tests.engine.interpret import interpret
from tests.engine.test_kernels import FLOAT64, compare
from tests.engine.test_wiring import hold_to_the_reference, register_own
from tests.helpers import SCALAR_UNITS, random_case

STRUCTURES = {
    "heads, and units that hear no one, below another layer": [
        {"min_gru": 2, "own_numbers": 2, "neuron": 2, "heads": 2},
        {"own_numbers": 2, "linear_recurrent": 2, "recurrent": False},
    ],
    "diagonal": [{"own_numbers": 2, "neuron": 2, "recurrent": False}, {"forget_cell": 3, "heads": 3}],
    "mixed": [{"linear_recurrent": 3, "neuron": 2, "min_lstm": 1}],
    "a unit that hears others and itself": [{"independent_neuron": 2, "forget_cell": 1}],
    "residual": [{"min_gru": 2}, {"neuron": 2, "residual": True, "heads": 2}, {"gru": 2, "residual": True, "heads": 2}],
}
WIRINGS = {"heads=2": {"heads": 2}, "heads=3": {"heads": 3}, "heads=6": {"heads": 6}, "not recurrent": {"recurrent": False}}


def hold_to_bptt(engine, net):
    """Over one sequence, where the two are equal, against autograd."""
    case = random_case(net, replicas=2, batch=5, length=9)
    expected = make_gradient("bptt").segment(net, *case, None)
    found = make_engine(engine, net, make_gradient("rtrl"), dtype=torch.float64).segment(*case)
    compare(found.outputs, expected.outputs, FLOAT64)
    compare(found.gradient, expected.gradient, FLOAT64)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_is_printed(structure, outputs):
    """Not compiled, which takes longer."""
    register_own()
    net = Network.of(STRUCTURES[structure], outputs=outputs)
    case = random_case(net, batch=5, length=5)
    expected = make_gradient("bptt").segment(net, *case, None)
    found, gradient = interpret(net, "rtrl", *case)
    compare(found, expected.outputs, FLOAT64)
    compare(gradient, expected.gradient, FLOAT64)


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures(structure):
    register_own()
    net = Network.of(STRUCTURES[structure])
    hold_to_bptt("fused", net)
    hold_to_the_reference(net, make_gradient("rtrl"))


@pytest.mark.slow
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("name", SCALAR_UNITS)
def test_the_reference_in_every_wiring(name, wiring):
    hold_to_bptt("reference", Network.of([{name: 6, **WIRINGS[wiring]}]))


@pytest.mark.slow
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("name", SCALAR_UNITS)
def test_every_unit_in_every_wiring(name, wiring):
    hold_to_bptt("fused", Network.of([{name: 6, **WIRINGS[wiring]}]))


@pytest.mark.parametrize("count", [2, 4, 40])
def test_a_diagonal_layer_keeps_a_number_for_each_parameter(count):
    """16 lanes for every parameter of a unit with one state: memory grows with the parameters alone."""
    source = print_kernel(Network.of([{"min_gru": count}]), make_gradient("rtrl"))
    (columns,) = re.findall(r"^columns = (\d+)$", source, re.MULTILINE)
    assert int(columns) == 16 * count * 2 * 4
