"""Uniform draws from the cube [-1, 1]^d cut by planes: hit-and-run (Smith 1984), for many polytopes at once."""

from collections.abc import Iterator

import numpy as np


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


def chord(point: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and largest s [N] for which point + s direction, both [N, d], lies in the cube [-1, 1]^d."""
    with np.errstate(divide="ignore"):
        ends = np.stack([(-1 - point) / direction, (1 - point) / direction])
    return ends.min(0).max(1), ends.max(0).min(1)
