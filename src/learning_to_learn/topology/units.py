"""A unit is a scalar function (pre-activations, states) -> (output, states), written once in plain torch.

A unit knows nothing of time, layers, batches, replicas or gradients. It uses elementwise torch operations. The reference
engine can therefore call it on whole tensors, and the fused engine can print it and its derivative into a compiled loop.

To define your own unit, decorate a function::

    @unit(states=1)
    def leaky_neuron(z, v):
        v = 0.9 * v + 0.1 * z
        return torch.tanh(v), v
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from learning_to_learn.lazy import torch


@dataclass(frozen=True)
class Unit:
    """A named scalar function with its signature.

    `step(*pre_activations, *states)` returns `(output, *states)`. All arguments and results are tensors of the same shape.
    `bias` gives the centre of a pre-activation's initial bias, by name. A pre-activation that it does not name has the centre
    0.
    """

    name: str
    step: Callable[..., tuple[torch.Tensor, ...]]
    pre_activations: tuple[str, ...]
    states: tuple[str, ...] = ()
    bias: Mapping[str, float] = field(default_factory=dict)


UNITS: dict[str, Unit] = {}


def unit(*, states: int = 0, bias: Mapping[str, float] | None = None) -> Callable[[Callable], Unit]:
    """Register a function as a unit under its own name.

    The last `states` arguments of the function are its states. The arguments before them are its pre-activations. `bias`
    gives the initial bias of a pre-activation by its argument's name. Raises ValueError if the signature does not fit.
    """

    def register(step: Callable) -> Unit:
        names = tuple(inspect.signature(step).parameters)
        split = len(names) - states
        if split < 1:
            raise ValueError(f"unit {step.__name__}: {len(names)} arguments leave no pre-activation before {states} states")
        pre, wrong = names[:split], set(bias or {}) - set(names[:split])
        if wrong:
            raise ValueError(f"unit {step.__name__}: bias names {sorted(wrong)}, its pre-activations are {list(pre)}")
        UNITS[step.__name__] = Unit(step.__name__, step, pre, names[split:], dict(bias or {}))
        return UNITS[step.__name__]

    return register


@unit()
def neuron(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The standard neuron has no state (Elman 1990; Williams & Zipser 1989)."""
    return (torch.tanh(z),)


@unit()
def logistic(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The logistic neuron; the output neuron of every network is one."""
    return (torch.sigmoid(z),)


@unit()
def product_neuron(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The product of two neurons, which is the Π unit of Figure 1. Giles & Maxwell (1987) introduced such higher-order
    units.
    """
    return (torch.tanh(left) * torch.tanh(right),)


@unit(states=1, bias={"input_gate": -1.0})
def memory_cell(
    input_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The memory cell of Hochreiter & Schmidhuber (1997), Figure 2 of the paper. It has no forget gate.

    Gates are logistic, the cell input is squashed to [-2, 2], the cell output to [-1, 1] (eqs. 3-5 and the appendix of
    the 1997 paper). The input gate starts with a negative bias, so that cells start shut.
    """
    cell = cell + torch.sigmoid(input_gate) * (4 * torch.sigmoid(cell_input) - 2)
    return torch.sigmoid(output_gate) * (2 * torch.sigmoid(cell) - 1), cell


@unit(states=1, bias={"input_gate": -1.0, "forget_gate": 2.0})
def forget_cell(
    input_gate: torch.Tensor, forget_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The memory cell with the forget gate of Gers, Schmidhuber & Cummins (2000). The forget gate starts nearly open."""
    cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(input_gate) * (4 * torch.sigmoid(cell_input) - 2)
    return torch.sigmoid(output_gate) * (2 * torch.sigmoid(cell) - 1), cell
