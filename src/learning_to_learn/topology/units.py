"""A unit is a scalar function (pre-activations, states) -> (outputs, states), written once in plain torch.

A unit knows nothing of time, layers, batches, replicas or gradients. It uses elementwise torch operations. The reference
engine can therefore call it on whole tensors, and the fused engine can print it and its derivative into a compiled loop.

To define your own unit, decorate a function. Its signature says how it is wired::

    @unit(states=1)
    def leaky_neuron(z, v, *, decay=0.9):
        v = decay * v + (1 - decay) * z
        return torch.tanh(v), v

A pre-activation (`z`) is a weighted sum over all sources, the layer's own outputs of the cycle before and the layer below,
plus a bias. One that is annotated `Below` sums over the layer below only, one that is annotated `Own` over the layer's own
outputs only. A keyword-only argument (`decay`) is a trainable number that each unit has of its own. Its default is the value
it starts with, or the distribution of that value.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, TypeAlias

from learning_to_learn.lazy import torch
from learning_to_learn.topology.distributions import Start


class Sources(Enum):
    """What a pre-activation sums over, besides its bias."""

    BOTH = "the layer's own outputs and the layer below"
    BELOW = "the layer below"
    OWN = "the layer's own outputs"


Below = Annotated["torch.Tensor", Sources.BELOW]
"""The annotation of a pre-activation that does not hear the layer's own outputs."""
Own = Annotated["torch.Tensor", Sources.OWN]
"""The annotation of a pre-activation that hears nothing but the layer's own outputs of the cycle before."""


Number: TypeAlias = Any
"""The annotation of a keyword-only argument: a tensor when the unit runs, and by default what it starts with."""


Option: TypeAlias = Any
"""The annotation of a keyword-only argument of a vector unit that the topology chooses, and that is not trained."""


@dataclass(frozen=True)
class Trained:
    """An initial state that is trained: a number that each unit has of its own, and that starts at `start`."""

    start: Start = 0.0


