"""Adam along the axes of the gradients: SOAP (Vyas et al. 2024), with all the weights of a replica as one vector.

Adam measures how large the gradient of each weight is. Where the large directions of the loss lie askew to the weights, as
in a recurrent network whose every weight acts at every cycle, that says little. SOAP does the same along the eigenvectors of
E[g g^T]. Its paper keeps these for the two sides of each weight matrix; for the few hundred weights of our networks the whole
matrix is affordable, and was better. Memory grows with P^2, the time of an update with P^2, of new axes with P^3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from learning_to_learn.compiled import compiled, prange
from learning_to_learn.lazy import torch
from learning_to_learn.optimizers.optimizer import EPSILON, Optimizer, OptimizerConfig
from learning_to_learn.ranges import number, numbers


@dataclass
class SoapConfig(OptimizerConfig):
    """The keys of SOAP."""

    name: str = "soap"
    betas: list[float] = numbers([0.9, 0.99], least=0, below=1, count=2, per_replica=True)  # noqa: RUF009
    """Decay of the running means of the gradient and of its square along the axes, an update."""
    decay: float = number(0.99, least=0, below=1, per_replica=True)
    """Decay of the running mean of g g^T, an update."""
    refresh: int = number(200, least=1)
    """Updates from one search for new axes to the next."""


class Soap(Optimizer):
    """Adam in rotated coordinates. It looks for new axes every `refresh` updates; until the first time, it is Adam."""

    config: ClassVar[type[OptimizerConfig]] = SoapConfig

    def __init__(self, weights: Float[torch.Tensor, "R P"], configs: Sequence[Any]) -> None:
        super().__init__(weights, configs)
        self.decay, self.refresh = [config.decay for config in configs], configs[0].refresh
        self._numbers = np.array([(0.0, *config.betas) for config in configs])
        replicas, size = weights.shape
        self.momentum = torch.zeros_like(weights.detach())
        """The first moment, of the weights' own axes."""
        self.second = torch.zeros_like(self.momentum)
        """The second moment along each of `axes`."""
        self.covariance = weights.new_zeros(replicas, size, size).detach()
        """The running mean of g g^T up to the last refresh."""
        self.axes = torch.eye(size, dtype=weights.dtype).repeat(replicas, 1, 1)
        """In columns."""
        self.recent = weights.new_zeros(replicas, self.refresh, size).detach()
        """The gradients since the last refresh."""

    def _move(
        self, gradient: Float[torch.Tensor, "R P"], factors: np.ndarray, lr: np.ndarray, alive: Bool[torch.Tensor, " R"]
    ) -> None:
        place = (self.updates - 1) % self.refresh
        self._numbers[:, 0] = lr
        _step(
            self._weights.numpy(), gradient.numpy(), factors, self.momentum.numpy(), self.second.numpy(),
            self.axes.numpy(), self.recent[:, place].numpy(), alive.numpy(), self.updates, self._numbers,
        )  # fmt: skip
        if place == self.refresh - 1:
            for replica in alive.nonzero():  # one after the other, so that none depends on how many there are
                if not self._refresh(int(replica)):
                    alive[replica] = False

    def _refresh(self, replica: int) -> bool:
        """Take the recent gradients into the covariance, and its eigenvectors as the axes; false where it overflows.

        The first time they are computed in full, later by a step of the power method and QR (algorithm 4), which follows what
        moves slowly. The second moment along the new axes is read off the covariance.
        """
        recent, covariance, axes = self.recent[replica], self.covariance[replica], self.axes[replica]
        decay, beta2, count = self.decay[replica], self._numbers[replica, 2], len(recent)
        ages = torch.arange(count - 1, -1, -1, dtype=recent.dtype)
        weighted = recent * ((1 - decay) * decay**ages).sqrt().unsqueeze(1)
        covariance.mul_(decay**count).addmm_(weighted.mT, weighted)
        if not covariance.isfinite().all():
            return False
        first = self.updates == count
        axes.copy_(torch.linalg.eigh(covariance)[1] if first else torch.linalg.qr(covariance @ axes)[0])
        unbiased = (1 - beta2**self.updates) / (1 - decay**self.updates)
        self.second[replica] = (axes * (covariance @ axes)).sum(0).clamp_(min=0) * unbiased
        return True

    def memory(self) -> dict[str, torch.Tensor]:
        return {
            "momentum": self.momentum,
            "second": self.second,
            "covariance": self.covariance,
            "axes": self.axes,
            "recent": self.recent,
        }


@compiled(error_model="numpy", parallel=True, fastmath={"reassoc", "contract", "nsz"})
def _step(weights, gradient, factors, momentum, second, axes, recent, alive, updates, numbers):
    """Take a step of Adam in rotated coordinates; Vyas et al. 2024, algorithm 3, lines 3-11.

    weights, gradient   [R, P]     moved in place; the gradient of each replica
    factors             [R]        what each gradient is multiplied with (clipping)
    momentum, second    [R, P]     first moment along the weights' own axes, second along `axes`; updated in place
    axes                [R, P, P]  the axes, in columns
    recent              [R, P]     receives the clipped gradient
    alive               [R]        replicas that are not alive stay as they are
    updates                        the count of updates with this one
    numbers             [R, 3]     [lr, beta1, beta2] of each replica
    """
    for r in prange(weights.shape[0]):
        size = weights.shape[1]
        if alive[r]:
            lr, beta1, beta2 = numbers[r, 0], numbers[r, 1], numbers[r, 2]
            rate, root = lr / (1 - beta1**updates), 1 / math.sqrt(1 - beta2**updates)
            g, m = np.zeros_like(weights[r]), np.zeros_like(weights[r])
            for p in range(size):
                momentum[r, p] = beta1 * momentum[r, p] + (1 - beta1) * gradient[r, p] * factors[r]
                recent[r, p] = gradient[r, p] * factors[r]
                now, mean = recent[r, p], momentum[r, p]
                for i in range(size):
                    g[i] += axes[r, p, i] * now
                    m[i] += axes[r, p, i] * mean
            for i in range(size):
                second[r, i] = beta2 * second[r, i] + (1 - beta2) * g[i] * g[i]
                m[i] /= math.sqrt(second[r, i]) * root + EPSILON
            for p in range(size):
                move = weights[r, p] * 0
                for i in range(size):
                    move += axes[r, p, i] * m[i]
                weights[r, p] -= rate * move
