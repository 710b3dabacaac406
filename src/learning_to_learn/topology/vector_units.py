"""A vector unit is a group of d units that share a state, such as a matrix: fast weights. It is written once in plain torch.

To define your own, decorate a function of one group. Its arguments are tensors without batch, time or replica::

    @vector_unit(states=1, shapes={"strength": "", "memory": "d d"})
    def delta(query, key, value, strength, memory):
        memory = memory + torch.outer(torch.sigmoid(strength) * (value - memory @ key), key)
        return memory @ query, memory

    Network.of([{"delta": {"count": 2, "width": 8}}])

What `shapes` does not name is a vector of the width d. Pre-activations may be annotated `Below` or `Own`, and keyword-only
arguments are trainable numbers of the group, as in a scalar unit. A keyword-only argument that is annotated `Option` is not
trained: the topology chooses it, as in `{delta_rule: {count: 2, width: 8, keys: plain}}`, or it has its default.

The fused engine prints elementwise operations, products of a matrix and a vector, outer products, sums, means, norms, maxima
and softmax, of at most two axes.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from learning_to_learn.errors import UserError, unknown
from learning_to_learn.lazy import torch
from learning_to_learn.topology.units import UNITS, Option, Trained, Unit, from_signature

WIDTH = "d"
LARGEST = 10**7
"""The most states and pre-activations of a group."""
Dims = tuple["int | str", ...]


@dataclass(frozen=True)
class VectorUnit(Unit):
    """A named function of one group, with its signature.

    `step(*pre_activations, *states, **numbers)` returns `(*outputs, *states)`. Every output is a vector [d]. The unit that is
    registered has the width 0; `of_width` makes the one that a topology holds.
    """

    dims: Mapping[str, Dims] = field(default_factory=dict)
    """The axes of an argument: "d" is the width. What is not named is a vector."""
    options: Mapping[str, bool | float | str] = field(default_factory=dict)
    """What the topology may choose, with the defaults."""
    width: int = 0

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.width if axis == WIDTH else int(axis) for axis in self.dims.get(name, (WIDTH,)))

    def of_width(self, width: int, options: Mapping[str, Any] | None = None) -> VectorUnit:
        """Return the unit for groups of `width`, with its options chosen. Raises UserError if the unit cannot have them."""
        chosen = dict(options or {})
        for name, value in chosen.items():
            if name not in self.options:
                raise unknown(f"option of {self.name}", name, ("count", "width", *self.options))
            default = self.options[name]
            number = isinstance(default, int | float) and not isinstance(default, bool)
            fits = isinstance(value, int | float) and not isinstance(value, bool) if number else type(value) is type(default)
            if not fits:
                raise UserError(f"{self.name}: {name}: {value!r}; it is a value such as {default!r}")
        step = _with_options(self.step, {**self.options, **chosen}) if self.options else self.step
        told = {name: value for name, value in chosen.items() if value != self.options[name]}
        name = f"{self.name}({', '.join(f'{n}={v}' for n, v in told.items())})" if told else self.name
        made = dataclasses.replace(self, name=f"{name} of width {width}", step=step, width=width)
        if (numbers := sum(map(made.size, (*made.states, *made.pre_activations)))) > LARGEST:
            raise UserError(
                f"{self.name}: width: {width}; a group would have {numbers:.0e} numbers, and the most is {LARGEST:.0e}"
            )
        made.check()
        return made

    def run(self, *inputs: torch.Tensor, **numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Pre-activations and states [..., count x size], and numbers that broadcast to these, to outputs and new states."""
        names = (*self.pre_activations, *self.states)
        groups = [x.unflatten(-1, (-1, *self.shape(name))) for name, x in zip(names, inputs, strict=True)]
        lead = groups[0].shape[: groups[0].ndim - len(self.shape(names[0]))]
        own = [x.unflatten(-1, (-1, *self.shape(name))).expand(*lead, *self.shape(name)) for name, x in numbers.items()]

        def step(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self.step(*values[: len(groups)], **dict(zip(numbers, values[len(groups) :], strict=True)))

        # torch.vmap passes keyword arguments on as they are.
        results = torch.vmap(step)(*(x.flatten(0, len(lead) - 1) for x in (*groups, *own)))
        return tuple(x.unflatten(0, lead).flatten(len(lead) - 1) for x in results)

    def check(self) -> None:
        """Raise UserError where the step cannot run at this width, or does not return what its signature says."""
        what = f"unit {self.name}"
        values = [torch.linspace(-0.9, 1.1, max(1, self.size(n)), dtype=torch.float64).view(self.shape(n))
                  for n in (*self.pre_activations, *self.states, *self.numbers)]  # fmt: skip
        inputs = len(self.pre_activations) + len(self.states)
        try:
            with torch.no_grad():
                results = self.step(*values[:inputs], **dict(zip(self.numbers, values[inputs:], strict=True)))
        except UserError as error:
            raise UserError(f"{what}: {error}") from None
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"{what} cannot run: {reason}") from error
        wanted = [("output", (self.width,))] * self.outputs + [(f"state {name}", self.shape(name)) for name in self.states]
        if not isinstance(results, tuple | list) or len(results) != len(wanted):
            found = f"{len(results)} values" if isinstance(results, tuple | list) else f"a {type(results).__name__}"
            raise UserError(f"{what} returns {found}, not a tuple of its {self.outputs} outputs and {len(self.states)} states")
        for (name, shape), result in zip(wanted, results, strict=True):
            if not isinstance(result, torch.Tensor) or result.shape != shape:
                found = str(tuple(result.shape)) if isinstance(result, torch.Tensor) else type(result).__name__
                raise UserError(f"{what}: its {name} has the shape {shape}, and the step returns {found} for it")


