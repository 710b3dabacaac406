"""Linear regression in context (Garg et al. 2022; sparse: their section 4.1; finitely many tasks: Raventós et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.errors import UserError
from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner, LinearForm, normal
from learning_to_learn.families.kalman import beliefs, predictions
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor

SUPPORTS = 2000
"""Sets of weights that can be nonzero, at most: the sparse posterior counts them all."""
NUMBERS = 4_000_000
"""Numbers that the sparse posterior holds at once, about."""


@dataclass
class LinearRegressionAtTest(AtTest):
    """What can be different in the test data."""

    noise: float | None = number(None, least=0)
    """Standard deviation of the targets' noise; null: that of training."""
    input_range: float | None = number(None, above=0)
    """Standard deviation of the inputs; null: that of training."""
    sparse: int | None = number(None, least=1)
    """Weights that are not zero; null: as in training."""


@dataclass
class LinearRegressionConfig(FamilyConfig):
    """The keys of linear regression."""

    name: str = "linear_regression"
    inputs: int = number(5, least=1)
    """d, the inputs of a cycle."""
    noise: float = number(0.1, least=0)
    """Standard deviation of the targets' noise. Without noise the targets' is 1."""
    input_range: float = number(1.0, above=0)
    """Standard deviation of the inputs, which are normal."""
    sparse: int | None = number(None, least=1)
    """Weights that are not zero, the same number in every mapping, any of them; null: all."""
    test: LinearRegressionAtTest = field(default_factory=LinearRegressionAtTest)


class LinearRegression(Family):
    """y = w . x + noise with w ~ N(0, I/d), x ~ N(0, I): what w is must be found out from the pairs.

    One sequence with d = 2, w = (0.5, -1): x = (1, 0) -> 0.5, (0, 2) -> -2, (2, 1) -> 0 (and the noise). The Bayes predictor is
    ridge regression of strength d noise^2. With `sparse=k`, k weights of a random set are N(0, 1/k) and the others are 0: the
    posterior is a mixture over all sets. Raises UserError where there are too many of them.
    """

    config: ClassVar[type[FamilyConfig]] = LinearRegressionConfig
    output = "linear"
    noise_uniforms = 1

    def __init__(self, inputs: int = 5, noise: float = 0.1, sparse: int | None = None, input_range: float = 1.0) -> None:
        if sparse is not None and sparse > inputs:
            raise UserError(f"family.sparse={sparse}: give a number from 1 to family.inputs={inputs}")
        self.sparse = None if sparse == inputs else sparse
        if self.sparse is not None and comb(inputs, self.sparse) > SUPPORTS:
            raise UserError(
                f"family.sparse={sparse} of family.inputs={inputs}: {comb(inputs, self.sparse)} sets of weights are too many "
                f"for the exact posterior: give a family whose sets are at most {SUPPORTS}"
            )
        self.input_size, self.noise, self.input_range = inputs, noise, input_range
        self.dimensions = inputs if self.sparse is None else 2 * inputs
        self.parameter_names = tuple(f"w{i + 1}" for i in range(inputs))

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.inputs, config.noise, config.sparse, config.input_range)

    @property
    def floor_key(self) -> str:
        sparse = "" if self.sparse is None else f"_sparse{self.sparse}"
        return f"linear_regression_{self.input_size}_noise{self.noise:g}_range{self.input_range:g}{sparse}"

    @property
    def predictable(self) -> int:
        return 8192 if self.sparse is None else max(256, 8192 * 20 // self._supports.shape[0])

    def linear_form(self) -> LinearForm:
        width = self.input_size**-0.5  # with this the weights' prior variance is 1
        return LinearForm(lambda x: x * width, lambda s: s, lambda y: y)

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        if self.sparse is None:
            return {}
        return {"ridge regression, which does not know the sparseness": partial(_ridge, self.noise)}

    def mappings(self, u: Tensor) -> Tensor:
        d = self.input_size
        if self.sparse is None:
            return normal(u) / d**0.5
        # The k weights whose own random numbers are the largest are the ones that are not zero.
        rank = u[..., d:].argsort(-1, descending=True).argsort(-1)
        return torch.where(rank < self.sparse, normal(u[..., :d]) / self.sparse**0.5, 0.0)

    def inputs(self, u: Tensor) -> Tensor:
        return normal(u) * self.input_range

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        return (x * mapping.unsqueeze(-2)).sum(-1, keepdim=True)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        return self.evaluate(mapping, x) + self.noise * normal(u)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.zeros_like(y)

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The posterior mean of w, times x: exact, also where w is sparse."""
        del mapping
        z, targets = x.double(), y[..., 0].double()
        if self.sparse is None:
            found = predictions(z, targets, self._prior(), self.noise)
        else:
            count = max(1, NUMBERS // (len(self._supports) * (self.sparse**2 + z.shape[1])))
            pieces = zip(z.split(count), targets.split(count), strict=True)
            found = torch.cat([sparse_predictions(*piece, self._supports, self.noise) for piece in pieces])
        return found.unsqueeze(-1).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the posterior mean of w before y[t], [N, T, d], and the log of how sure it is, [N, T, 1].

        Nothing where w is sparse: that posterior has as many numbers as sets of weights.
        """
        if self.sparse is not None:
            return {}
        known = list(beliefs(x.double(), y[..., 0].double(), self._prior(), self.noise))
        sure = [-b.covariance.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True).clamp_min(1e-12).log() for b in known]
        return {"posterior mean": torch.stack([b.weights for b in known], 1), "log precision": torch.stack(sure, 1)}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, 1] that follow from `statistics`."""
        return (statistics["posterior mean"] * x).sum(-1, keepdim=True)

    def _prior(self) -> Tensor:
        return torch.eye(self.input_size, dtype=torch.float64) / self.input_size

    @property
    def _supports(self) -> Tensor:
        """The sets of weights that can be nonzero, [S, k]."""
        assert self.sparse is not None
        return torch.tensor(list(combinations(range(self.input_size), self.sparse)))


def sparse_predictions(x: Tensor, y: Tensor, supports: Tensor, noise: float) -> Tensor:
    """Return posterior means [N, T] of y [N, T] where the weights of one of S sets [S, k], each as likely, are N(0, 1/k).

    Each set has its own regression. Its weight in the mixture is the likelihood of the targets so far, the product of its
    predictive densities.
    """
    n, length, _ = x.shape
    count, size = supports.shape
    z = x[:, :, supports].transpose(1, 2).reshape(n * count, length, size)
    repeated = y[:, None].expand(n, count, length).reshape(n * count, length)
    log_likelihood, found = x.new_zeros(n, count), []
    for t, belief in enumerate(beliefs(z, repeated, torch.eye(size, dtype=x.dtype) / size, noise)):
        mean, variance = belief.mean.view(n, count), belief.variance.view(n, count).clamp_min(EXACT)
        found.append((log_likelihood.softmax(1) * mean).sum(1))
        log_likelihood = log_likelihood - ((y[:, t, None] - mean) ** 2 / variance + variance.log()) / 2
    return torch.stack(found, 1)


EXACT = 1e-9
"""Without noise, sets that agree with the targets have errors that are rounding, of about this variance."""


def _ridge(noise: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    z, targets = torch.from_numpy(x).double(), torch.from_numpy(y[..., 0]).double()
    return predictions(z, targets, torch.eye(z.shape[-1], dtype=torch.float64) / z.shape[-1], noise).unsqueeze(-1).numpy()
