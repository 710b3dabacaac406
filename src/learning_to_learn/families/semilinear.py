"""Semi-linear mappings y = (1 + tanh(w1 x1 + w2 x2 + w3)) / 2 with w, x in [-1, 1] (the paper's section 4).

All the mappings that one neuron with two inputs and a bias can learn. u = atanh(2 y - 1) is linear in w, so a noise-free pair
cuts the cube of all w by a plane: after one pair the posterior is uniform on a polygon, after two on a segment, after
three it is a point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from learning_to_learn.families.family import (
    AtTest,
    Family,
    FamilyConfig,
    Learner,
    LinearForm,
    Variances,
    mean_and_error,
    symmetric,
)
from learning_to_learn.families.noisy_family import NoisyFamily
from learning_to_learn.families.polytope import chord
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

GRID = 64
"""Points a side of the midpoint rule on the polygon; on the segment, four times as many."""
SAMPLES = 40_000
CHUNK = 1000
RATES = np.geomspace(0.03, 30, 31)
"""Learning rates that the neuron's gradient descent is tried with."""
WIDEST = 2.5
"""Inputs beyond this give outputs so near to 0 or 1 that float32 no longer tells the weighted sum from them."""
EDGE = 1e-6
"""Outputs this near to 0 or 1 count as that far away, where their inverse is taken."""


@dataclass
class SemiLinearAtTest(AtTest):
    """What can be different in the test data."""

    noise: float | None = number(None, least=0)
    """Standard deviation of the targets' noise; null: that of training."""
    input_range: float | None = number(None, above=0, below=WIDEST)
    """Test inputs are uniform in [-input_range, input_range); null: as in training."""


@dataclass
class SemiLinearConfig(FamilyConfig):
    """The keys of the semi-linear mappings."""

    name: str = "semilinear"
    noise: float = number(0.0, least=0)
    """Standard deviation of normal noise on the targets; the paper has none. The Bayes predictor is then a sampler."""
    input_range: float = number(1.0, above=0, below=WIDEST)
    """Inputs are uniform in [-input_range, input_range); the paper's is 1."""
    test: SemiLinearAtTest = field(default_factory=SemiLinearAtTest)


