"""What an optimizer is: it moves the weights of all replicas in place, and tells a checkpoint what it must remember."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from learning_to_learn.lazy import torch
from learning_to_learn.optimizers.clipping import shrink
from learning_to_learn.optimizers.schedule import SCHEDULES
from learning_to_learn.ranges import number, one_of
from learning_to_learn.registry import MISSING

EPSILON = 1e-8
"""Added to the root of a second moment before something is divided by it."""

OPTIMIZERS: dict[str, type[Optimizer]] = {}
"""Every optimizer by its name. A subclass of `Optimizer` that has a `config` enters by itself."""


@dataclass
class OptimizerConfig:
    """The keys that every optimizer has. One optimizer's own keys stand in a subclass beside it."""

    name: str = MISSING
    """The optimizer's name."""
    lr: float = number(above=0, per_replica=True)
    """The learning rate at the start, after the warm-up."""
    schedule: str = one_of(SCHEDULES, "constant")
    """How the rate falls: constant, linear or cosine, to zero at the end."""
    warmup: float = number(0.0, least=0, below=1)
    """The part of the updates during which the rate rises from zero."""
    clip: float | None = number(1.0, above=0, per_replica=True)
    """The largest gradient norm of a replica; null: no clipping."""


class Optimizer(ABC):
    """Updates the weights [R, P] in place. `config`, on the class, is the type of its configuration.

    It is made with a configuration for each replica; they differ only in the keys that may differ from replica to replica.
    """

    config: ClassVar[type[OptimizerConfig]]
    searches: ClassVar[bool] = False
    """Whether it needs errors of candidates (`search`, see cma_es.py) in place of a gradient (`step`)."""

    def __init_subclass__(cls) -> None:
        if "config" in vars(cls):
            OPTIMIZERS[cls.config.name] = cls

    def __init__(self, weights: Float[torch.Tensor, "R P"], configs: Sequence[OptimizerConfig]) -> None:
        self._weights = weights.detach()
        self._clip = np.array([math.inf if config.clip is None else config.clip for config in configs])
        self._rates = np.empty(len(configs))
        self.updates = 0

    def step(self, gradient: Float[torch.Tensor, "R P"], lr: float | np.ndarray, alive: Bool[torch.Tensor, " R"]) -> None:
        """Move every replica that is alive; one whose gradient is not finite stays where it is and is alive no more.

        `lr` is the rate of all replicas, or of each, [R].
        """
        self.updates += 1
        self._rates[:] = lr
        self._move(gradient, shrink(gradient.numpy(), self._clip, alive.numpy()), self._rates, alive)

    @abstractmethod
    def _move(
        self, gradient: Float[torch.Tensor, "R P"], factors: np.ndarray, lr: np.ndarray, alive: Bool[torch.Tensor, " R"]
    ) -> None:
        """Move every replica that is alive along its gradient times its factor. `updates` counts this one."""

    def search(self, errors: Callable[[int, torch.Tensor], torch.Tensor], alive: Bool[torch.Tensor, " R"]) -> None:
        """Make an update from the errors of candidates, where the optimizer `searches`."""
        raise NotImplementedError

    @abstractmethod
    def memory(self) -> dict[str, torch.Tensor]:
        """Return the tensors, by name, that the next step depends on besides the weights. Each has the leading axis R."""

    def part(self, replicas: slice) -> Optimizer:
        """Return the optimizer of some of the replicas. What it remembers is shared with this one, but for `updates`."""
        part = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor | np.ndarray):
                setattr(part, name, value[replicas])
        return part

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {**self.memory(), "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's `state`. Raises KeyError or RuntimeError where it is another optimizer's."""
        for name, tensor in self.memory().items():
            tensor.copy_(state[name])
        self.updates = int(state["updates"])
