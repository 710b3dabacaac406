"""Adam (Kingma & Ba 2015): a step as long for every weight, whatever the size of its gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from learning_to_learn.compiled import compiled
from learning_to_learn.optimizers.elementwise import Elementwise
from learning_to_learn.optimizers.optimizer import EPSILON, OptimizerConfig
from learning_to_learn.ranges import numbers


@dataclass
class AdamConfig(OptimizerConfig):
    """The keys of Adam."""

    name: str = "adam"
    betas: list[float] = numbers([0.9, 0.99], least=0, below=1, count=2, per_replica=True)  # noqa: RUF009
    """Decay of the running means of the gradient and of its square, an update."""


@compiled(error_model="numpy")
def _adam(weights, gradient, factors, moments, alive, updates, numbers):
    """Kingma & Ba 2015, algorithm 1."""
    for r in range(weights.shape[0]):
        if alive[r]:
            lr, beta1, beta2 = numbers[r, 0], numbers[r, 1], numbers[r, 2]
            rate, root = lr / (1 - beta1**updates), 1 / math.sqrt(1 - beta2**updates)
            for p in range(weights.shape[1]):
                g = gradient[r, p] * factors[r]
                moments[r, 0, p] = beta1 * moments[r, 0, p] + (1 - beta1) * g
                moments[r, 1, p] = beta2 * moments[r, 1, p] + (1 - beta2) * g * g
                weights[r, p] -= rate * moments[r, 0, p] / (math.sqrt(moments[r, 1, p]) * root + EPSILON)


class Adam(Elementwise):
    """Adam with bias correction."""

    config: ClassVar[type[OptimizerConfig]] = AdamConfig
    rule = staticmethod(_adam)

    @staticmethod
    def numbers(config: Any) -> tuple[float, ...]:
        return tuple(config.betas)
