"""Quadratic mappings q = a x1^2 + b x2^2 + c x1 x2 + d x1 + e x2 + f with a..f, x in [-1, 1] (the paper's section 4).

"The y was scaled to the interval [0.2, 0.8]" can be read two ways. `global`: the family's whole range [-6, 6] is mapped, y =
0.5 + 0.05 q. `per_mapping`: each mapping's own range over the square [-1, 1]^2 is mapped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from learning_to_learn.errors import choose
from learning_to_learn.families.family import (
    AtTest,
    Family,
    FamilyConfig,
    LinearForm,
    Variances,
    mean_and_error,
    symmetric,
)
from learning_to_learn.families.noisy_family import NoisyFamily
from learning_to_learn.families.polytope import centroids, hit_and_run
from learning_to_learn.families.quadratic_per_mapping import KNOWN_AFTER, Shapes, critical_points, features
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

WIDEST = 5.0
"""Of inputs. Outputs outside [0, 1], which wider inputs than the paper's have, are for linear output neurons."""
SLOPE = 0.05
LOW, SPAN = 0.2, 0.6
COEFFICIENTS = 6
SAMPLES = 12_000
MEAN_STEPS = 2000
"""Steps of the sampler of posterior means, whose squared error is then some 0.3 % of the floor."""
STEPS, BURN_IN = 600, 100
"""Steps of the hit-and-run sampler, and how many of them are left out. Its autocorrelation falls below 1 % within 40 steps."""

# E[phi phi'] over x uniform in the square, for phi = (x1^2, x2^2, x1 x2, x1, x2, 1).
MOMENTS = np.diag([1 / 5, 1 / 5, 1 / 9, 1 / 3, 1 / 3, 1.0])
MOMENTS[0, 1] = MOMENTS[1, 0] = 1 / 9
MOMENTS[[0, 1, 5, 5], [5, 5, 0, 1]] = 1 / 3


@dataclass
class QuadraticAtTest(AtTest):
    """What can be different in the test data."""

    noise: float | None = number(None, least=0)
    """Standard deviation of the targets' noise; null: that of training."""
    input_range: float | None = number(None, above=0, below=WIDEST)
    """Test inputs are uniform in [-input_range, input_range); null: as in training."""


@dataclass
class QuadraticConfig(FamilyConfig):
    """The keys of the quadratic mappings."""

    name: str = "quadratic"
    scaling: str = "global"
    """How y is scaled to [0.2, 0.8]: `global`, by the family's range, or `per_mapping`, by each mapping's own."""
    noise: float = number(0.0, least=0)
    """Standard deviation of normal noise on the targets; the paper has none. The Bayes predictor is then a sampler."""
    input_range: float = number(1.0, above=0, below=WIDEST)
    """Inputs are uniform in [-input_range, input_range); the paper's is 1."""
    test: QuadraticAtTest = field(default_factory=QuadraticAtTest)


