"""A held pre-activation against the whole network in which that row has no weights and the number as its bias."""

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.cache import _fingerprint
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import GRADIENTS, make_gradient
from learning_to_learn.topology import UNITS, Network
from learning_to_learn.topology.initial import initial_parameters
from tests.helpers import random_case

LAYERS = [{"forget_cell": 2, "neuron": 1}]
HOLD = {"input_gate": 0.3, "forget_gate": -1.25}


def filled_in(parameters, held, whole, hold):
    """The parameters [R, P] of the whole network that computes what the held one does, and which of them the held one has."""
    full, there = parameters.new_zeros(len(parameters), whole.parameters), torch.zeros(1, whole.parameters)
    small, large, mask = held.matrices(parameters), whole.matrices(full), whole.matrices(there)
    for layer, few, many, kept in zip(whole.all_layers, small, large, mask, strict=True):
        row = 0
        for block in layer.blocks:
            for name, rows in zip(block.unit.pre_activations, block.rows(), strict=True):
                if name in hold:
                    many[:, rows, -1] = hold[name]
                else:
                    many[:, rows], kept[:, rows] = few[:, row : row + block.count], 1.0
                    row += block.count
        assert row == few.shape[1]
    return full, there[0] == 1


@pytest.mark.parametrize("engine", ["reference", "fused"])
@pytest.mark.parametrize("gradient_name", [name for name in GRADIENTS if name != "es"])  # its noise is another in another space
def test_a_held_network_is_the_whole_one_with_a_constant_row(gradient_name, engine):
    held, whole = Network.of(LAYERS, hold=HOLD), Network.of(LAYERS)
    assert held.parameters < whole.parameters
    parameters, x, target = random_case(held, replicas=2, batch=3, length=9)
    full, there = filled_in(parameters, held, whole, HOLD)
    gradient = make_gradient(gradient_name)
    found = make_engine(engine, held, gradient, dtype=torch.float64).segment(parameters, x, target)
    expected = make_engine("reference", whole, gradient).segment(full, x, target)
    torch.testing.assert_close(found.outputs, expected.outputs, rtol=0, atol=1e-14)
    torch.testing.assert_close(found.gradient, expected.gradient[:, there], rtol=0, atol=1e-14)
    torch.testing.assert_close(found.carry.state, expected.carry.state, rtol=0, atol=1e-14)


def test_another_number_is_another_kernel_and_the_same_number_is_the_same():
    keys = [_fingerprint(Network.of(LAYERS, hold={"input_gate": number})) for number in (10.0, 10.0, 10.000001, -10.0)]
    assert None not in keys
    assert keys[0] == keys[1]
    assert len({*keys, _fingerprint(Network.of(LAYERS))}) == 4


def test_what_is_held_is_said_and_has_no_initial_bias():
    net = Network.of([{"memory_cell": 1, "neuron": 1}], hold={"input_gate": 10.0})
    assert net.describe() == "H1: 1 memory_cell(input_gate=10) + 1 neuron"
    with pytest.raises(UserError, match=r"arch\.bias.*choose one of"):
        initial_parameters(net, [0], bias={"input_gate": -1.0})


@pytest.mark.parametrize(
    ("hold", "says"),
    [
        ({"reset_gate": 1.0}, "arch.hold 'reset_gate': choose one of cell_input, .*z"),
        ({"input_gate": float("nan")}, "finite number"),
        ({"input_gate": float("inf")}, "finite number"),
        ({"z": 0.0}, "fixes every pre-activation of neuron"),
        (dict.fromkeys(UNITS["forget_cell"].pre_activations, 1.0), "fixes every pre-activation of forget_cell"),
    ],
)
def test_what_cannot_be_held_is_said_in_one_line(hold, says):
    with pytest.raises(UserError, match=says) as error:
        Network.of(LAYERS, hold=hold)
    assert "\n" not in str(error.value)
