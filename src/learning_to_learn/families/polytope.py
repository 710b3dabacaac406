"""Uniform draws from the cube [-1, 1]^d cut by planes, and means: hit-and-run (Smith 1984), for many polytopes at once."""

from collections.abc import Iterator

import numpy as np

from learning_to_learn.compiled import compiled, prange
from learning_to_learn.randomness import GOLDEN, mix


def hit_and_run(start: np.ndarray, normals: np.ndarray, steps: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """`steps` draws [N, d] from {w in the cube: normals w = normals start}; start [N, d], normals [N, k, d].

    Each step picks an even direction within the planes and a uniform point on its chord. Where `start` is itself a uniform
    draw, so is every step, without burn-in; they are correlated.
    """
    k = normals.shape[1]
    free = np.linalg.qr(np.swapaxes(normals, 1, 2), mode="complete")[0][:, :, k:]
    w = start.copy()
    for _ in range(steps):
        direction = np.einsum("nij,nj->ni", free, random.standard_normal((len(w), free.shape[2])))
        low, high = chord(w, direction)
        w = w + (low + random.uniform(size=len(w)) * (high - low))[:, None] * direction
        np.clip(w, -1, 1, out=w)
        yield w


def centroids(start: np.ndarray, normals: np.ndarray, steps: int, seed: int) -> np.ndarray:
    """Return the means [N, d] of {w in the cube: normals w = normals start}; start [N, d] is a uniform draw, normals [N, k, d].

    Each is an average over the steps of a walk by hit-and-run, of the middle of the step's chord instead of a point on it: that
    is the point's mean given the chord (Rao & Blackwell), so that the average is unbiased and has the smaller error. Where one
    direction is left, the chord is the whole set and its middle is exact.
    """
    k, d = normals.shape[1:]
    if k >= d:
        return start.copy()
    free = np.ascontiguousarray(np.linalg.qr(np.swapaxes(normals, 1, 2), mode="complete")[0][:, :, k:])
    means = np.empty(start.shape)
    _walk(np.ascontiguousarray(start), free, 1 if d - k == 1 else steps, np.uint64(seed), means)
    return means


@compiled(parallel=True)
def _walk(start, free, steps, seed, means):  # pragma: no cover - compiled
    """Walks from start [N, d] within the directions free [N, d, f]; the means of their chords' middles into means [N, d]."""
    n, d, f = free.shape
    for i in prange(n):
        w, total, direction = start[i].copy(), np.zeros(d), np.empty(d)
        counter = mix(seed ^ np.uint64(i))
        for _ in range(steps):
            direction[:] = 0.0
            for j in range(f):
                # Even in a cube of directions, not in a ball: any law that is symmetric and the same everywhere will do.
                counter += GOLDEN
                u = np.float64(mix(counter) >> np.uint64(11)) * 2.0**-52 - 1
                for c in range(d):
                    direction[c] += u * free[i, c, j]
            low, high = -np.inf, np.inf
            for c in range(d):
                if direction[c] != 0:
                    a, b = (-1 - w[c]) / direction[c], (1 - w[c]) / direction[c]
                    low, high = max(low, min(a, b)), min(high, max(a, b))
            counter += GOLDEN
            s = low + np.float64(mix(counter) >> np.uint64(11)) * 2.0**-53 * (high - low)
            for c in range(d):
                total[c] += w[c] + (low + high) / 2 * direction[c]
                w[c] = min(1.0, max(-1.0, w[c] + s * direction[c]))
        for c in range(d):
            means[i, c] = total[c] / steps


def chord(point: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and largest s [N] for which point + s direction, both [N, d], lies in the cube [-1, 1]^d."""
    with np.errstate(divide="ignore"):
        ends = np.stack([(-1 - point) / direction, (1 - point) / direction])
    return ends.min(0).max(1), ends.max(0).min(1)
