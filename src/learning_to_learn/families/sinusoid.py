"""Sinusoids (Finn, Abbeel & Levine 2017, MAML, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner
from learning_to_learn.families.noisy_family import NoisyFamily
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor

AMPLITUDE = (0.1, 5.0)
PHASES = 512
"""Points of the midpoint rule over the phases of an interval."""


@dataclass
class SinusoidAtTest(AtTest):
    """What can be different in the test data."""

    noise: float | None = number(None, least=0)
    """Standard deviation of the targets' noise; null: that of training."""
    input_range: float | None = number(None, above=0)
    """Inputs lie between minus this and this; null: as in training."""


@dataclass
class SinusoidConfig(FamilyConfig):
    """The keys of sinusoids."""

    name: str = "sinusoid"
    noise: float = number(0.0, least=0)
    """Standard deviation of the targets' noise; below 0.01 it must be 0."""
    input_range: float = number(5.0, above=0)
    """Inputs are uniform between minus this and this."""
    test: SinusoidAtTest = field(default_factory=SinusoidAtTest)


class Sinusoid(NoisyFamily):
    """y = A sin(x - phase) with A ~ U(0.1, 5), phase ~ U(0, pi), x ~ U(-5, 5).

    One sequence with A = 2 and phase 0: x = 1.57 -> 2, 0 -> 0, -1.57 -> -2. Without noise, two pairs tell both numbers; before
    that the Bayes predictor integrates over the phase. With noise it is a sampler.
    """

    config: ClassVar[type[FamilyConfig]] = SinusoidConfig
    input_size, output, dimensions = 1, "linear", 2
    parameter_names = ("amplitude", "phase")

    def __init__(self, noise: float = 0.0, input_range: float = 5.0) -> None:
        self.noise, self.input_range = noise, input_range
        self.noise_uniforms = 1 if noise else 0

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.noise, config.input_range)

    @property
    def floor_key(self) -> str:
        return f"sinusoid_noise{self.noise:g}_range{self.input_range:g}"

    @property
    def predictable(self) -> int:
        return 256 if self.noise else 8192

    @property
    def certain_after(self) -> int | None:
        return None if self.noise else 2

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        return {"least squares on sine and cosine": partial(_least_squares, self.noise)}

    def mappings(self, u: Tensor) -> Tensor:
        low, high = AMPLITUDE
        return torch.stack([low + u[..., 0] * (high - low), u[..., 1] * np.pi], -1)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        amplitude, phase = mapping.unsqueeze(-2).unbind(-1)
        return (amplitude * (x[..., 0] - phase).sin()).unsqueeze(-1)

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        if self.noise:
            return self._sampled(x, y)[0].to(y)
        out = self.evaluate(mapping, x).double()  # from the third cycle on, the truth
        z, targets = x[..., 0].double(), y[..., 0].double()
        out[:, 0, 0] = _before_any(z[:, 0])
        if y.shape[1] > 1:
            out[:, 1, 0] = _after_one(z[:, 0], targets[:, 0], z[:, 1])
        return out.to(y)


def _before_any(x: Tensor) -> Tensor:
    """The mean of y at x [N] over amplitudes and phases."""
    return sum(AMPLITUDE) / 2 * -2 * x.cos() / np.pi


def _after_one(seen: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The mean of y at x [N] after the pair (seen, y), [N] each.

    Given the phase, the amplitude is y / sin(seen - phase), with density 1 / |sin(seen - phase)| where it is an amplitude of
    the family. These phases make one or two intervals. Over u = log tan((seen - phase) / 2), whose derivative is minus that
    density, the posterior is uniform.
    """
    # With s = sin(seen - phase), the bounds of |s| are |y| / 5 and |y| / 0.1. All branches in [seen - pi, seen].
    size, sign = y.abs()[:, None], y.sign()[:, None]
    low, high = (size / AMPLITUDE[1]).clamp_max(1).asin(), (size / AMPLITUDE[0]).clamp_max(1).asin()
    total = y.new_zeros(len(y))
    found = y.new_zeros(len(y))
    for turn in range(-3, 4):
        for a, b in ((low, high), (np.pi - high, np.pi - low)):
            # seen - phase = angle + 2 pi turn (y > 0), or its negative (y < 0); the phase must lie in [0, pi].
            first, last = sign * a + 2 * np.pi * turn, sign * b + 2 * np.pi * turn
            start, end = torch.minimum(first, last), torch.maximum(first, last)
            start, end = torch.maximum(start, seen[:, None] - np.pi), torch.minimum(end, seen[:, None])
            inside = (end > start)[:, 0]
            if not inside.any():
                continue
            u0, u1 = _log_tan(start[inside]), _log_tan(end[inside])
            u = u0 + (u1 - u0) * (torch.arange(PHASES, dtype=torch.float64) + 0.5) / (PHASES)
            wide = (u1 - u0).abs()[:, 0]
            # From u back to the angle, in the branch that it came from.
            base = torch.floor(start[inside] / np.pi + 1e-9) * np.pi
            angle = base + 2 * torch.atan(u.exp())
            phase = seen[inside, None] - angle
            value = y[inside, None] / angle.sin() * (x[inside, None] - phase).sin()
            total[inside] += wide
            found[inside] += wide * value.mean(1)
    return found / total.clamp_min(1e-300)


def _log_tan(angle: Tensor) -> Tensor:
    """log tan of half the angle within its half turn: the integral of 1 / |sin|."""
    within = angle - torch.floor(angle / np.pi + 1e-9) * np.pi
    return (within / 2).tan().clamp_min(1e-300).log()


def _least_squares(noise: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from learning_to_learn.families.kalman import predictions

    z = torch.from_numpy(np.concatenate([np.sin(x), np.cos(x)], -1)).double()
    prior = torch.eye(2, dtype=torch.float64) * (AMPLITUDE[0] ** 2 + AMPLITUDE[0] * AMPLITUDE[1] + AMPLITUDE[1] ** 2) / 6
    return predictions(z, torch.from_numpy(y[..., 0]).double(), prior, max(noise, 1e-4)).unsqueeze(-1).numpy()
