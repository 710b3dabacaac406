"""The memory cell of 1997 with one feature changed: what the paper's section 5 calls necessary, and what it does not.

What is a matter of a gate alone needs no unit of its own: `arch.hold={input_gate: 10}` leaves out the memory cell's input gate,
`arch.hold={forget_gate: 2.197}` gives the forget cell a loop whose weight is 0.9 instead of 1.
"""

from __future__ import annotations

from learning_to_learn.lazy import torch
from learning_to_learn.topology.units import Number, unit


@unit(states=1, bias={"input_gate": -1.0})
def squashed_loop_cell(
    input_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The memory cell whose loop is not linear: the loop neuron squashes its sum to [-1, 1].

    The squashing function is tanh, whose slope at 0 is 1, so that the weight of the loop is still 1 for a small state.
    """
    cell = torch.tanh(cell + torch.sigmoid(input_gate) * (4 * torch.sigmoid(cell_input) - 2))
    return torch.sigmoid(output_gate) * (2 * torch.sigmoid(cell) - 1), cell


@unit(states=1, bias={"input_gate": -1.0})
def unsquashed_cell(
    input_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The memory cell without the squashing of its output: the output gate scales the state itself."""
    cell = cell + torch.sigmoid(input_gate) * (4 * torch.sigmoid(cell_input) - 2)
    return torch.sigmoid(output_gate) * cell, cell


@unit(states=1, bias={"input_gate": -1.0})
def trained_leak_cell(
    input_gate: torch.Tensor,
    output_gate: torch.Tensor,
    cell_input: torch.Tensor,
    cell: torch.Tensor,
    *,
    leak: Number = 3.0,
) -> tuple[torch.Tensor, ...]:
    """The memory cell whose loop has a weight of its own, the logistic function of `leak`. It starts at 0.95 and is trained."""
    cell = torch.sigmoid(leak) * cell + torch.sigmoid(input_gate) * (4 * torch.sigmoid(cell_input) - 2)
    return torch.sigmoid(output_gate) * (2 * torch.sigmoid(cell) - 1), cell


@unit(states=1, outputs=3, bias={"input_gate": -1.0})
def heard_gates_cell(
    input_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The memory cell whose gates are heard by all that hear the cell: another reading of "fully connected"."""
    opened, shown = torch.sigmoid(input_gate), torch.sigmoid(output_gate)
    cell = cell + opened * (4 * torch.sigmoid(cell_input) - 2)
    return shown * (2 * torch.sigmoid(cell) - 1), opened, shown, cell
