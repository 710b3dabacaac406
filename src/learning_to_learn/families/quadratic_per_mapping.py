"""The posterior of the quadratic family scaled per mapping.

A mapping's own range is mapped to [0.2, 0.8], so its offset f and its length mean nothing: it is the direction of v = (a, b, c,
d, e), which has four degrees of freedom. k noise-free pairs leave a surface of 4 - k dimensions; four leave a few points,
five leave one.

Draws from the posterior: from a large bank of prior draws take those whose outputs at the seen inputs are nearest to the seen
outputs, and move each onto the surface where they are equal by Gauss-Newton steps of least length. Prior draws in a thin tube
around the surface lie in it as the posterior does (the tube is as much thicker as the outputs change less), so as the bank
grows this is exact.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from learning_to_learn.families.family import Variances, mean_and_error

LOW, SPAN = 0.2, 0.6
DIMENSIONS = 5
KNOWN_AFTER = 5
"""Pairs after which one mapping is left."""
THIN = 3
"""Pairs up to which the tube of the nearest draws is thin."""
NEAREST = 64
STEPS = 6
TOLERANCE = 1e-6


class Shapes:
    """A bank of `size` prior draws v [size, 5] with where each is least and largest."""

    def __init__(self, random: np.random.Generator, size: int = 60_000) -> None:
        self.random = random
        self.v = random.uniform(-1, 1, (size, DIMENSIONS)).astype(np.float32)
        self.low, self.high = extremes(self.v)

    def variances(self, sequences: int = 2500) -> Variances:
        """E[Var(y | k pairs)] for k = 0..4, with standard errors over the sequences."""
        x = self.random.uniform(-1, 1, (sequences, KNOWN_AFTER, 2))
        v = self.random.uniform(-1, 1, (sequences, DIMENSIONS))
        low, high = extremes(v)
        y = outputs(v[:, None], low[:, None], high[:, None], x)
        found: list[list[float]] = [[] for _ in range(KNOWN_AFTER)]
        for n in range(sequences):
            for k, (mean, variance, count) in enumerate(self._predictions(x[n], y[n])):
                # While the tube is thin the draws' own variance has the smaller error. Later they may miss a branch, which
                # the truth would not: it is one more draw, (1 + 1 / count) variances away from the mean of `count`.
                miss = (y[n, k] - mean) ** 2 * count / (count + 1)
                found[k].append(variance * count / max(count - 1, 1) if k < THIN else miss)
        values, errors = zip(*(mean_and_error(np.array(f)) for f in found), strict=True)
        return Variances(values, errors)

    def posterior_means(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Posterior means [N, 5] of the first five outputs of sequences x [N, T, 2], y [N, T], each given those before."""
        t = min(KNOWN_AFTER, x.shape[1])
        return np.array([[mean for mean, _, _ in self._predictions(x[n, :t], y[n, :t])] for n in range(len(x))])

    def _predictions(self, x: np.ndarray, y: np.ndarray) -> Iterator[tuple[float, float, int]]:
        """Mean, variance and number of draws of output k given the pairs before it, for k = 0, 1, ..."""
        said = outputs(self.v[:, None], self.low[:, None], self.high[:, None], x[None].astype(np.float32))
        distance = np.zeros(len(said), np.float32)
        for k in range(len(x)):
            draws = said[:, 0] if k == 0 else self._draws(x, y, k, distance)
            yield float(draws.mean()), float(draws.var()), len(draws)
            distance += (said[:, k] - np.float32(y[k])) ** 2

    def _draws(self, x: np.ndarray, y: np.ndarray, k: int, distance: np.ndarray) -> np.ndarray:
        """Output k of posterior draws given k pairs."""
        near = np.argpartition(distance, NEAREST)[:NEAREST]
        v = self.v[near].astype(np.float64)
        for _ in range(STEPS):
            low, high = extremes(v)
            wrong = outputs(v[:, None], low[:, None], high[:, None], x[None, :k]) - y[:k]
            slopes = _slopes(v, low, high, x[:k])
            v = v - np.einsum("nij,nj->ni", np.linalg.pinv(slopes, rcond=1e-6), wrong).clip(-0.3, 0.3)
        low, high = extremes(v)
        wrong = np.abs(outputs(v[:, None], low[:, None], high[:, None], x[None, :k]) - y[:k]).max(1)
        good = (wrong < TOLERANCE) & (np.abs(v).max(1) <= 1)
        if not good.any():  # all fell outside the cube: the nearest as they are
            return outputs(self.v[near], self.low[near], self.high[near], x[k])
        return outputs(v[good], low[good], high[good], x[k])


def features(x: np.ndarray) -> np.ndarray:
    """Return (x1^2, x2^2, x1 x2, x1, x2) of inputs [..., 2]."""
    x1, x2 = x[..., 0], x[..., 1]
    return np.stack([x1 * x1, x2 * x2, x1 * x2, x1, x2], -1)


def critical_points(a: Any, b: Any, c: Any, d: Any, e: Any) -> list[tuple[Any, Any]]:
    """Return the points (x1, x2) where quadratics can be extreme, besides the corners: arrays of numpy or torch.

    They are the tops of the parabolas along the edges x2 = -1, x1 = -1, x2 = 1, x1 = 1, and last the inner critical point. Some
    lie outside the square, or at infinity.
    """
    points, det = [], 4 * a * b - c * c
    for s in (-1, 1):
        edge = 0 * a + s
        points += [(-(c * s + d) / (2 * a), edge), (edge, -(c * s + e) / (2 * b))]
    return [*points, ((c * e - 2 * b * d) / det, (c * d - 2 * a * e) / det)]


def extremes(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the features [N, 5] of the points of the square where quadratics v [N, 5] are least and largest."""
    a, b, c, d, e = (v[:, i] for i in range(DIMENSIONS))
    one = np.ones_like(a)
    points = [(s * one, t * one) for s in (-1, 1) for t in (-1, 1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        points += critical_points(a, b, c, d, e)
    place = np.nan_to_num(np.array(points), nan=2.0, posinf=2.0, neginf=2.0)  # [9, 2, N]
    inside = (np.abs(place) <= 1).all(1)
    place = np.where(inside[:, None], place, 1.0)
    f = features(np.moveaxis(place, 1, 2))  # [9, N, 5]
    q = np.einsum("pni,ni->pn", f, v)
    n = np.arange(len(v))
    return f[q.argmin(0), n].astype(v.dtype), f[q.argmax(0), n].astype(v.dtype)


def outputs(v: np.ndarray, low: np.ndarray, high: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y [...] of quadratics v with extremes at features `low` and `high`, all [..., 5], at inputs x [..., 2]."""
    f = features(x)
    above = np.einsum("...i,...i->...", f - low, v)
    return LOW + SPAN * above / np.einsum("...i,...i->...", high - low, v)


def _slopes(v: np.ndarray, low: np.ndarray, high: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy/dv [N, k, 5] at inputs x [k, 2]; the extremes move along, to first order for nothing (the envelope theorem)."""
    f = features(x)[None] - low[:, None]
    above = np.einsum("nki,ni->nk", f, v)[..., None]
    span = high - low
    height = np.einsum("ni,ni->n", span, v)[:, None, None]
    return SPAN * (f * height - above * span[:, None]) / height**2
