"""Random networks of two layers (Garg et al. 2022, section 4.3), learned in context."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner, normal
from learning_to_learn.families.posterior_sampler import posterior_means
from learning_to_learn.families.recursions import rectified_sums
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor

SAMPLED = 8
"""Hidden units, at most, of networks whose posterior is sampled. Of wider ones the best linear predictor takes its place."""


@dataclass
class RandomNetworkAtTest(AtTest):
    """What can be different in the test data."""

    noise: float | None = number(None, least=0.01)
    """Standard deviation of the targets' noise; null: that of training."""
    input_range: float | None = number(None, above=0)
    """Standard deviation of the inputs; null: that of training."""


@dataclass
class RandomNetworkConfig(FamilyConfig):
    """The keys of random networks."""

    name: str = "random_network"
    inputs: int = number(2, least=1)
    """d, the inputs of a cycle."""
    hidden: int = number(100, least=1)
    """H, the rectified units. Of more than 8 the Bayes predictor is not known, and the best linear one stands in its place."""
    noise: float = number(0.1, least=0.01)
    """Standard deviation of the targets' noise. Without noise the targets' is 1."""
    input_range: float = number(1.0, above=0)
    """Standard deviation of the inputs, which are normal."""
    test: RandomNetworkAtTest = field(default_factory=RandomNetworkAtTest)


class RandomNetwork(Family):
    """y = sqrt(2 / (H d)) sum_h a_h max(0, w_h . x) + noise, with a_h ~ N(0, 1), w_h ~ N(0, I), x ~ N(0, I).

    One sequence with d = 1, H = 1 and a w sqrt(2) = 3, w above 0: x = 1 -> 3, -1 -> 0, 0.5 -> 1.5. Up to eight hidden units the
    Bayes predictor is a sampler. **Of wider networks it is not known.** The best linear predictor stands in its place: a
    Gaussian process whose covariance is that of the family, the arc-cosine kernel (Cho & Saul 2009), which any number of units
    has. Its loss is that of the best known learner: an upper bound of the floor, exact for many units (Neal 1996).
    """

    config: ClassVar[type[FamilyConfig]] = RandomNetworkConfig
    output, noise_uniforms = "linear", 1

    def __init__(self, inputs: int = 2, hidden: int = 100, noise: float = 0.1, input_range: float = 1.0) -> None:
        self.input_size, self.hidden, self.noise, self.input_range = inputs, hidden, noise, input_range
        self.dimensions = hidden * (inputs + 1)

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.inputs, config.hidden, config.noise, config.input_range)

    @property
    def floor_key(self) -> str:
        return f"random_network_{self.input_size}_{self.hidden}_noise{self.noise:g}_range{self.input_range:g}"

    @property
    def floor_is_known(self) -> bool:
        """Whether `bayes` is the Bayes predictor, and not only the best one that is known."""
        return self.hidden <= SAMPLED

    @property
    def predictable(self) -> int:
        return 128 if self.floor_is_known else 1024

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        return {"Gaussian process with the family's covariance": partial(_gaussian_process, self.noise)}

    def mappings(self, u: Tensor) -> Tensor:
        return normal(u)

    def inputs(self, u: Tensor) -> Tensor:
        return normal(u) * self.input_range

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        weights = mapping.unflatten(-1, (self.hidden, self.input_size + 1))
        if not self.floor_is_known:
            several = torch.broadcast_shapes(x.shape[:-2], mapping.shape[:-1])
            pairs = (v.expand(*several, *v.shape[-2:]).reshape(-1, *v.shape[-2:]).numpy() for v in (x, weights))
            found = x.new_empty(*several, x.shape[-2])
            rectified_sums(*pairs, found.view(-1, x.shape[-2]).numpy())
            return found.unsqueeze(-1) * (2 / (self.hidden * self.input_size)) ** 0.5
        total = x.new_zeros(())
        for h in range(self.hidden):  # for few units this is faster than products of many small matrices
            sums = (x * weights[..., None, h, :-1]).sum(-1)
            total = total + sums.clamp_min(0) * weights[..., None, h, -1]
        return total.unsqueeze(-1) * (2 / (self.hidden * self.input_size)) ** 0.5

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        return self.evaluate(mapping, x) + self.noise * normal(u)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.zeros_like(y)

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del mapping
        return (self._sampled(x, y)[0] if self.floor_is_known else gaussian_process(x, y, self.noise)).to(y)

    def bayes_variance(self, x: Tensor, y: Tensor) -> Tensor | None:
        """Return the sampler's variance about the exact predictions, [N, T, 1]; None where there is no sampler."""
        return self._sampled(x, y)[1] if self.floor_is_known else None

    def _sampled(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return posterior_means(lambda u, x: self.evaluate(self.mappings(u), x), self.dimensions, x, y, self.noise)


def covariance(x: Tensor) -> Tensor:
    """Return E[f(x_i) f(x_j)] over the family, [N, T, T], at inputs x [N, T, d]: the arc-cosine kernel of order 1, over d."""
    size = x.norm(dim=-1)
    sizes = size[:, :, None] * size[:, None]
    angle = ((x @ x.mT) / sizes.clamp_min(1e-300)).clamp(-1, 1).acos()
    return sizes * (angle.sin() + (np.pi - angle) * angle.cos()) / (np.pi * x.shape[-1])


def gaussian_process(x: Tensor, y: Tensor, noise: float) -> Tensor:
    """Return the best linear predictions of y [N, T, 1] from the targets before, [N, T, 1].

    With L the root of the covariance of y, the errors of one-step predictions are the rows of L times white noise: so they are
    y - L's diagonal times L^-1 y.
    """
    inputs, targets = x.double(), y.double()
    root = torch.linalg.cholesky(covariance(inputs) + noise**2 * torch.eye(x.shape[1], dtype=torch.float64))
    white = torch.linalg.solve_triangular(root, targets, upper=False)
    return (targets - root.diagonal(dim1=-2, dim2=-1).unsqueeze(-1) * white).to(y)


def _gaussian_process(noise: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return gaussian_process(torch.from_numpy(x), torch.from_numpy(y), noise).numpy()
