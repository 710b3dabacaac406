"""What families of functions share whose targets may have normal noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning_to_learn.families.family import Family, normal
from learning_to_learn.families.posterior_sampler import posterior_means

if TYPE_CHECKING:
    from torch import Tensor


class NoisyFamily(Family):
    """A family of functions whose targets have normal noise where `noise` is above 0. A sampler is then its Bayes predictor."""

    noise: float
    """Standard deviation of the noise."""

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        y = self.evaluate(mapping, x)
        return y + self.noise * normal(u) if self.noise else y

    def bayes_variance(self, x: Tensor, y: Tensor) -> Tensor | None:
        """Return the sampler's variance about the exact predictions, [N, T, 1]; None where they are exact."""
        return self._sampled(x, y)[1] if self.noise else None

    def _sampled(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return posterior_means(lambda u, x: self.evaluate(self.mappings(u), x), self.dimensions, x, y, self.noise)
