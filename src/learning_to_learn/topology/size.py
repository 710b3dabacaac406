"""Layers of a given shape with about as many parameters as one asks for, and what a cycle costs.

Networks are compared at equal numbers of parameters, which no formula gives for every unit, wiring and option. The solver
counts them instead: it scales all counts by one factor, and looks for the factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from learning_to_learn.errors import UserError
from learning_to_learn.topology.network import OPTIONS, Network

TOLERANCE = 0.25
"""How far from the request the number of parameters may be."""


def scale_layers(
    layers: Sequence[Mapping[str, Any]], parameters: int, build: Callable[[Sequence[Mapping[str, Any]]], Network]
) -> Network:
    """Return the network of these layers' shape whose number of parameters is nearest to `parameters`.

    >>> scale_layers([{"memory_cell": 1, "neuron": 1}], 400, Network.of).describe()
    'H1: 6 memory_cell + 6 neuron'

    `build` makes a network of layers. Every count is multiplied by the same factor and rounded to whole units, in a layer with
    heads to whole units a head. A layer in which every unit has a head for itself keeps that. Vector units
    become wider, not more. Raises UserError where no network of this shape comes near.
    """
    build(layers)  # says what is wrong with them as they stand
    places = [(n, name) for n, layer in enumerate(layers) for name in layer if name not in OPTIONS]
    whole = [_is_diagonal(layers[n]) or isinstance(layers[n][name], Mapping) for n, name in places]
    steps = [1 if any_number else layers[n].get("heads", 1) for any_number, (n, _) in zip(whole, places, strict=True)]

    def built(counts: Sequence[int], without: Sequence[str] = ()) -> Network:
        scaled = [{name: value for name, value in layer.items() if name not in without} for layer in layers]
        for (n, name), count in zip(places, counts, strict=True):
            groups = layers[n][name]
            scaled[n][name] = {**groups, "width": count} if isinstance(groups, Mapping) else count
            if _is_diagonal(layers[n]):
                scaled[n]["heads"] = count
        return build(scaled)

    def fits(counts: Sequence[int]) -> bool:
        try:
            built(counts)
        except UserError:  # a residual connection between layers that are no longer equally wide, heads of two kinds of units
            return False
        return True

    given = [groups["width"] if isinstance(groups := layers[n][name], Mapping) else groups for n, name in places]
    return built(solve(given, steps, parameters, lambda counts: built(counts, ("residual",)).parameters, fits))


def solve(
    given: Sequence[int],
    steps: Sequence[int],
    wanted: int,
    parameters_of: Callable[[Sequence[int]], int],
    fits: Callable[[Sequence[int]], bool] = lambda _: True,
) -> tuple[int, ...]:
    """Return multiples of `steps`, about proportional to the counts that are given, with about as many parameters as wanted.

    `parameters_of` counts them, and `fits` says whether counts go together. Raises UserError where no counts come near.
    """
    number = cache(parameters_of)

    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(step * max(1, math.floor(count * factor / step + 0.5)) for count, step in zip(given, steps, strict=True))

    low, high = 0.0, 1.0
    while number(scaled(high)) < wanted:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if number(scaled(middle)) < wanted else (low, middle)
    # What reaches the next count at the same factor may do so one after the other.
    below, above = scaled(low), scaled(high)
    one_by_one = [above[:n] + below[n:] for n in range(len(given) + 1)]
    around = (scaled(low * (1 + percent / 100)) for percent in range(-20, 21))
    sound = {number(counts): counts for counts in [c for c in one_by_one if fits(c)] or filter(fits, around)}
    nearest = min(sound, key=lambda found: abs(found - wanted), default=None)
    if nearest is None or abs(nearest - wanted) > TOLERANCE * wanted:
        have = "" if nearest is None else f": the nearest has {nearest}"
        raise UserError(f"arch.parameters={wanted}: no network of this shape has about as many parameters{have}")
    return sound[nearest]


def size_of(network: Network, cycles: int = 1) -> dict[str, int | None]:
    """Return how large a network is: its parameters, those of them that learn, the numbers that a sequence carries from cycle
    to cycle, and the multiplications of a cycle.

    A network that hears all earlier cycles again has no state of a fixed size, None, and its multiplications are those of the
    mean cycle of a sequence of so many.
    """
    return {
        "parameters": network.parameters,
        "trained_parameters": network.parameters - len(network.fixed),
        "state_size": network.state_size or None,
        "multiplications": network.multiplications(cycles),
    }


def _is_diagonal(layer: Mapping[str, Any]) -> bool:
    """Whether every unit of each kind has a head for itself."""
    heads = layer.get("heads", 1)
    return heads > 1 and all(count == heads for name, count in layer.items() if name not in OPTIONS)
