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
    momentum: float = number(0.0, least=0, below=1)
    """The part of the last step that the next one keeps."""


@compiled(error_model="numpy")
def _sgd(weights, gradient, factors, moments, alive, updates, numbers):
    """Rumelhart, Hinton & Williams 1986: v = momentum v + g, w = w - lr v."""
    lr, momentum = numbers[0], numbers[1]
    for r in range(weights.shape[0]):
        if alive[r]:
            for p in range(weights.shape[1]):
                moments[0, r, p] = momentum * moments[0, r, p] + gradient[r, p] * factors[r]
                weights[r, p] -= lr * moments[0, r, p]


class Sgd(Elementwise):
    """Gradient descent with momentum."""

    config: ClassVar[type[OptimizerConfig]] = SgdConfig
    rule = staticmethod(_sgd)

    @staticmethod
    def numbers(config: Any) -> tuple[float, ...]:
        return (config.momentum,)
