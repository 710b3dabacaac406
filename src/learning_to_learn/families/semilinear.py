"""Semi-linear mappings y = (1 + tanh(w1 x1 + w2 x2 + w3)) / 2 with w, x in [-1, 1] (the paper's section 4).

All the mappings that one neuron with two inputs and a bias can learn. u = atanh(2 y - 1) is linear in w, so a noise-free pair
cuts the cube of all w by a plane: after one pair the posterior is uniform on a polygon, after two on a segment, after
three it is a point.
"""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from learning_to_learn.families.family import Family, Variances, mean_and_error, symmetric

GRID = 64
"""Points a side of the midpoint rule on the polygon; on the segment, four times as many."""
SAMPLES = 40_000
CHUNK = 1000


class SemiLinear(Family):
    name: ClassVar[str] = "semilinear"
    dimensions: ClassVar[int] = 3

    def mappings(self, u: Tensor) -> Tensor:
        return symmetric(u)

    def inputs(self, u: Tensor) -> Tensor:
        return symmetric(u)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        w1, w2, w3 = mapping.unsqueeze(-2).unbind(-1)
        # (1 + tanh(z)) / 2 is the logistic function of 2 z.
        return torch.sigmoid(2 * (w1 * x[..., 0] + w2 * x[..., 1] + w3))

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Quadrature over the cube, the polygon and the segment; from the fourth pair on, the truth."""
        del mapping
        out = y.double().clone()
        for first in range(0, len(y), CHUNK):
            rows = slice(first, first + CHUNK)
            moments = _moments(x[rows, :3].double().numpy(), y[rows, :3].double().numpy())
            for t, (mean, _) in enumerate(moments):
                out[rows, t] = torch.from_numpy(mean)
        return out.to(y)

    def estimate_variances(self, seed: int) -> Variances:
        random = np.random.default_rng(seed)
        found: list[list[np.ndarray]] = [[], [], []]
        for _ in range(SAMPLES // CHUNK):
            w, x = random.uniform(-1, 1, (CHUNK, 1, 3)), random.uniform(-1, 1, (CHUNK, 3, 2))
            for k, (_, variance) in enumerate(_moments(x, _value(w, x))):
                found[k].append(variance)
        values, errors = zip(*(mean_and_error(np.concatenate(f)) for f in found), strict=True)
        return Variances(values, errors)


def _value(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y at inputs [..., 2] under weights [..., 3]."""
    return 0.5 + 0.5 * np.tanh(w[..., 0] * x[..., 0] + w[..., 1] * x[..., 1] + w[..., 2])


def _moments(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Posterior mean and variance of the first, second and third output [N] of sequences x [N, 3, 2], y [N, 3]."""
    n, t = y.shape
    u = np.arctanh(np.clip(2 * y - 1, -1 + 1e-15, 1 - 1e-15))
    side = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    w1, w2 = (g.ravel()[None] for g in np.meshgrid(side, side))
    found = []
    # No pair: z = w1 x1 + w2 x2 + w3, the mean over w3 in closed form, over w1 and w2 by the midpoint rule.
    z = w1 * x[:, 0, :1] + w2 * x[:, 0, 1:]
    log_cosh = np.logaddexp(z + 1, -z - 1) - np.logaddexp(z - 1, 1 - z)
    tanh_mean = log_cosh / 2
    square_mean = 1 - (np.tanh(z + 1) - np.tanh(z - 1)) / 2  # tanh^2 = 1 - d tanh
    found.append(_y_moments(tanh_mean.mean(1), square_mean.mean(1)))
    if t > 1:  # One pair: uniform over the (w1, w2) for which w3 = u - w1 x1 - w2 x2 lies in the cube.
        w3 = u[:, :1] - w1 * x[:, 0, :1] - w2 * x[:, 0, 1:]
        inside = np.abs(w3) <= 1
        tanh = np.tanh(w1 * x[:, 1, :1] + w2 * x[:, 1, 1:] + w3)
        count = np.maximum(inside.sum(1), 1)
        found.append(_y_moments((tanh * inside).sum(1) / count, (tanh**2 * inside).sum(1) / count))
    if t > 2:
        ones = np.ones((n, 1))
        a, b = np.hstack([x[:, 0], ones]), np.hstack([x[:, 1], ones])
        direction = np.cross(a, b)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        point = np.linalg.solve(np.stack([a, b, direction], 1), np.stack([u[:, 0], u[:, 1], np.zeros(n)], 1)[..., None])[..., 0]
        with np.errstate(divide="ignore"):
            ends = np.stack([(-1 - point) / direction, (1 - point) / direction])
        low, high = ends.min(0).max(1), ends.max(0).min(1)
        steps = (np.arange(4 * GRID) + 0.5) / (4 * GRID)
        s = low[:, None] + np.maximum(high - low, 0)[:, None] * steps
        w = point[:, None] + s[..., None] * direction[:, None]
        tanh = 2 * _value(w, x[:, 2:3]) - 1
        found.append(_y_moments(tanh.mean(1), (tanh**2).mean(1)))
    return found


def _y_moments(tanh_mean: np.ndarray, square_mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of (1 + tanh) / 2."""
    return 0.5 + tanh_mean / 2, np.maximum(square_mean - tanh_mean**2, 0) / 4
