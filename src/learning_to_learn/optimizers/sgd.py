"""Gradient descent, with momentum (Rumelhart, Hinton & Williams 1986)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from learning_to_learn.compiled import compiled
from learning_to_learn.optimizers.elementwise import Elementwise
from learning_to_learn.optimizers.optimizer import OptimizerConfig
from learning_to_learn.ranges import number


@dataclass
class SgdConfig(OptimizerConfig):
    """The keys of gradient descent."""

    name: str = "sgd"
    momentum: float = number(0.0, least=0, below=1, per_replica=True)
    """The part of the last step that the next one keeps."""


@compiled(error_model="numpy")
def _sgd(weights, gradient, factors, moments, alive, updates, numbers):
    """Rumelhart, Hinton & Williams 1986: v = momentum v + g, w = w - lr v."""
    for r in range(weights.shape[0]):
        if alive[r]:
            lr, momentum = numbers[r, 0], numbers[r, 1]
            for p in range(weights.shape[1]):
                moments[r, 0, p] = momentum * moments[r, 0, p] + gradient[r, p] * factors[r]
                weights[r, p] -= lr * moments[r, 0, p]


class Sgd(Elementwise):
    """Gradient descent with momentum."""

    config: ClassVar[type[OptimizerConfig]] = SgdConfig
    rule = staticmethod(_sgd)

    @staticmethod
    def numbers(config: Any) -> tuple[float, ...]:
        return (config.momentum,)
