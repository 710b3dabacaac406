"""The Bayes predictor of any family of functions with normal noise: iterated batch importance sampling (Chopin 2002).

Mappings are drawn from D uniform numbers, so that the posterior is one over the unit cube. For each sequence, a cloud of points
in it is weighed by the likelihood of every pair as it comes. Where few points carry the weight, they are drawn anew and moved
by steps of Metropolis's random walk, which have the posterior so far as their law; where a single pair says too much, it is
taken in parts (Del Moral, Doucet & Jasra 2006). Two clouds that know nothing of each other tell the error of their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learning_to_learn.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 512
"""Points of a cloud."""
MOVES = 6
"""Steps of the random walk after the points were drawn anew."""
ENOUGH = 0.5
"""The effective number of points, as a part of all, below which they are drawn anew."""
HALVINGS = 12
"""Steps of the bisection for how much of a pair is taken at once."""
AT_ONCE = 64
"""Sequences at once."""

Evaluate = Callable[["Tensor", "Tensor"], "Tensor"]
"""Uniform numbers u [*n, D] and inputs x [*n, T, d] to the noise-free outputs [*n, T, m]."""


@dataclass
class Cloud:
    """P points for each of N sequences."""

    u: Tensor
    """[N, P, D]"""
    log_weight: Tensor
    """[N, P]"""
    fit: Tensor
    """The log likelihood of all pairs that were taken, [N, P]"""


def posterior_means(
    evaluate: Evaluate, dimensions: int, x: Tensor, y: Tensor, noise: float, *, points: int = POINTS, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the posterior mean of y[t] given x[t] and the pairs before it, and the sampler's variance, [N, T, m] each.

    x [N, T, d], y [N, T, m]; `noise` is a standard deviation above 0. The mean is that of two clouds, the variance a quarter of
    their squared difference, which is right on average only.
    """
    found = []
    for first in range(0, len(x), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        pair = x[rows].double(), y[rows].double()
        found.append([_one_cloud(evaluate, dimensions, *pair, noise, points, seed + 2 * first + i) for i in (0, 1)])
    a, b = (torch.cat([pair[i] for pair in found]) for i in (0, 1))
    return (a + b) / 2, (a - b) ** 2 / 4


def _one_cloud(
    evaluate: Evaluate, dimensions: int, x: Tensor, y: Tensor, noise: float, points: int, seed: int
) -> Tensor:  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    n = len(x)
    start = torch.rand(n, points, dimensions, generator=generator, dtype=torch.float64)
    cloud = Cloud(start, start.new_zeros(n, points), start.new_zeros(n, points))
    found = []
    for t in range(y.shape[1]):
        said = _outputs(evaluate, cloud.u, x[:, t : t + 1])[:, :, 0]
        found.append((cloud.log_weight.softmax(1).unsqueeze(-1) * said).sum(1))
        _take(cloud, evaluate, x[:, : t + 1], y[:, : t + 1], said, noise, generator)
    return torch.stack(found, 1)


def _outputs(evaluate: Evaluate, u: Tensor, x: Tensor) -> Tensor:
    """Outputs [N, P, T, m] of the points u [N, P, D] at inputs x [N, T, d]."""
    return evaluate(u, x[:, None].expand(-1, u.shape[1], -1, -1))


def _take(
    cloud: Cloud, evaluate: Evaluate, x: Tensor, y: Tensor, said: Tensor, noise: float, generator: torch.Generator
) -> None:
    """Weigh the cloud by the last pair of x [N, T, d], y [N, T, m], to which it `said` [N, P, m]; move it where need be."""
    scale = -0.5 / noise**2
    gain = (said - y[:, None, -1]).square().sum(-1) * scale
    taken, rows = y.new_zeros(len(y)), torch.arange(len(y))
    while True:
        part = _part(cloud.log_weight[rows], gain[rows], 1 - taken[rows])
        cloud.log_weight[rows] += part[:, None] * gain[rows]
        cloud.fit[rows] += part[:, None] * gain[rows]
        taken[rows] += part
        weight = cloud.log_weight.softmax(1)
        few = (1 / weight.square().sum(1) < ENOUGH * weight.shape[1] * 1.001) | (taken < 1)
        moved = few.nonzero()[:, 0]
        if len(moved):
            gain[moved] = _move(cloud, moved, weight[moved], evaluate, x[moved], y[moved], taken[moved], scale, generator)
        rows = (taken < 1).nonzero()[:, 0]
        if not len(rows):
            return


def _part(log_weight: Tensor, gain: Tensor, most: Tensor) -> Tensor:
    """How much of the gain, at most `most` [N], leaves half of the points effective; not less than a thousandth."""

    def effective(part: Tensor) -> Tensor:
        weight = (log_weight + part[:, None] * gain).softmax(1)
        return 1 / weight.square().sum(1)

    enough = ENOUGH * gain.shape[1]
    low, high = torch.zeros_like(most), most.clone()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fine = effective(middle) >= enough
        low, high = torch.where(fine, middle, low), torch.where(fine, high, middle)
    # To take all of it and leave too few for once is as good as to take nearly all of it.
    all_of_it = effective(most) >= enough / 4
    return torch.where(all_of_it, most, low.clamp_min(1e-3).minimum(most))


def _move(
    cloud: Cloud, rows: Tensor, weight: Tensor, evaluate: Evaluate, x: Tensor, y: Tensor, taken: Tensor, scale: float,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Draw the points of some sequences anew by their weights, and move them; return the gain [N, P] of the last pair."""
    n, points, size = len(rows), weight.shape[1], cloud.u.shape[2]
    at = (torch.arange(points, dtype=torch.float64) + torch.rand(n, 1, generator=generator, dtype=torch.float64)) / points
    parent = torch.searchsorted(weight.cumsum(1), at).clamp_max(points - 1)
    u = cloud.u[rows].gather(1, parent[..., None].expand(-1, -1, size))
    fit, last = _fit(evaluate, u, x, y, taken, scale)
    centred = u - u.mean(1, keepdim=True)
    covariance = centred.mT @ centred / points + 1e-12 * torch.eye(size, dtype=torch.float64)
    root, width = torch.linalg.cholesky(covariance), torch.full((n, 1, 1), 2.38 / size**0.5, dtype=torch.float64)
    for _ in range(MOVES):
        step = torch.randn(n, points, size, generator=generator, dtype=torch.float64) @ root.mT
        # Reflected at the faces of the cube: 1.2 is 0.8, -0.1 is 0.1.
        moved = 1 - (1 - (u + width * step) % 2).abs()
        fit_there, last_there = _fit(evaluate, moved, x, y, taken, scale)
        chance = torch.rand(n, points, generator=generator, dtype=torch.float64).log()
        accept = chance < fit_there - fit
        u = torch.where(accept[..., None], moved, u)
        fit, last = torch.where(accept, fit_there, fit), torch.where(accept, last_there, last)
        width = width * (accept.double().mean(1)[:, None, None] - 0.3).exp()
    cloud.u[rows], cloud.fit[rows], cloud.log_weight[rows] = u, fit, 0.0
    return last


def _fit(evaluate: Evaluate, u: Tensor, x: Tensor, y: Tensor, taken: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The log likelihood of the pairs, of the last of them a part only, and that of the last whole, [N, P] each."""
    each = (_outputs(evaluate, u, x) - y[:, None]).square().sum(-1) * scale
    return each[..., :-1].sum(-1) + taken[:, None] * each[..., -1], each[..., -1]
