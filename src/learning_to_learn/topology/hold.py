"""A pre-activation that is held at a number takes its sum out of the network: its weights do not exist.

>>> held(UNITS["memory_cell"], {"input_gate": 10.0}).pre_activations
('output_gate', 'cell_input')

A logistic gate that is held at 10 is open (0.99995), one at -10 is shut; a forget gate at log(0.9 / 0.1) lets a cell keep 90 %
of its state in every cycle. To hold a gate is to knock it out, and so to ask what it is good for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

from learning_to_learn.errors import UserError, unknown
from learning_to_learn.lazy import torch
from learning_to_learn.topology.units import Unit
from learning_to_learn.topology.vector_units import VectorUnit


def held(unit: Unit, numbers: Mapping[str, float]) -> Unit:
    """Return the unit with each pre-activation that `numbers` names fixed at its number; the unit itself if it has none.

    Raises UserError if no pre-activation is left.
    """
    fixed = {name: float(numbers[name]) for name in unit.pre_activations if name in numbers}
    if not fixed:
        return unit
    free = tuple(name for name in unit.pre_activations if name not in fixed)
    if not free:
        raise UserError(f"arch.hold fixes every pre-activation of {unit.name}: {', '.join(fixed)}; leave one to learn")
    # Both are followed by the cache of kernels, which thereby tells one number from another.
    step, constants = unit.step, tuple(fixed.get(name) for name in unit.pre_activations)
    shapes = tuple(unit.shape(name) for name in unit.pre_activations) if isinstance(unit, VectorUnit) else None

    def step_with_constants(*values: torch.Tensor, **numbers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = iter(values)
        pre_activations = [
            next(given) if c is None
            else torch.full_like(values[0], c) if shapes is None
            else values[0].new_full(shapes[i], c)
            for i, c in enumerate(constants)
        ]  # fmt: skip
        return step(*pre_activations, *given, **numbers)

    name = f"{unit.name}({', '.join(f'{key}={number:g}' for key, number in fixed.items())})"
    bias = {key: centre for key, centre in unit.bias.items() if key in free}
    sources = {key: heard for key, heard in unit.sources.items() if key in free}
    return dataclasses.replace(unit, name=name, step=step_with_constants, pre_activations=free, bias=bias, sources=sources)


def check_hold(numbers: Mapping[str, float], units: Iterable[Unit]) -> None:
    """Raise UserError, one line, on a number that is not finite, or a name that no pre-activation of the units has."""
    known = {name for unit in units for name in unit.pre_activations}
    for name, number in numbers.items():
        if name not in known:
            raise unknown("pre-activation in arch.hold", name, known)
        if not math.isfinite(number):
            raise UserError(f"arch.hold={{{name}: {number}}}: give a finite number, such as {{{name}: 10}}")
