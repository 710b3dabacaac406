"""A learning algorithm takes a segment of a sequence, and returns the error gradient and what the next segment needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.losses import log_loss_of
from learning_to_learn.topology.network import Network


@dataclass(frozen=True)
class Carry:
    """What survives from one segment of a sequence to the next, and with `carry_state` into the next sequence."""

    state: Float[torch.Tensor, "R B D"]
    sensitivities: torch.Tensor | None = None
    """The derivative d state / d parameters, or None for algorithms that do not keep it. Each engine has its own layout for
    it.
    """


@dataclass(frozen=True)
class Segment:
    """The result of a segment of T cycles."""

    gradient: Float[torch.Tensor, "R P"]
    """The gradient of each replica's mean loss over the segment's B x T cycles."""
    outputs: Float[torch.Tensor, "R B T m"]
    carry: Carry


GRADIENTS: dict[str, type[Gradient]] = {}
"""All learning algorithms by name. A subclass of `Gradient` that has a `name` registers itself."""


@dataclass(frozen=True)
class Gradient(ABC):
    """A learning algorithm in plain torch: the reference that every fused kernel is tested against.

    After every `window` cycles the flow of error back through time is cut. None means that it is never cut within a segment.
    """

    window: int | None = None
    name: ClassVar[str]
    detach_recurrent: ClassVar[bool] = False
    """Whether the algorithm stops error at recurrent edges."""
    forward_mode: ClassVar[bool] = False
    """Whether the algorithm carries sensitivities forward instead of error back."""
    has_window: ClassVar[bool] = False
    fused: ClassVar[bool] = False
    """Whether the flags above describe the algorithm completely, so that the fused engine can run it."""
    forward_only: ClassVar[bool] = False
    """Whether the algorithm needs nothing but outputs, so that every engine can run it: see `estimate` in es.py."""

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            GRADIENTS[cls.name] = cls

    def __post_init__(self) -> None:
        if self.window is not None and not self.has_window:
            raise UserError(f"gradient {self.name} has no window: only bptt cuts the flow of error after `window` cycles")
        if self.window is not None and self.window < 1:
            raise UserError(f"window={self.window}: it must be a whole number of cycles >= 1")

    def check(self, network: Network) -> None:  # noqa: B027 - most run every network
        """Raise UserError where the algorithm cannot run a network."""

    @abstractmethod
    def segment(
        self,
        network: Network,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R B T I"],
        target: Float[torch.Tensor, "R B T m"],
        carry: Carry | None,
    ) -> Segment:
        """Run a segment and return the gradient of its mean loss. It starts from `carry`, or from the initial state
        if that is None.
        """


class BackwardGradient(Gradient):
    """An algorithm that sends error back through time with torch's autograd and cuts this flow at the windows."""

    def segment(
        self, network: Network, parameters: torch.Tensor, x: torch.Tensor, target: torch.Tensor, carry: Carry | None
    ) -> Segment:
        parameters = parameters.detach().requires_grad_()
        state: torch.Tensor | None = None if carry is None else carry.state
        total, outputs, length = torch.zeros_like(parameters), [], x.shape[2]
        for first in range(0, length, self.window or length):
            piece = slice(first, first + (self.window or length))
            with torch.enable_grad():
                z, y, last = network.run(parameters, x[:, :, piece], state, detach_recurrent=self.detach_recurrent)
                # Replicas share no parameter, so the gradient of the sum of their losses contains the gradient of each.
                if network.loss == "log":
                    loss = log_loss_of(z, target[:, :, piece], network.kind)
                else:
                    loss = (y - target[:, :, piece]).square().mean(-1)
                loss = loss.sum() / (x.shape[1] * length)
            total += torch.autograd.grad(loss, parameters)[0]
            outputs.append(y.detach())
            state = last.detach()
        return Segment(total, torch.cat(outputs, 2), Carry(last.detach()))