def vector_unit(
    *,
    states: int = 0,
    outputs: int = 1,
    shapes: Mapping[str, str] | None = None,
    bias: Mapping[str, float] | None = None,
    initial: Mapping[str, float | Trained] | None = None,
) -> Callable[[Callable], VectorUnit]:
    """Register a function as a vector unit under its own name.

    `shapes` gives the axes of arguments: "" is one number for the group, "d" a vector (the default), "d d" a matrix, "d 4" a
    matrix of four columns. All else is as in `unit`. Raises ValueError if the signature does not fit.
    """

    def register(step: Callable) -> VectorUnit:
        dims = {name: tuple(text.split()) for name, text in (shapes or {}).items()}
        options = {a.name: a.default for a in inspect.signature(step).parameters.values() if _is_option(a.annotation)}
        plain = from_signature(step, states, outputs, dict(bias or {}), dict(initial or {}), options=tuple(options))
        known = (*plain.pre_activations, *plain.states, *plain.numbers)
        for name, axes in dims.items():
            if name not in known:
                raise ValueError(f"unit {plain.name}: shapes names {name!r}, its arguments are {list(known)}")
            if len(axes) > 2 or not all(axis == WIDTH or (axis.isdecimal() and int(axis) >= 1) for axis in axes):
                raise ValueError(f"unit {plain.name}: the shape {' '.join(axes)!r} of {name}; give '', 'd', 'd d' or 'd 4'")
        for name, value in options.items():
            if not isinstance(value, bool | int | float | str):
                raise ValueError(f"unit {plain.name}: the option {name} needs a default: true or false, a number or a word")  # noqa: TRY004
        fields = {f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)}
        made = VectorUnit(**fields, dims=dims, options=options)
        UNITS[made.name] = made
        return made

    return register


def _with_options(step: Callable, options: Mapping[str, bool | float | str]) -> Callable:
    # Both are followed by the cache of kernels, which thereby tells one choice from another.
    names, values = tuple(options), tuple(options.values())

    def step_with_options(*inputs: torch.Tensor, **numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return step(*inputs, **numbers, **dict(zip(names, values, strict=True)))

    return step_with_options


def _is_option(annotation: object) -> bool:
    """Whether an annotation, which may be text, is `Option`."""
    return annotation is Option or (isinstance(annotation, str) and annotation.rpartition(".")[2] == "Option")
