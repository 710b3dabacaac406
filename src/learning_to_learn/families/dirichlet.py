"""Loaded dice (Ortega et al. 2019; Genewein et al. 2023): symbols that are drawn independently, with unknown probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.bernoulli import beta_binomial
from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Losses, one_hot
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class DirichletAtTest(AtTest):
    """What can be different in the test data."""

    concentration: float | None = number(None, least=1e-2)
    """The Dirichlet distribution's parameter; null: that of training."""


@dataclass
class DirichletConfig(FamilyConfig):
    """The keys of loaded dice."""

    name: str = "dirichlet"
    symbols: int = number(4, least=2)
    """m, the sides of a die."""
    concentration: float = number(1.0, least=1e-2)
    """The Dirichlet distribution's parameter, the same for every side: 1 is uniform, less is more loaded."""
    test: DirichletAtTest = field(default_factory=DirichletAtTest)


class Dirichlet(Family):
    """A die with m sides whose probabilities are Dirichlet(a), and no inputs: c a c c b c ... is predicted throw by throw.

    After n_i throws of side i among t the Bayes predictor says (n_i + a) / (t + m a). The loss is in nats a throw.
    """

    config: ClassVar[type[FamilyConfig]] = DirichletConfig
    input_size, output, loss = 0, "softmax", "log"
    noise_uniforms = 1

    def __init__(self, symbols: int = 4, concentration: float = 1.0) -> None:
        self.output_size = self.dimensions = symbols
        self.concentration = concentration
        self.parameter_names = tuple(f"p{i + 1}" for i in range(symbols))

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.symbols, config.concentration)

    @property
    def floor_key(self) -> str:
        return f"dirichlet_{self.output_size}_{self.concentration:g}"

    def mappings(self, u: Tensor) -> Tensor:
        return simplex(u, self.concentration)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        return mapping.unsqueeze(-2).expand(*x.shape[:-1], self.output_size)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        return one_hot(draw_symbols(self.evaluate(mapping, x), u), self.output_size).to(u)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.full_like(y, 1 / self.output_size)

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del mapping
        return self.predict(self.statistics(x, y), x).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return how often each side came before y[t], [N, T, m]."""
        del x
        return {"counts": y.double().cumsum(1) - y.double()}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, m] that follow from `statistics`."""
        del x
        weights = statistics["counts"] + self.concentration
        return weights / weights.sum(-1, keepdim=True)

    def losses(self, cycles: int) -> Losses:
        """Return exact values: the count of one side among t throws is beta-binomial, and all sides are alike."""
        from scipy.special import digamma

        a, m = self.concentration, self.output_size
        limit = float(digamma(m * a + 1) - digamma(a + 1))
        values = tuple(expected_entropy(t, a, m) for t in range(cycles))
        return Losses(values, (0.0,) * cycles, float(np.log(m)), 0.0, limit, 0.0)


def expected_entropy(throws: int, concentration: float, symbols: int) -> float:
    """Return the mean entropy, in nats, of the prediction after so many throws of a die."""
    a, m = concentration, symbols
    n = np.arange(throws + 1)
    p = (n + a) / (throws + m * a)
    return float(-m * (beta_binomial(n, throws, a, (m - 1) * a) * p * np.log(p)).sum())


def simplex(u: Tensor, concentration: float) -> Tensor:
    """Return probabilities [..., m] that are Dirichlet(concentration), from numbers uniform in [0, 1)."""
    half = 2.0**-25  # the middle of the interval that a number of 24 bits stands for
    inner = u.double() + half
    if concentration == 1:
        gamma = -torch.log1p(-inner)
    else:
        from scipy.special import gammaincinv

        # Below 1e-300 all of them can be 0, which have no sum to be divided by.
        gamma = torch.from_numpy(gammaincinv(concentration, inner.numpy())).clamp_min(1e-300)
    return (gamma / gamma.sum(-1, keepdim=True)).to(u)


def draw_symbols(p: Tensor, u: Tensor) -> Tensor:
    """Return numbers [...] of symbols with probabilities p [..., m], from numbers u [..., 1] uniform in [0, 1)."""
    # The last sum can be below 1 by rounding, and is left out, so that it needs no place above it.
    return (u >= p.cumsum(-1)[..., :-1]).sum(-1)
