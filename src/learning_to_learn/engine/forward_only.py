"""The engine of gradients that need nothing but outputs: any other engine's forward pass, and the gradient's estimate."""

from __future__ import annotations

from dataclasses import dataclass

from learning_to_learn.engine.engine import Engine, UpdateByUpdate
from learning_to_learn.gradients import Carry, Segment
from learning_to_learn.gradients.es import ForwardOnly
from learning_to_learn.lazy import torch
from learning_to_learn.topology import Network


@dataclass(frozen=True)
class ForwardOnlyEngine(UpdateByUpdate):
    """Runs the networks that a gradient asks for on the replica axis of `forward`."""

    forward: Engine
    gradient: ForwardOnly

    @property
    def network(self) -> Network:
        return self.forward.network

    @property
    def name(self) -> str:
        return self.forward.name

    def outputs(
        self, parameters: torch.Tensor, x: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward.outputs(parameters, x, state)

    def segment(self, parameters: torch.Tensor, x: torch.Tensor, target: torch.Tensor, carry: Carry | None = None) -> Segment:
        return self.gradient.estimate(self.network, self.forward.outputs, parameters, x, target, carry)
