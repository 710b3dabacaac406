"""The reference engine: plain torch, any device and type. It is the oracle of the kernels, not fast."""

from dataclasses import dataclass

import torch
from torch import Tensor

from learning_to_learn.gradients import Carry, Gradient, Segment
from learning_to_learn.topology import Network


@dataclass(frozen=True)
class Reference:
    network: Network
    gradient: Gradient
    name: str = "reference"

    @torch.no_grad()
    def outputs(self, parameters: Tensor, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.network.forward(parameters, x, state)

    def segment(self, parameters: Tensor, x: Tensor, target: Tensor, carry: Carry | None = None) -> Segment:
        return self.gradient.segment(self.network, parameters, x, target, carry)