class Quadratic(NoisyFamily):
    """`scaling` is "global" or "per_mapping". Raises UserError on another."""

    config: ClassVar[type[FamilyConfig]] = QuadraticConfig
    dimensions = COEFFICIENTS
    pairs = (("linear", "squared"),)
    parameter_names = ("a", "b", "c", "d", "e", "f")
    paper_cycles: ClassVar[dict[int, int]] = {100: 35}

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.scaling, config.noise, config.input_range)

    @classmethod
    def estimated(cls) -> list[Family]:
        return [cls("global"), cls("per_mapping")]

    def linear_form(self) -> LinearForm:
        return LinearForm(phi, lambda q: 0.5 + SLOPE * q, lambda y: (y - 0.5) / SLOPE)

    def __init__(self, scaling: str = "global", noise: float = 0.0, input_range: float = 1.0) -> None:
        self.noise, self.noise_uniforms, self.input_range = noise, 1 if noise else 0, input_range
        self._per_mapping = choose("family.scaling", scaling, {"global": False, "per_mapping": True})
        self.scaling = scaling

    @property
    def predictable(self) -> int:
        if self.noise:
            return 256
        return 512 if self._per_mapping else super().predictable

    @property
    def certain_after(self) -> int | None:
        if self.noise:
            return None
        return KNOWN_AFTER if self._per_mapping else COEFFICIENTS

    @property
    def floor_key(self) -> str:
        noise = f"_noise{self.noise:g}" if self.noise else ""
        return f"quadratic_{self.scaling}{noise}" + (f"_range{self.input_range:g}" if self.input_range != 1 else "")

    def mappings(self, u: torch.Tensor) -> torch.Tensor:
        """The coefficients of y: a..f, scaled."""
        w = symmetric(u)
        if not self._per_mapping:
            w = w * SLOPE
            w[..., -1] += 0.5
            return w
        low, high = value_range(w)
        w = w * (SPAN / (high - low)).unsqueeze(-1)
        w[..., -1] += LOW - SPAN * low / (high - low)
        return w

    def evaluate(self, mapping: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        a, b, c, d, e, f = mapping.unsqueeze(-2).unbind(-1)
        x1, x2 = x.unbind(-1)
        return ((a * x1 + d) * x1 + (b * x2 + c * x1 + e) * x2 + f).unsqueeze(-1)

    def bayes(self, mapping: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Posterior means by sampling, without noise up to the cycle from which the pairs leave one mapping; then the truth."""
        if self.noise:
            return self._sampled(x, y)[0].to(y)
        random = np.random.default_rng(0)
        out = y.double().clone()
        inputs, outputs = x.double().numpy(), y[..., 0].double().numpy()
        if self._per_mapping:
            means = Shapes(random).posterior_means(inputs, outputs)
        else:
            w = mapping.double().numpy() / SLOPE
            w[:, -1] -= 0.5 / SLOPE
            means = 0.5 + SLOPE * _posterior_means(w, inputs)
        out[:, : means.shape[1], 0] = torch.from_numpy(means)
        return out.to(y)

    def estimate_variances(self, seed: int) -> Variances:
        random = np.random.default_rng(seed)
        if self._per_mapping:
            return Shapes(random).variances()
        # No pair: Var(q | x) = sum of phi^2 / 3.
        values, errors = [SLOPE**2 * float(np.trace(MOMENTS)) / 3], [0.0]
        for k in range(1, COEFFICIENTS):
            w = random.uniform(-1, 1, (SAMPLES, COEFFICIENTS))
            seen = phi(random.uniform(-1, 1, (SAMPLES, k, 2)))
            terms = []
            for step, draw in enumerate(hit_and_run(w, seen, STEPS, random)):
                if step >= BURN_IN:
                    # w and the draw are two independent draws from the posterior: E[(q - q')^2] / 2 is its variance.
                    terms.append(np.einsum("ni,ij,nj->n", draw - w, MOMENTS, draw - w) / 2)
            mean, error = mean_and_error(np.mean(terms, 0) * SLOPE**2)
            values.append(mean)
            errors.append(error)
        return Variances(tuple(values), tuple(errors))


def phi(x: np.ndarray) -> np.ndarray:
    """Return the features [..., 6] of inputs [..., 2]: (x1^2, x2^2, x1 x2, x1, x2, 1)."""
    return np.concatenate([features(x), np.ones_like(x[..., :1])], -1)


def _posterior_means(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the posterior mean of q at the first six inputs of sequences x [N, T, 2], each given the pairs before it."""
    seen = phi(x[:, :COEFFICIENTS])
    means = np.zeros((len(x), seen.shape[1]))
    for k in range(1, means.shape[1]):
        means[:, k] = np.einsum("ni,ni->n", centroids(w, seen[:, :k], MEAN_STEPS, seed=k), seen[:, k])
    return means


def value_range(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the least and largest value over the square [-1, 1]^2 of quadratics with coefficients w [..., 6].

    They lie at a corner, at the top or bottom of the parabola along an edge, or at the inner critical point.
    """
    a, b, c, d, e, f = w.unbind(-1)
    corners = [a + b + s * t * c + s * d + t * e + f for s in (-1, 1) for t in (-1, 1)]
    candidates = list(corners)
    low, high = torch.stack(corners).amin(0), torch.stack(corners).amax(0)
    *edges, (x1, x2) = critical_points(a, b, c, d, e)
    for s, (bottom, _), (_, side) in ((-1, edges[0], edges[1]), (1, edges[2], edges[3])):
        for at, slope, rest in ((bottom, c * s + d, b + s * e + f), (side, c * s + e, a + s * d + f)):
            candidates.append(torch.where(at.abs() <= 1, rest + slope * at / 2, corners[0]))
    candidates.append(torch.where((x1.abs() <= 1) & (x2.abs() <= 1), f + (d * x1 + e * x2) / 2, corners[0]))
    for value in candidates[4:]:
        value = torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)
        value = torch.where(value == 0, corners[0], value)
        low, high = torch.minimum(low, value), torch.maximum(high, value)
    return low, high
