"""What a trainable number starts with: a value, or a distribution that values are drawn from.

>>> Uniform(0.9, 0.999)(0.5)
0.9495
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from learning_to_learn.lazy import torch

Number = TypeVar("Number", float, "torch.Tensor")


@dataclass(frozen=True)
class Uniform:
    """Uniform in [low, high)."""

    low: float
    high: float

    def __call__(self, u: Number) -> Number:
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True)
class LogUniform:
    """A number whose logarithm is uniform in [log low, log high), for rates and time constants. `low` is above 0."""

    low: float
    high: float

    def __call__(self, u: Number) -> Number:
        return self.low * (self.high / self.low) ** u


Start: TypeAlias = "float | Callable[[torch.Tensor], torch.Tensor]"
"""A value, or a function that makes a value of a number u that is uniform in [0, 1), such as the two above."""
