"""The reference engine: plain torch, any device and type. It is the oracle of the kernels, not fast."""

from __future__ import annotations

from dataclasses import dataclass

from learning_to_learn.engine.engine import UpdateByUpdate, check_shape
from learning_to_learn.gradients import Carry, Gradient, Segment
from learning_to_learn.lazy import torch
from learning_to_learn.topology import Network


@dataclass(frozen=True)
class Reference(UpdateByUpdate):
    network: Network
    gradient: Gradient
    name: str = "reference"

    def outputs(
        self, parameters: torch.Tensor, x: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            return self.network.forward(parameters, x, state)

    def segment(self, parameters: torch.Tensor, x: torch.Tensor, target: torch.Tensor, carry: Carry | None = None) -> Segment:
        check_shape(self.network.outputs, x, target)
        return self.gradient.segment(self.network, parameters, x, target, carry)
