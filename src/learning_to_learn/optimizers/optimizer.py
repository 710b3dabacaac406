"""What an optimizer is: it moves the weights of all replicas in place, and tells a checkpoint what it must remember."""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from learning_to_learn.optimizers.clipping import shrink

if TYPE_CHECKING:
    from learning_to_learn.config import OptimizerConfig

EPSILON = 1e-8
"""Added to the root of a second moment before something is divided by it."""


class Optimizer(ABC):
    """Updates weights in place."""

    def __init__(self, weights: Float[Tensor, "R P"], config: "OptimizerConfig") -> None:
        self.config, self._weights = config, weights
        self.updates = 0

    def step(self, gradient: Float[Tensor, "R P"], lr: float, alive: Bool[Tensor, " R"]) -> None:
        """Move every replica that is alive; one whose gradient is not finite stays where it is and is alive no more."""
        self.updates += 1
        clip = math.inf if self.config.clip is None else self.config.clip
        self._move(gradient, shrink(gradient.numpy(), clip, alive.numpy()), lr, alive)

    @abstractmethod
    def _move(self, gradient: Float[Tensor, "R P"], factors: np.ndarray, lr: float, alive: Bool[Tensor, " R"]) -> None:
        """Move every replica that is alive along its gradient times its factor. `updates` counts this one."""

    @abstractmethod
    def memory(self) -> dict[str, Tensor]:
        """The tensors, by name, that the next step depends on besides the weights."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {**self.memory(), "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's `state`. Raises KeyError or RuntimeError where it is another optimizer's."""
        for name, tensor in self.memory().items():
            tensor.copy_(state[name])
        self.updates = int(state["updates"])
