"""What a family is: how to draw a mapping, evaluate it, and predict it as well as possible."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number, one_of
from learning_to_learn.registry import MISSING

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
        """Return the Bayes-optimal learner's mean squared error over the first `cycles` cycles."""
        k = min(cycles, len(self.values))
        errors = np.square(self.errors[:k]).sum() ** 0.5
        return Floor(self.values[0], self.errors[0], sum(self.values[:k]) / cycles, float(errors) / cycles)


@dataclass(frozen=True)
class LinearForm:
    """A family's outputs as a function of a weighted sum: y = output(weights . features(x)).

    The weights have mean 0 and equal variance over the family.
    """

    features: Callable[[np.ndarray], np.ndarray]
    """Inputs [..., 2] to features [..., K]."""
    output: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]
    """The weighted sum that has a given output."""


Learner = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Predicts y[t] from the pairs before it: x [N, T, 2], y [N, T] to predictions [N, T]."""

FAMILIES: dict[str, type[Family]] = {}
"""Every family by its name. A subclass of `Family` that has a `config` enters by itself."""


@dataclass
class FamilyConfig:
    """The keys that every family has. One family's own keys stand in a subclass beside it."""

    name: str = MISSING
    """The family's name."""
    sequence_length: int = number(least=1)
    """T: the cycles of one mapping."""
    feedback: str = one_of(("target", "error"), "target")
    """What the third input carries: the previous cycle's `target`, or the `error` of its output."""
    carry_state: bool = False
    """Whether the state survives into the next mapping."""
    corpus: str = one_of(("fresh", "fixed"), "fresh")
    """`fresh`: new instances every epoch; `fixed`: the same ones, as in the paper."""
    training_mappings: int | None = number(None, least=1)
    """Train on that many mappings, drawn once for each replica and shown with new inputs; null: on new ones all the time."""

    def make(self, *, test: bool = False) -> Family:
        """Return the family that this configures; with `test`, the family of its test mappings."""
        return FAMILIES[self.name].from_config(self, test=test)


class Family(ABC):
    """A distribution over mappings. A mapping is a row of `dimensions` numbers drawn from `dimensions` uniform ones."""

    config: ClassVar[type[FamilyConfig]]
    """The type of its configuration, whose default name is the family's."""
    name: ClassVar[str]
    dimensions: ClassVar[int]
    parameter_names: ClassVar[tuple[str, ...]] = ()
    """What the numbers of a mapping are called, where a read-out of them means something; none for truth tables."""
    paper_cycles: ClassVar[dict[int, int]] = {}
    """Table 1's "cycles to learn", by sequence length."""

    @property
    def predictable(self) -> int:
        """How many sequences `bayes` can predict in a few seconds: on so many, at most, a learner is compared with it."""
        return 10**9

    def __init_subclass__(cls) -> None:
        if "config" in vars(cls):
            cls.name = cls.config.name
            FAMILIES[cls.name] = cls

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        """Return the family that a configuration describes; with `test`, the family of its test mappings."""
        return cls()

    @classmethod
    def estimated(cls) -> list[Family]:
        """Return the members of the family whose floor `make floors` estimates; none where the floor is exact."""
        return []

    def linear_form(self) -> LinearForm | None:
        """Return the features that the outputs are a function of, or None where none are known."""
        return None

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        """Return the family's own learners to compare a network with; x [N, T, 2], y [N, T] are for choosing their rates."""
        return {}

    @abstractmethod
    def mappings(self, u: Float[torch.Tensor, "*n D"]) -> Float[torch.Tensor, "*n E"]:
        """Return mappings from numbers uniform in [0, 1)."""

    @abstractmethod
    def inputs(self, u: Float[torch.Tensor, "*n T 2"]) -> Float[torch.Tensor, "*n T 2"]:
        """Return inputs from numbers uniform in [0, 1)."""

    @abstractmethod
    def evaluate(self, mapping: Float[torch.Tensor, "*n E"], x: Float[torch.Tensor, "*n T 2"]) -> Float[torch.Tensor, "*n T"]:
        """Return the mapping's outputs."""

    @abstractmethod
    def bayes(
        self, mapping: Float[torch.Tensor, "N E"], x: Float[torch.Tensor, "N T 2"], y: Float[torch.Tensor, "N T"]
    ) -> Float[torch.Tensor, "N T"]:
        """Return the Bayes-optimal predictions: at every cycle the posterior mean given all pairs before it.

        `mapping` is the truth. Samplers may start from it, for it is itself a draw from the posterior; they must forget it.
        """

    @property
    def floor_key(self) -> str:
        """A text for what the floor depends on besides the sequence length."""
        return self.name

    def variances(self) -> Variances:
        """Return the cached estimates. Raises UserError where there are none for this family."""
        table = _read_floors()
        if self.floor_key not in table:
            raise UserError(f"no floor is known for {self.floor_key!r} (run `make floors`); known: {', '.join(sorted(table))}")
        entry = table[self.floor_key]
        return Variances(tuple(entry["variances"]), tuple(entry["standard_errors"]))

    def estimate_variances(self, seed: int) -> Variances:
        """Compute what `variances` then returns from the cache."""
        raise NotImplementedError(f"{self.name}: its variances are exact")

    def floor(self, cycles: int) -> Floor:
        """Return the no-learning MSE and the Bayes floor over sequences of that many cycles."""
        return self.variances().floor(cycles)


@cache
def _read_floors() -> dict:
    return json.loads(FLOORS.read_text(encoding="utf-8"))


def mean_and_error(samples: np.ndarray) -> tuple[float, float]:
    """Return the mean of independent samples and its standard error."""
    return float(samples.mean()), float(samples.std(ddof=1) / len(samples) ** 0.5)


def symmetric(u: torch.Tensor) -> torch.Tensor:
    """Stretch [0, 1) to [-1, 1)."""
    return torch.add(u, u).sub_(1)
