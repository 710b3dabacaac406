"""Biased coins (Ortega et al. 2019, section 3; Mikulik et al. 2020): the first source that one learns to predict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Losses
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import numbers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class BernoulliAtTest(AtTest):
    """What can be different in the test data."""

    prior: list[float] | None = None
    """The biases' Beta distribution; null: that of training."""


@dataclass
class BernoulliConfig(FamilyConfig):
    """The keys of biased coins."""

    name: str = "bernoulli"
    prior: list[float] = numbers([1.0, 1.0], least=1e-3, count=2)  # noqa: RUF009
    """The Beta distribution of the probability of a 1: [1, 1] is uniform, [0.5, 0.5] is Jeffreys's."""
    test: BernoulliAtTest = field(default_factory=BernoulliAtTest)


class Bernoulli(Family):
    """A coin that shows 1 with probability p ~ Beta(a, b), and no inputs: 0 1 1 0 1 1 1 ... is predicted toss by toss.

    After k ones in t tosses the Bayes predictor says (k + a) / (t + a + b): Laplace's rule where p is uniform. The loss is in
    nats a toss.
    """

    config: ClassVar[type[FamilyConfig]] = BernoulliConfig
    input_size, output, loss = 0, "logistic", "log"
    pairs = (("logistic", "squared"),)
    dimensions = noise_uniforms = 1
    parameter_names = ("p",)

    def __init__(self, prior: tuple[float, float] = (1.0, 1.0)) -> None:
        self.prior = prior

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        BernoulliConfig.__dataclass_fields__["prior"].metadata["range"].check("family.prior", config.prior)
        return cls((config.prior[0], config.prior[1]))

    @property
    def floor_key(self) -> str:
        return f"bernoulli_{self.prior[0]:g}_{self.prior[1]:g}"

    def mappings(self, u: Tensor) -> Tensor:
        if self.prior == (1.0, 1.0):
            return u.clone()
        from scipy.special import betaincinv

        return torch.from_numpy(betaincinv(*self.prior, u.double().numpy())).to(u)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        return mapping.unsqueeze(-2).expand(*x.shape[:-1], 1)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        return (u < self.evaluate(mapping, x)).to(u)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.full_like(y, self.prior[0] / sum(self.prior))

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del mapping
        return self.predict(self.statistics(x, y), x).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the ones and the tosses before y[t], [N, T, 1] each."""
        del x
        ones = y.double().cumsum(1) - y.double()
        tosses = torch.arange(y.shape[1], dtype=torch.float64)[:, None].expand_as(ones)
        return {"ones": ones, "tosses": tosses}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, 1] that follow from `statistics`."""
        del x
        return (statistics["ones"] + self.prior[0]) / (statistics["tosses"] + sum(self.prior))

    def losses(self, cycles: int) -> Losses:
        """Return exact values: a sum over the ones k among t tosses, which are beta-binomial.

        E[loss] is the mean entropy of the prediction; the limit is E[H(p)], by the digamma function.
        """
        from scipy.special import digamma

        a, b = self.prior
        values = []
        for t in range(cycles):
            k = np.arange(t + 1)
            values.append(float((beta_binomial(k, t, a, b) * self._risk((k + a) / (t + a + b))).sum()))
        n, mean = a + b, a / (a + b)
        if self.loss == "log":
            limit = digamma(n + 1) - mean * digamma(a + 1) - (1 - mean) * digamma(b + 1)
        else:
            limit = a * b / (n * (n + 1))
        return Losses(tuple(values), (0.0,) * cycles, float(self._risk(np.array([mean]))[0]), 0.0, float(limit), 0.0)

    def _risk(self, p: np.ndarray) -> np.ndarray:
        """The expected loss of the prediction p where it is true."""
        if self.loss == "squared":
            return p * (1 - p)
        return -(p * np.log(p) + (1 - p) * np.log1p(-p))


def beta_binomial(k: np.ndarray, tosses: int, a: float, b: float) -> np.ndarray:
    """Return the probability of k ones in so many tosses of a coin whose bias is Beta(a, b)."""
    from scipy.special import betaln, gammaln

    choices = gammaln(tosses + 1) - gammaln(k + 1) - gammaln(tosses - k + 1)
    return np.exp(choices + betaln(k + a, tosses - k + b) - betaln(a, b))
