import math

import pytest
import torch

from learning_to_learn.topology import UNITS, unit


def sigma(z):
    return 1 / (1 + math.exp(-z))


def test_memory_cell_is_that_of_1997():
    # Hochreiter & Schmidhuber 1997: g in [-2, 2] (eq. 5), h in [-1, 1] (eq. 4), logistic gates (eq. 3), no forget gate.
    i, o, c, s = 0.3, -0.7, 1.1, 0.4
    new = s + sigma(i) * (4 * sigma(c) - 2)
    h, state = UNITS["memory_cell"].step(*(torch.tensor(v, dtype=torch.float64) for v in (i, o, c, s)))
    assert state.item() == pytest.approx(new, abs=1e-14)
    assert h.item() == pytest.approx(sigma(o) * (2 * sigma(new) - 1), abs=1e-14)


def test_a_shut_input_gate_keeps_the_state():
    args = [torch.tensor(v, dtype=torch.float64) for v in (-800.0, 0.0, 5.0, 0.37)]
    assert UNITS["memory_cell"].step(*args)[1].item() == 0.37


def test_forget_cell_with_an_open_gate_is_the_memory_cell():
    i, o, c, s = (torch.tensor(v, dtype=torch.float64) for v in (0.3, -0.7, 1.1, 0.4))
    gated = UNITS["forget_cell"].step(i, torch.tensor(800.0, dtype=torch.float64), o, c, s)
    for a, b in zip(gated, UNITS["memory_cell"].step(i, o, c, s), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-15)


def test_memory_cells_start_shut():
    assert UNITS["memory_cell"].bias["input_gate"] < 0


def test_a_unit_needs_a_pre_activation():
    with pytest.raises(ValueError, match="no pre-activation"):

        @unit(states=1)
        def only_state(v):
            return v, v


def test_a_bias_must_name_a_pre_activation():
    with pytest.raises(ValueError, match="bias names"):

        @unit(bias={"gate": 1.0})
        def no_gate(z):
            return (z,)
