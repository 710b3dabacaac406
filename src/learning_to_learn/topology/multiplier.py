"""Step (4) of Figure 1: a Π unit replaced by a network of plain neurons, which is trained to multiply once and for all.

    exact = fixed_weight(network, rule)
    plain = fixed_weight(network, rule, product=plain_neurons(fit_multiplier(8), factor_ranges(exact, initial, x)))

A layer of tanh neurons takes the place of the Π unit, and the sum of their outputs that of its output: a pre-activation can
hear such a sum, so that the network has as many layers as before. Each multiplier is scaled to the range of its two factors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from learning_to_learn.lazy import torch
from learning_to_learn.topology.fixed_weight import FixedWeight
from learning_to_learn.topology.network import Network
from learning_to_learn.topology.signals import PRODUCT, Graph, Node, Signal

GRID = 15
"""Points a side of the square on which a multiplier is trained."""
RIDGE = 1e-5
"""What the squared weights of the sum are charged with: neurons that cancel each other would amplify rounding."""
MARGIN = 1.1
"""How much wider than the factors that were seen a multiplier's range is."""


@dataclass(frozen=True)
class Multiplier:
    """a b is about offset + the sum over neurons of out tanh(of_a a + of_b b + bias), for a and b in [-1, 1]."""

    inner: np.ndarray
    """[H, 3]: of_a, of_b and bias of each neuron"""
    outer: np.ndarray
    """[H + 1]: out, and last the offset"""

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _features(self.inner, a, b) @ self.outer

    @property
    def error(self) -> float:
        """The largest error on a grid finer than the one it was trained on."""
        a, b = np.meshgrid(*2 * [np.linspace(-1, 1, 4 * GRID)])
        return float(np.abs(self(a, b) - a * b).max())


def fit_multiplier(neurons: int, seed: int = 0) -> Multiplier:
    """Return a multiplier of tanh neurons, an even number >= 4, fitted by least squares.

    The first four start as (a + b)^2 - (a - b)^2, whose squares are sums of two mirrored neurons.
    """
    from scipy.optimize import least_squares

    random = np.random.default_rng(seed)
    start = np.array([[0.5, 0.5, 1.0], [-0.5, -0.5, 1.0], [0.5, -0.5, 1.0], [-0.5, 0.5, 1.0]])
    more = random.normal(size=(neurons - 4, 3))
    a, b = (v.ravel() for v in np.meshgrid(*2 * [np.linspace(-1, 1, GRID)]))

    def outer(inner: np.ndarray) -> np.ndarray:
        features = _features(inner, a, b)

        ridge = RIDGE * len(a) * np.eye(features.shape[1])
        return np.linalg.solve(features.T @ features + ridge, features.T @ (a * b))

    def residuals(flat: np.ndarray) -> np.ndarray:
        inner = flat.reshape(-1, 3)
        return _features(inner, a, b) @ outer(inner) - a * b

    found = least_squares(residuals, np.concatenate([start, more]).ravel(), max_nfev=60).x.reshape(-1, 3)
    return Multiplier(found, outer(found))


def _features(inner: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    z = a[..., None] * inner[:, 0] + b[..., None] * inner[:, 1] + inner[:, 2]
    return np.concatenate([np.tanh(z), np.ones_like(z[..., :1])], -1)


def plain_neurons(multiplier: Multiplier, ranges: Sequence[tuple[float, float]]) -> Callable[[Graph, Signal, Signal], Signal]:
    """Return what makes a product of neurons. `ranges` has the largest size of both factors, product after product."""

    def product(graph: Graph, left: Signal, right: Signal) -> Signal:
        largest = ranges[len(graph.products)]
        a, b = left * (1 / largest[0]), right * (1 / largest[1])
        total = Signal(graph, {}, float(multiplier.outer[-1]))
        for (of_a, of_b, bias), out in zip(multiplier.inner.tolist(), multiplier.outer[:-1].tolist(), strict=True):
            total = total + out * graph.unit("neuron", of_a * a + of_b * b + bias)
        return largest[0] * largest[1] * total

    return product


def factor_ranges(made: FixedWeight, initial: torch.Tensor, x: torch.Tensor) -> list[tuple[float, float]]:
    """Return the largest size, and a margin, that each product's factors reach on sequences x [R, B, T, I]."""
    network, sizes = _recording(made.network)
    network.forward(made.parameters(initial), x)
    order: dict[Node, tuple[int, int]] = {}
    of_layer = [0] * len(network.layers)
    for place in made.wired.places:
        if isinstance(place.node, Node) and not place.handed_on and place.unit == PRODUCT:
            order[place.node] = place.layer - 1, of_layer[place.layer - 1]
            of_layer[place.layer - 1] += 1
    found = []
    for product in made.wired.products:
        (node,) = product.terms
        assert isinstance(node, Node)
        layer, unit = order[node]
        left, right = (float(size[unit]) * MARGIN or 1.0 for size in sizes[layer])
        found.append((left, right))
    return found


def _recording(network: Network) -> tuple[Network, list[list[torch.Tensor]]]:
    """Return the same network, and for every layer the largest sizes [units] of both factors, which a run fills in."""
    sizes: list[list[torch.Tensor]] = []

    def recording(step: Callable, mine: list[torch.Tensor]) -> Callable:
        def record(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, ...]:
            now = [v.detach().abs().flatten(0, -2).amax(0) for v in (left, right)]
            mine[:] = [torch.maximum(old, new) for old, new in zip(mine, now, strict=True)] if mine else now
            return step(left, right)

        return record

    layers = []
    for layer in network.layers:
        sizes.append([])
        blocks = tuple(
            replace(b, unit=replace(b.unit, step=recording(b.unit.step, sizes[-1]))) if b.unit.name == PRODUCT else b
            for b in layer.blocks
        )
        layers.append(replace(layer, blocks=blocks))
    return replace(network, layers=tuple(layers)), sizes
