"""What a family is: how to draw a mapping, evaluate it, and predict it as well as possible."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn.errors import UserError

FLOORS = Path(__file__).with_name("floors.json")
"""Estimated once by `make floors`."""


@dataclass(frozen=True)
class Floor:
    """Mean squared errors with their standard errors (0 where the value is exact)."""

    no_learning: float
    no_learning_error: float
    floor: float
    floor_error: float


@dataclass(frozen=True)
class Variances:
    """How uncertain the best learner still is: E[Var(y | k examples)] for k = 0, 1, ...; zero past the end.

    The first is the no-learning MSE.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]

    def floor(self, cycles: int) -> Floor:
        """Over the first `cycles` cycles: the Bayes-optimal learner's mean squared error."""
        k = min(cycles, len(self.values))
        errors = np.square(self.errors[:k]).sum() ** 0.5
        return Floor(self.values[0], self.errors[0], sum(self.values[:k]) / cycles, float(errors) / cycles)


class Family(ABC):
    """A distribution over mappings. A mapping is a row of `dimensions` numbers drawn from `dimensions` uniform ones."""

    name: ClassVar[str]
    dimensions: ClassVar[int]

    @abstractmethod
    def mappings(self, u: Float[Tensor, "*n D"]) -> Float[Tensor, "*n E"]:
        """Mappings from numbers uniform in [0, 1)."""

    @abstractmethod
    def inputs(self, u: Float[Tensor, "*n T 2"]) -> Float[Tensor, "*n T 2"]:
        """Inputs from numbers uniform in [0, 1)."""

    @abstractmethod
    def evaluate(self, mapping: Float[Tensor, "*n E"], x: Float[Tensor, "*n T 2"]) -> Float[Tensor, "*n T"]:
        """The mapping's outputs."""

    @abstractmethod
    def bayes(self, mapping: Float[Tensor, "N E"], x: Float[Tensor, "N T 2"], y: Float[Tensor, "N T"]) -> Float[Tensor, "N T"]:
        """The Bayes-optimal predictions: at every cycle the posterior mean given all pairs before it.

        `mapping` is the truth. Samplers may start from it, for it is itself a draw from the posterior; they must forget it.
        """

    @property
    def floor_key(self) -> str:
        """What the floor depends on besides the sequence length."""
        return self.name

    def variances(self) -> Variances:
        """From the cached estimates. Raises UserError where there is none for this family."""
        table = _read_floors()
        if self.floor_key not in table:
            raise UserError(f"no floor is known for {self.floor_key!r} (run `make floors`); known: {', '.join(sorted(table))}")
        entry = table[self.floor_key]
        return Variances(tuple(entry["variances"]), tuple(entry["standard_errors"]))

    def estimate_variances(self, seed: int) -> Variances:
        """Compute what `variances` returns from the cache."""
        raise NotImplementedError(f"{self.name}: its variances are exact")

    def floor(self, cycles: int) -> Floor:
        """No-learning MSE and Bayes floor over sequences of that many cycles."""
        return self.variances().floor(cycles)


@cache
def _read_floors() -> dict:
    return json.loads(FLOORS.read_text())


def mean_and_error(samples: np.ndarray) -> tuple[float, float]:
    """The mean of independent samples and its standard error."""
    return float(samples.mean()), float(samples.std(ddof=1) / len(samples) ** 0.5)


def symmetric(u: Tensor) -> Tensor:
    """From [0, 1) to [-1, 1)."""
    return torch.add(u, u).sub_(1)
