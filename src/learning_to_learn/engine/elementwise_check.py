"""Whether the units of a network are what engines take them for: functions of each unit's own values."""

from __future__ import annotations

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.topology import Network, Unit, VectorUnit

CASES = 3


def check_elementwise(network: Network) -> None:
    """Raise UserError where a unit's results have another number or shape than its signature says, or where they depend on
    the values of another unit, sequence or replica.

    Each unit runs on a few values at once, and on each of them alone. Nothing but the shape may differ. A vector unit runs on
    one group alone whatever it does, and has been checked at its width.
    """
    for unit in {block.unit.name: block.unit for layer in network.all_layers for block in layer.blocks}.values():
        if isinstance(unit, VectorUnit):
            continue
        count = len(unit.pre_activations) + len(unit.states) + len(unit.numbers)
        values = torch.linspace(-0.9, 1.1, CASES**3 * count, dtype=torch.float64).view(count, CASES, CASES, CASES)
        together = _run(unit, values)
        alone = [_run(unit, value.view(count, 1, 1, 1)) for value in values.flatten(1).T]
        for n, result in enumerate(together):
            one_by_one = torch.stack([results[n] for results in alone]).view(values.shape[1:])
            if not torch.allclose(result, one_by_one, rtol=1e-9, atol=1e-9, equal_nan=True):
                raise UserError(
                    f"unit {unit.name} reads its neighbours: result {n + 1} changes with the values of other units or "
                    "sequences; a unit is a function of its own pre-activations, states and numbers"
                )


def _run(unit: Unit, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    inputs = len(unit.pre_activations) + len(unit.states)
    with torch.no_grad():
        results = unit.step(*values[:inputs], **dict(zip(unit.numbers, values[inputs:], strict=True)))
    wanted = unit.outputs + len(unit.states)
    if not isinstance(results, tuple | list) or len(results) != wanted:
        found = f"{len(results)} values" if isinstance(results, tuple | list) else f"a {type(results).__name__}"
        raise UserError(
            f"unit {unit.name} returns {found}, not a tuple of its {unit.outputs} outputs and {wanted - unit.outputs} states"
        )
    for n, result in enumerate(results):
        if not isinstance(result, torch.Tensor) or result.shape != values.shape[1:]:
            shape = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
            raise UserError(f"unit {unit.name}: result {n + 1} is {shape} where its arguments are {tuple(values.shape[1:])}")
    return tuple(results)