@dataclass(frozen=True)
class Unit:
    """A named scalar function with its signature.

    `step(*pre_activations, *states, **numbers)` returns `(*outputs, *states)`. All arguments and results are tensors of the
    same shape. Mappings are by name; a pre-activation that `bias` or `sources` does not name has the centre 0 of its initial
    bias and sums over both, a state that `initial` does not name begins with 0.
    """

    name: str
    step: Callable[..., tuple[torch.Tensor, ...]]
    pre_activations: tuple[str, ...]
    states: tuple[str, ...] = ()
    bias: Mapping[str, float] = field(default_factory=dict)
    """The centres of the initial biases."""
    sources: Mapping[str, Sources] = field(default_factory=dict)
    numbers: Mapping[str, Start] = field(default_factory=dict)
    """The trainable numbers of each unit."""
    outputs: int = 1
    initial: Mapping[str, float | Trained] = field(default_factory=dict)
    """The states before the first cycle."""

    @property
    def trained_states(self) -> dict[str, Start]:
        """The initial states that are trained."""
        return {name: value.start for name, value in self.initial.items() if isinstance(value, Trained)}

    @property
    def trained(self) -> dict[str, Start]:
        """All trainable numbers of a unit besides its weights and biases, in the order of their parameters."""
        return {**self.numbers, **self.trained_states}

    @property
    def width(self) -> int:
        """How many numbers an output has."""
        return 1

    def shape(self, name: str) -> tuple[int, ...]:  # noqa: ARG002 - of every argument
        """Return the shape that the argument of that name has for one unit: of a scalar unit (), of a vector unit its axes."""
        return ()

    def size(self, name: str) -> int:
        """Return how many numbers the argument of that name has."""
        return math.prod(self.shape(name))

    def run(self, *inputs: torch.Tensor, **numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Pre-activations and states [..., count] and numbers that broadcast to these, to outputs and new states."""
        return self.step(*inputs, **numbers)


UNITS: dict[str, Unit] = {}


def unit(
    *,
    states: int = 0,
    outputs: int = 1,
    bias: Mapping[str, float] | None = None,
    initial: Mapping[str, float | Trained] | None = None,
) -> Callable[[Callable], Unit]:
    """Register a function as a unit under its own name.

    The last `states` positional arguments of the function are its states. The arguments before them are its pre-activations.
    The function returns its `outputs`, then its new states. `bias` gives the centre of a pre-activation's initial bias by the
    argument's name, `initial` the state before the first cycle: a number, or `Trained(start)`. Raises ValueError if the
    signature does not fit.
    """

    def register(step: Callable) -> Unit:
        made = from_signature(step, states, outputs, dict(bias or {}), dict(initial or {}))
        UNITS[made.name] = made
        return made

    return register


def from_signature(
    step: Callable, states: int, outputs: int, bias: dict, initial: dict, *, options: tuple[str, ...] = ()
) -> Unit:
    """Return the unit that a function's signature describes. `options`: keyword-only arguments that are not trained."""
    name = step.__name__
    arguments = [a for a in inspect.signature(step).parameters.values() if a.name not in options]
    names = tuple(a.name for a in arguments if a.kind is not a.KEYWORD_ONLY)
    split = len(names) - states
    if any(a.kind in (a.VAR_POSITIONAL, a.VAR_KEYWORD) for a in arguments):
        raise ValueError(f"unit {name}: name every argument, so that the signature says what the unit hears")
    if split < 1:
        raise ValueError(f"unit {name}: {len(names)} arguments leave no pre-activation before {states} states")
    if outputs < 1:
        raise ValueError(f"unit {name}: it has {outputs} outputs; the least is 1")
    pre, own_states = names[:split], names[split:]
    for what, given, allowed, kind in (("bias", bias, pre, "pre-activations"), ("initial", initial, own_states, "states")):
        if wrong := sorted(set(given) - set(allowed)):
            raise ValueError(f"unit {name}: {what} names {wrong}, its {kind} are {list(allowed)}")
    sources = {a.name: s for a in arguments if (s := _sources(a.annotation, step)) is not Sources.BOTH}
    if wrong := sorted(set(sources) - set(pre)):
        raise ValueError(f"unit {name}: {wrong} cannot be Below or Own, only pre-activations are sums: {list(pre)}")
    numbers = {a.name: a.default for a in arguments if a.kind is a.KEYWORD_ONLY}
    for argument, start in numbers.items():
        if isinstance(start, bool | type) or not (callable(start) or isinstance(start, int | float)):
            message = f"unit {name}: {argument} needs a number or a distribution to start with, such as {argument}=0.5"
            raise ValueError(message)  # noqa: TRY004 - all that is wrong with a signature is one kind of error
    return Unit(name, step, pre, own_states, bias, sources, numbers, outputs, initial)


def _sources(annotation: object, step: Callable) -> Sources:
    """What an argument's annotation says. It may be text, which is not evaluated: that could import torch."""
    if isinstance(annotation, str):
        annotation = getattr(step, "__globals__", {}).get(annotation, annotation.rpartition(".")[2])
    if annotation in (Below, "Below"):
        return Sources.BELOW
    return Sources.OWN if annotation in (Own, "Own") else Sources.BOTH


@unit()
def neuron(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The standard neuron has no state (Elman 1990; Williams & Zipser 1989)."""
    return (torch.tanh(z),)


@unit()
def logistic(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The logistic neuron; the output neuron of every network is one."""
    return (torch.sigmoid(z),)


@unit()
def linear_neuron(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The linear neuron, which hands on its sum; with a weight of 1 to itself it is a loop that stores a value."""
    return (z.clone(),)


@unit()
def pi_neuron(left: Below, right: Below) -> tuple[torch.Tensor, ...]:
    """The Π unit of Figure 1: the product of two sums over the layer below (Giles & Maxwell 1987).

    It does not hear its own layer: products of products would grow without bound from cycle to cycle.
    """
    return (left * right,)


@unit()
def product_neuron(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The product of two neurons: a Π unit whose factors are squashed, so that it may hear its own layer."""
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
