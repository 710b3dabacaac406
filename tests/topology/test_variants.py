"""The variants of the memory cell against equations written out with floats, and against the memory cell where they agree."""

import math

import pytest
import torch

from learning_to_learn.topology import UNITS, Network


def sigma(z):
    return 1 / (1 + math.exp(-z))


def step(name, *values):
    return [v.item() for v in UNITS[name].step(*(torch.tensor(v, dtype=torch.float64) for v in values))]


def test_the_squashed_loop_by_hand():
    i, o, c, s = 0.3, -0.7, 1.1, 0.4
    new = math.tanh(s + sigma(i) * (4 * sigma(c) - 2))
    assert step("squashed_loop_cell", i, o, c, s) == pytest.approx([sigma(o) * (2 * sigma(new) - 1), new], abs=1e-15)


def test_the_squashed_loop_is_the_memory_cell_where_the_state_is_small():
    i, o, c, s = -12.0, 0.5, 0.1, 1e-5
    assert step("squashed_loop_cell", i, o, c, s) == pytest.approx(step("memory_cell", i, o, c, s), rel=1e-9)


def test_the_unsquashed_cell_is_the_memory_cell_but_for_its_output():
    i, o, c, s = 0.3, -0.7, 1.1, 4.0
    output, state = step("unsquashed_cell", i, o, c, s)
    assert state == step("memory_cell", i, o, c, s)[1]
    assert output == pytest.approx(sigma(o) * state, abs=1e-14)


def test_a_forget_gate_held_at_the_logit_of_a_leak_is_that_leak():
    leak = 0.9
    held = Network.of([{"forget_cell": 1}], hold={"forget_gate": math.log(leak / (1 - leak))}).layers[0].blocks[0].unit
    i, o, c, s = (torch.tensor(v, dtype=torch.float64) for v in (0.3, -0.7, 1.1, 0.4))
    new = leak * 0.4 + sigma(0.3) * (4 * sigma(1.1) - 2)
    assert held.step(i, o, c, s)[1].item() == pytest.approx(new, abs=1e-14)


def test_a_trained_leak_is_a_forget_gate_that_hears_nothing():
    i, o, c, s, leak = (torch.tensor(v, dtype=torch.float64) for v in (0.3, -0.7, 1.1, 0.4, 1.7))
    found = UNITS["trained_leak_cell"].step(i, o, c, s, leak=leak)
    assert [v.item() for v in found] == [v.item() for v in UNITS["forget_cell"].step(i, leak, o, c, s)]
    assert Network.of([{"trained_leak_cell": 3}]).parameters == Network.of([{"memory_cell": 3}]).parameters + 3


def test_heard_gates_are_those_of_the_memory_cell():
    i, o, c, s = 0.3, -0.7, 1.1, 0.4
    output, opened, shown, state = step("heard_gates_cell", i, o, c, s)
    assert [output, state] == step("memory_cell", i, o, c, s)
    assert [opened, shown] == pytest.approx([sigma(i), sigma(o)], abs=1e-15)
    # Each of n cells has three pre-activations, each of which hears the two inputs, the target, 3 n outputs and a bias.
    assert Network.of([{"heard_gates_cell": 4}]).parameters == 3 * 4 * (3 + 12 + 1) + 12 + 1
