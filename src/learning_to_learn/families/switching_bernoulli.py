"""Coins that are exchanged now and then: an unknown bias that may be new at every toss (Adams & MacKay 2007)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor

LATELY = 5
"""A switch this many tosses ago or fewer is one that the statistics call recent."""
DISCOUNTS = 1 - np.geomspace(0.01, 0.5, 12)
"""Discounts that the forgetful counts are tried with."""


@dataclass
class SwitchingBernoulliAtTest(AtTest):
    """What can be different in the test data."""

    switch_rate: float | None = number(None, least=0, below=1)
    """The probability of another coin at each toss; null: that of training."""


@dataclass
class SwitchingBernoulliConfig(FamilyConfig):
    """The keys of switching coins."""

    name: str = "switching_bernoulli"
    switch_rate: float = number(0.05, least=0, below=1)
    """The probability that the coin is exchanged for another before a toss."""
    test: SwitchingBernoulliAtTest = field(default_factory=SwitchingBernoulliAtTest)


class SwitchingBernoulli(Family):
    """A coin of bias p ~ U(0, 1) that is exchanged for another with probability h before each toss, and no inputs.

    One sequence, exchanged after four tosses: 1 1 0 1 | 0 0 0 1 0 0 ... The Bayes predictor knows h, and weighs how long ago
    the last exchange may have been. The loss is in nats a toss. The source that knows the coins is what regret is counted from.
    """

    config: ClassVar[type[FamilyConfig]] = SwitchingBernoulliConfig
    input_size, output, loss, moving = 0, "logistic", "log", True
    pairs = (("logistic", "squared"),)
    dimensions, noise_uniforms = 2, 1

    def __init__(self, switch_rate: float = 0.05) -> None:
        self.switch_rate = switch_rate

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.switch_rate)

    @property
    def floor_key(self) -> str:
        return f"switching_bernoulli_{self.switch_rate:g}"

    def dimensions_at(self, length: int) -> int:
        return 2 * length

    def mappings(self, u: Tensor) -> Tensor:
        """The bias at every toss, [*n, T]: the first half of u are biases, the second half decides which of them is on."""
        biases, chance = u.chunk(2, -1)
        now = torch.arange(biases.shape[-1]).expand(biases.shape)
        since = torch.where(chance < self.switch_rate, now, 0).cummax(-1).values
        return biases.gather(-1, since)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        del x
        return mapping.unsqueeze(-1)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        del x
        return (u < mapping.unsqueeze(-1)).to(u)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.full_like(y, 0.5)

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:
        discount = min(DISCOUNTS, key=lambda d: _log_loss(discounted_counts(d, x, y), y))
        return {
            "counts of all tosses": partial(discounted_counts, 1.0),
            f"counts with discount {discount:.2g}": partial(discounted_counts, discount),
        }

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The mean over run lengths, the tosses since the last exchange, whose posterior a forward recursion carries along."""
        del mapping, x
        found = [(weight * mean).sum(1) for weight, mean in run_lengths(y[..., 0].double(), self.switch_rate)]
        return torch.stack(found, 1).unsqueeze(-1).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return what the Bayes learner knows before y[t], [N, T, 1] each.

        The run-length posterior has t + 1 numbers. Its mean stands for it, the probability of a recent exchange, and the bias's
        posterior mean and variance.
        """
        del x
        found: dict[str, list[Tensor]] = {
            name: [] for name in ("posterior mean", "log variance", "run length", "recent switch")
        }
        for weight, mean in run_lengths(y[..., 0].double(), self.switch_rate):
            runs = torch.arange(weight.shape[1], dtype=torch.float64)
            said = (weight * mean).sum(1)
            spread = (weight * (mean * (1 - mean) / (runs + 3) + (mean - said[:, None]) ** 2)).sum(1)
            found["posterior mean"].append(said)
            found["log variance"].append(spread.log())
            found["run length"].append((weight * runs).sum(1))
            found["recent switch"].append(weight[:, : LATELY + 1].sum(1))
        return {name: torch.stack(values, 1).unsqueeze(-1) for name, values in found.items()}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, 1] that follow from `statistics`."""
        del x
        return statistics["posterior mean"]


def run_lengths(y: Tensor, switch_rate: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, before each toss of y [N, T], the posterior of run lengths 0..t and the mean bias given each, both [N, t + 1].

    (Adams & MacKay 2007, Algorithm 1.) A run of r tosses with k ones has the mean (k + 1) / (r + 2).
    """
    n, length = y.shape
    weight, ones = y.new_ones(n, 1), y.new_zeros(n, 1)
    for t in range(length):
        mean = (ones + 1) / (torch.arange(t + 1, dtype=y.dtype) + 2)
        yield weight, mean
        now = y[:, t, None]
        joint = weight * torch.where(now > 0.5, mean, 1 - mean)
        joint = joint / joint.sum(1, keepdim=True)
        weight = torch.cat([torch.full_like(now, switch_rate), (1 - switch_rate) * joint], 1)
        ones = torch.cat([torch.zeros_like(now), ones + now], 1)


def discounted_counts(discount: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict by Laplace's rule from counts that lose a part of their weight at every toss; x is not used."""
    del x
    ones, tosses, found = np.zeros(y[:, 0].shape), 0.0, np.empty(y.shape)
    for t in range(y.shape[1]):
        found[:, t] = (ones + 1) / (tosses + 2)
        ones, tosses = discount * ones + y[:, t], discount * tosses + 1
    return found


def _log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.where(y > 0.5, p, 1 - p)).mean())
