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
    betas: list[float] = numbers([0.9, 0.99], least=0, below=1, count=2)  # noqa: RUF009
    """Decay of the running means of the gradient and of its square, an update."""


@compiled(error_model="numpy")
def _adam(weights, gradient, factors, moments, alive, updates, numbers):
    """Kingma & Ba 2015, algorithm 1."""
    lr, beta1, beta2 = numbers[0], numbers[1], numbers[2]
    rate, root = lr / (1 - beta1**updates), 1 / math.sqrt(1 - beta2**updates)
    for r in range(weights.shape[0]):
        if alive[r]:
            for p in range(weights.shape[1]):
                g = gradient[r, p] * factors[r]
                moments[0, r, p] = beta1 * moments[0, r, p] + (1 - beta1) * g
                moments[1, r, p] = beta2 * moments[1, r, p] + (1 - beta2) * g * g
                weights[r, p] -= rate * moments[0, r, p] / (math.sqrt(moments[1, r, p]) * root + EPSILON)


class Adam(Elementwise):
    """Adam with bias correction."""

    config: ClassVar[type[OptimizerConfig]] = AdamConfig
    rule = staticmethod(_adam)

    @staticmethod
    def numbers(config: Any) -> tuple[float, ...]:
        return tuple(config.betas)
