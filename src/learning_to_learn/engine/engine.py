"""What an engine does."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float

from learning_to_learn.gradients import Carry, Gradient, Segment
from learning_to_learn.lazy import torch
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


def check_shape(network: Network, x: torch.Tensor, target: torch.Tensor) -> None:
    """Raise ValueError where the targets are not [R, B, T, m]: torch would make something of another shape, but not this."""
    if target.shape != (*x.shape[:3], network.outputs):
        raise ValueError(f"targets have shape {tuple(target.shape)}; they must be {(*x.shape[:3], network.outputs)}")
