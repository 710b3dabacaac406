"""RMSprop (Tieleman & Hinton 2012): the gradient divided by the root of its running mean square, with momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from learning_to_learn.compiled import compiled
from learning_to_learn.optimizers.elementwise import Elementwise
from learning_to_learn.optimizers.optimizer import EPSILON, OptimizerConfig
from learning_to_learn.ranges import number


@dataclass
class RmsPropConfig(OptimizerConfig):
    """The keys of RMSprop."""

    name: str = "rmsprop"
    momentum: float = number(0.0, least=0, below=1, per_replica=True)
    """The part of the last step that the next one keeps."""
    decay: float = number(0.99, least=0, below=1, per_replica=True)
    """Decay of the running mean square, an update."""


@compiled(error_model="numpy")
def _rmsprop(weights, gradient, factors, moments, alive, updates, numbers):
    """Tieleman & Hinton 2012, with momentum."""
    for r in range(weights.shape[0]):
        if alive[r]:
            lr, momentum, decay = numbers[r, 0], numbers[r, 1], numbers[r, 2]
            for p in range(weights.shape[1]):
                g = gradient[r, p] * factors[r]
                moments[r, 1, p] = decay * moments[r, 1, p] + (1 - decay) * g * g
                moments[r, 0, p] = momentum * moments[r, 0, p] + g / (math.sqrt(moments[r, 1, p]) + EPSILON)
                weights[r, p] -= lr * moments[r, 0, p]


class RmsProp(Elementwise):
    """RMSprop with momentum."""

    config: ClassVar[type[OptimizerConfig]] = RmsPropConfig
    rule = staticmethod(_rmsprop)

    @staticmethod
    def numbers(config: Any) -> tuple[float, ...]:
        return (config.momentum, config.decay)
