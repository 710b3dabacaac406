"""What an engine does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from learning_to_learn.gradients import Carry, Gradient, Segment
from learning_to_learn.lazy import torch
from learning_to_learn.optimizers import Optimizer
from learning_to_learn.topology import Network


@runtime_checkable
class Engine(Protocol):
    """Runs R replicas of a network over B sequences of T cycles."""

    @property
    def network(self) -> Network: ...

    @property
    def gradient(self) -> Gradient: ...

    @property
    def name(self) -> str: ...

    def outputs(
        self,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R B T I"],
        state: Float[torch.Tensor, "R B D"] | None = None,
    ) -> tuple[Float[torch.Tensor, "R B T m"], Float[torch.Tensor, "R B D"]]:
        """The outputs and the last state, without learning."""
        ...

    def segment(
        self,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R B T I"],
        target: Float[torch.Tensor, "R B T m"],
        carry: Carry | None = None,
    ) -> Segment:
        """Run a segment from `carry` (None: from the initial state), with the gradient of its mean loss."""
        ...

    def can_train(self, optimizer: Optimizer) -> bool:
        """Whether `train` can make this optimizer's updates."""
        ...

    def train(
        self,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R N T I"],
        target: Float[torch.Tensor, "R N T m"],
        outputs: Float[torch.Tensor, "R N T m"],
        optimizer: Optimizer,
        rates: Float[np.ndarray, "U R"],
        alive: Bool[torch.Tensor, " R"],
        fixed: Sequence[int] = (),
    ) -> None:
        """Make U updates of N / U sequences each: those that `segment` and `optimizer.step` make, to the bit.

        Each has its learning rates. The `fixed` parameters stay as they are. What the network says is written into `outputs`.
        """
        ...


class UpdateByUpdate:
    """An engine whose caller makes one update after the other."""

    def can_train(self, optimizer: Optimizer) -> bool:  # noqa: ARG002
        return False

    def train(self, *_: object) -> None:
        raise TypeError("this engine makes no updates by itself")


def check_shape(outputs: int, x: torch.Tensor, target: torch.Tensor) -> None:
    """Raise ValueError where the targets are not [R, B, T, m]: torch would make something of another shape, but not this."""
    if target.shape[-1] != outputs or target.shape[:-1] != x.shape[:3]:
        raise ValueError(f"targets have shape {tuple(target.shape)}; they must be {(*x.shape[:3], outputs)}")