class SemiLinear(NoisyFamily):
    """Mappings that one neuron can learn: y = (1 + tanh(w1 x1 + w2 x2 + w3)) / 2."""

    config: ClassVar[type[FamilyConfig]] = SemiLinearConfig
    dimensions = 3
    pairs = (("linear", "squared"),)
    parameter_names = ("w1", "w2", "w3")
    paper_cycles: ClassVar[dict[int, int]] = {64: 10, 1000: 50}

    def __init__(self, noise: float = 0.0, input_range: float = 1.0) -> None:
        self.noise, self.noise_uniforms, self.input_range = noise, 1 if noise else 0, input_range

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.noise, config.input_range)

    @property
    def floor_key(self) -> str:
        noise = f"_noise{self.noise:g}" if self.noise else ""
        return f"semilinear{noise}" + (f"_range{self.input_range:g}" if self.input_range != 1 else "")

    @property
    def predictable(self) -> int:
        return 256 if self.noise else super().predictable

    @classmethod
    def estimated(cls) -> list[Family]:
        return [cls()]

    @property
    def certain_after(self) -> int | None:
        return None if self.noise else self.dimensions

    def linear_form(self) -> LinearForm:
        return LinearForm(
            lambda x: np.concatenate([x, np.ones_like(x[..., :1])], -1),
            lambda s: (1 + np.tanh(s)) / 2,
            lambda y: np.arctanh(np.clip(2 * y - 1, EDGE - 1, 1 - EDGE)),
        )

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:
        rate = best_rate(x, y)
        return {f"a neuron's gradient descent (rate {rate:.2g})": lambda x, y: gradient_descent(x, y, rate)}

    def mappings(self, u: torch.Tensor) -> torch.Tensor:
        return symmetric(u)

    def evaluate(self, mapping: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        w1, w2, w3 = mapping.unsqueeze(-2).unbind(-1)
        # (1 + tanh(z)) / 2 is the logistic function of 2 z.
        return torch.sigmoid(2 * (w1 * x[..., 0] + w2 * x[..., 1] + w3)).unsqueeze(-1)

    def bayes(self, mapping: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Quadrature over the cube, the polygon and the segment; from the fourth pair on, the truth. With noise, a sampler."""
        del mapping
        if self.noise:
            return self._sampled(x, y)[0].to(y)
        out = y.double().clone()
        for first in range(0, len(y), CHUNK):
            rows = slice(first, first + CHUNK)
            moments = _moments(x[rows, :3].double().numpy(), y[rows, :3, 0].double().numpy())
            for t, (mean, _) in enumerate(moments):
                out[rows, t, 0] = torch.from_numpy(mean)
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
    """Return the posterior mean and variance of the first, second and third output [N] of sequences x [N, 3, 2], y [N, 3]."""
    u = np.arctanh(np.clip(2 * y - 1, -1 + 1e-15, 1 - 1e-15))
    found = [_after_no_pair(x[:, 0])]
    if y.shape[1] > 1:
        found.append(_after_one_pair(x[:, 0], u[:, 0], x[:, 1]))
    if y.shape[1] > 2:
        found.append(_after_two_pairs(x[:, :2], u[:, :2], x[:, 2]))
    return found


def _square() -> tuple[np.ndarray, np.ndarray]:
    """Return w1 and w2 [1, GRID^2] on the midpoints of a grid over [-1, 1]^2."""
    side = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    w1, w2 = np.meshgrid(side, side)
    return w1.ravel()[None], w2.ravel()[None]


def _after_no_pair(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of y at inputs x [N, 2], with w uniform in the cube.

    With z = w1 x1 + w2 x2 + w3 the mean over w3 is in closed form, that over w1 and w2 by the midpoint rule.
    """
    w1, w2 = _square()
    z = w1 * x[:, :1] + w2 * x[:, 1:]
    log_cosh = np.logaddexp(z + 1, -z - 1) - np.logaddexp(z - 1, 1 - z)
    tanh_mean = log_cosh / 2
    square_mean = 1 - (np.tanh(z + 1) - np.tanh(z - 1)) / 2  # tanh^2 = 1 - d tanh
    return _y_moments(tanh_mean.mean(1), square_mean.mean(1))


def _after_one_pair(seen: np.ndarray, u: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of y at inputs x [N, 2] after a pair: input seen [N, 2] and u = atanh(2 y - 1) [N].

    The posterior is uniform over the (w1, w2) for which w3 = u - w1 x1 - w2 x2 lies in the cube.
    """
    w1, w2 = _square()
    w3 = u[:, None] - w1 * seen[:, :1] - w2 * seen[:, 1:]
    inside = np.abs(w3) <= 1
    tanh = np.tanh(w1 * x[:, :1] + w2 * x[:, 1:] + w3)
    count = np.maximum(inside.sum(1), 1)
    return _y_moments((tanh * inside).sum(1) / count, (tanh**2 * inside).sum(1) / count)


def _after_two_pairs(seen: np.ndarray, u: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of y at inputs x [N, 2] after two pairs: inputs seen [N, 2, 2] and u [N, 2].

    The posterior is uniform on the segment in which the line of all solutions cuts the cube.
    """
    n = len(x)
    ones = np.ones((n, 1))
    a, b = np.hstack([seen[:, 0], ones]), np.hstack([seen[:, 1], ones])
    direction = np.cross(a, b)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    point = np.linalg.solve(np.stack([a, b, direction], 1), np.stack([u[:, 0], u[:, 1], np.zeros(n)], 1)[..., None])[..., 0]
    low, high = chord(point, direction)
    steps = (np.arange(4 * GRID) + 0.5) / (4 * GRID)
    s = low[:, None] + np.maximum(high - low, 0)[:, None] * steps
    w = point[:, None] + s[..., None] * direction[:, None]
    tanh = 2 * _value(w, x[:, None]) - 1
    return _y_moments(tanh.mean(1), (tanh**2).mean(1))


def _y_moments(tanh_mean: np.ndarray, square_mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of (1 + tanh) / 2, from the means of tanh and of its square."""
    return 0.5 + tanh_mean / 2, np.maximum(square_mean - tanh_mean**2, 0) / 4


def gradient_descent(x: np.ndarray, y: np.ndarray, rate: float) -> np.ndarray:
    """Predict with one neuron y = (1 + tanh(w1 x1 + w2 x2 + w3)) / 2 that takes a step of gradient descent after every pair.

    x [N, T, 2] and y [N, T, 1] to predictions [N, T, 1]; the weights start at zero.
    """
    source = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    weights, predictions = np.zeros((len(x), 3)), np.empty(y.shape[:2])
    for t in range(y.shape[1]):
        tanh = np.tanh(np.einsum("ni,ni->n", weights, source[:, t]))
        predictions[:, t] = (1 + tanh) / 2
        slope = (predictions[:, t] - y[:, t, 0]) * (1 - tanh**2)
        weights -= rate * slope[:, None] * source[:, t]
    return predictions[..., None]


def best_rate(x: np.ndarray, y: np.ndarray) -> float:
    """Return the rate with which gradient descent has the least error on these sequences (not those that are reported)."""
    errors = [np.mean((gradient_descent(x, y, rate) - y) ** 2) for rate in RATES]
    return float(RATES[int(np.argmin(errors))])
