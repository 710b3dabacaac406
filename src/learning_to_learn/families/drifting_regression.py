"""Linear regression whose weights drift: a function that changes while it is learned (Kalman 1960; Haykin 2002, ch. 14)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner, normal
from learning_to_learn.families.kalman import beliefs, predictions
from learning_to_learn.families.recursions import drifting
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class DriftingRegressionAtTest(AtTest):
    """What can be different in the test data."""

    drift: float | None = number(None, least=0, below=1)
    """The part of the weights' variance that is new at each cycle; null: that of training."""
    noise: float | None = number(None, least=0)
    """Standard deviation of the targets' noise; null: that of training."""
    input_range: float | None = number(None, above=0)
    """Standard deviation of the inputs; null: that of training."""


@dataclass
class DriftingRegressionConfig(FamilyConfig):
    """The keys of linear regression with drifting weights."""

    name: str = "drifting_regression"
    inputs: int = number(2, least=1)
    """d, the inputs of a cycle."""
    drift: float = number(0.02, least=0, below=1)
    """The part of the weights' variance that is new at each cycle: after 1 / drift cycles most of it is."""
    noise: float = number(0.1, least=0)
    """Standard deviation of the targets' noise. Without noise the targets' is 1."""
    input_range: float = number(1.0, above=0)
    """Standard deviation of the inputs, which are normal."""
    test: DriftingRegressionAtTest = field(default_factory=DriftingRegressionAtTest)


class DriftingRegression(Family):
    """y[t] = w[t] . x[t] + noise, with w[t+1] = sqrt(1 - drift) w[t] + sqrt(drift) N(0, I/d), so that w[t] is always N(0, I/d).

    One sequence with d = 1, w = 1.0, 0.9, 1.1, ...: x = 2 -> 2, 1 -> 0.9, -1 -> -1.1. The Bayes predictor is a Kalman filter.
    Its loss does not fall to the noise: it falls to what tracking costs.
    """

    config: ClassVar[type[FamilyConfig]] = DriftingRegressionConfig
    output, moving, noise_uniforms = "linear", True, 1

    def __init__(self, inputs: int = 2, drift: float = 0.02, noise: float = 0.1, input_range: float = 1.0) -> None:
        self.input_size = self.dimensions = inputs
        self.drift, self.noise, self.input_range = drift, noise, input_range

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.inputs, config.drift, config.noise, config.input_range)

    @property
    def floor_key(self) -> str:
        return f"drifting_regression_{self.input_size}_drift{self.drift:g}_noise{self.noise:g}_range{self.input_range:g}"

    def linear_form(self) -> None:
        """None: a sum with weights that move is not what the learners of linear forms expect; `learners` has them."""
        return

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        return {"recursive least squares that takes the weights for constant": partial(_without_drift, self)}

    def dimensions_at(self, length: int) -> int:
        return length * self.input_size

    def mappings(self, u: Tensor) -> Tensor:
        """The weights at every cycle, [*n, T * d]."""
        path = normal(u) / self.input_size**0.5
        steps = path.view(-1, path.shape[-1] // self.input_size, self.input_size).numpy()
        drifting(steps, *steps.dtype.type([(1 - self.drift) ** 0.5, self.drift**0.5]))
        return path

    def inputs(self, u: Tensor) -> Tensor:
        return normal(u) * self.input_range

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        return (x * mapping.unflatten(-1, (-1, self.input_size))).sum(-1, keepdim=True)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        return self.evaluate(mapping, x) + self.noise * normal(u)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.zeros_like(y)

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del mapping
        return predictions(x.double(), y[..., 0].double(), *self._model()).unsqueeze(-1).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the posterior mean of w[t] before y[t], [N, T, d], and the log of how sure it is, [N, T, 1]."""
        known = list(beliefs(x.double(), y[..., 0].double(), *self._model()))
        sure = [-b.covariance.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True).clamp_min(1e-12).log() for b in known]
        return {"posterior mean": torch.stack([b.weights for b in known], 1), "log precision": torch.stack(sure, 1)}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, 1] that follow from `statistics`."""
        return (statistics["posterior mean"] * x).sum(-1, keepdim=True)

    def _model(self) -> tuple[Tensor, float, Tensor, Tensor]:
        """The prior covariance, the noise, the transition and the renewal of the Kalman filter."""
        one = torch.eye(self.input_size, dtype=torch.float64)
        prior = one / self.input_size
        return prior, self.noise, one * (1 - self.drift) ** 0.5, prior * self.drift


def _without_drift(family: DriftingRegression, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    prior, noise, *_ = family._model()
    return predictions(torch.from_numpy(x).double(), torch.from_numpy(y[..., 0]).double(), prior, noise).unsqueeze(-1).numpy()
