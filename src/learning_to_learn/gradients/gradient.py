"""What a learning algorithm is: a segment of a sequence in, the error gradient and what must be carried on out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.topology.network import Network


@dataclass(frozen=True)
class Carry:
    """What survives from one segment of a sequence to the next, and with `carry_state` into the next sequence."""

    state: Float[torch.Tensor, "R B D"]
    sensitivities: torch.Tensor | None = None
    """d state / d parameters, for the algorithms that keep it; its layout is its engine's own."""


@dataclass(frozen=True)
class Segment:
    """The result of a segment of T cycles."""

    gradient: Float[torch.Tensor, "R P"]
    """Of each replica's mean squared error over the segment's B x T outputs."""
    outputs: Float[torch.Tensor, "R B T"]
    carry: Carry


GRADIENTS: dict[str, type[Gradient]] = {}
"""Every learning algorithm by its name. A subclass of `Gradient` that has a `name` enters by itself."""


@dataclass(frozen=True)
class Gradient(ABC):
    """A learning algorithm in plain torch: the reference that every fused kernel is tested against.

    `window` cuts the flow of error back through time after every so many cycles (None: never within a segment).
    """

    window: int | None = None
    name: ClassVar[str]
    detach_recurrent: ClassVar[bool] = False
    """Whether error is stopped at recurrent edges."""
    forward_mode: ClassVar[bool] = False
    """Whether the algorithm carries sensitivities forward instead of error back."""
    has_window: ClassVar[bool] = False
    fused: ClassVar[bool] = False
    """Whether the flags above say all of it, so that the fused engine can do it."""

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            GRADIENTS[cls.name] = cls

    def __post_init__(self) -> None:
        if self.window is not None and not self.has_window:
            raise UserError(f"gradient {self.name} has no window: only bptt cuts the flow of error after `window` cycles")
        if self.window is not None and self.window < 1:
            raise UserError(f"window={self.window}: it must be a whole number of cycles >= 1")

    @abstractmethod
    def segment(
        self,
        network: Network,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R B T I"],
        target: Float[torch.Tensor, "R B T"],
        carry: Carry | None,
    ) -> Segment:
        """Run a segment from `carry` (None: from the initial state), with the gradient of its mean squared error."""


class BackwardGradient(Gradient):
    """An algorithm that sends error back through time by torch's autograd, cut at the windows."""

    def segment(
        self, network: Network, parameters: torch.Tensor, x: torch.Tensor, target: torch.Tensor, carry: Carry | None
    ) -> Segment:
        parameters = parameters.detach().requires_grad_()
        state = network.initial_state(x.shape[0], x.shape[1], x) if carry is None else carry.state
        total, outputs, length = torch.zeros_like(parameters), [], x.shape[2]
        for first in range(0, length, self.window or length):
            piece = slice(first, first + (self.window or length))
            with torch.enable_grad():
                y, state = network.forward(parameters, x[:, :, piece], state.detach(), detach_recurrent=self.detach_recurrent)
                # Replicas share no parameter: the gradient of their sum holds each one's own.
                error = (y - target[:, :, piece]).square().sum() / (x.shape[1] * length)
            total += torch.autograd.grad(error, parameters)[0]
            outputs.append(y.detach())
        return Segment(total, torch.cat(outputs, -1), Carry(state.detach()))
