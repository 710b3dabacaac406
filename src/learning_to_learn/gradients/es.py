"""Evolution strategies (Salimans et al. 2017): the gradient estimated from the errors of perturbed networks.

With noise e ~ N(0, I) and a small deviation s, the gradient of the error that is averaged over the perturbations is

    E[(error(w + s e) - error(w - s e)) e] / (2 s)

which is estimated from population / 2 such pairs ("antithetic"). They are replicas of one forward pass, so that no error flows
back and nothing is kept. The noise is a function of the weights and the data alone, so that a resumed run repeats it. Unlike
the paper, errors are not replaced by their ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from learning_to_learn.errors import UserError
from learning_to_learn.gradients.gradient import Carry, Gradient, Segment
from learning_to_learn.lazy import torch
from learning_to_learn.losses import loss_of
from learning_to_learn.topology.network import Network

Forward: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], tuple[torch.Tensor, torch.Tensor]]"
"""Parameters [R, P], inputs [R, B, T, I] and a state [R, B, D] to outputs [R, B, T, m] and the last state."""


class ForwardOnly(Gradient):
    """An algorithm that an engine helps with nothing but its outputs."""

    forward_only: ClassVar[bool] = True

    def segment(
        self, network: Network, parameters: torch.Tensor, x: torch.Tensor, target: torch.Tensor, carry: Carry | None
    ) -> Segment:
        with torch.no_grad():
            return self.estimate(network, network.forward, parameters, x, target, carry)

    def estimate(
        self,
        network: Network,
        forward: Forward,
        parameters: torch.Tensor,
        x: torch.Tensor,
        target: torch.Tensor,
        carry: Carry | None,
    ) -> Segment:
        """Run a segment with an engine's forward pass, and return the gradient."""
        state = None if carry is None else carry.state
        outputs, last = forward(parameters, x, state)
        gradient = torch.empty_like(parameters)
        for r in range(len(parameters)):
            given = None if state is None else state[r]

            def errors(candidates: torch.Tensor, r: int = r, given: torch.Tensor | None = given) -> torch.Tensor:
                return errors_of(network, forward, candidates, x[r], target[r], given)

            gradient[r] = self.gradient_of(errors, parameters[r], x[r])
        return Segment(gradient, outputs, Carry(last))

    def gradient_of(
        self, errors: Callable[[torch.Tensor], torch.Tensor], weights: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        """Return the gradient [P] of a replica with weights [P] on inputs [B, T, I]; `errors` takes [N, P] to [N]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Es(ForwardOnly):
    """Estimates the gradient from antithetic pairs of perturbed networks."""

    name: ClassVar[str] = "es"
    population: int = 32
    deviation: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population < 2 or self.population % 2:
            raise UserError(f"population={self.population}: it must be an even number >= 2: perturbed networks come in pairs")

    def gradient_of(
        self, errors: Callable[[torch.Tensor], torch.Tensor], weights: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        noise = standard_normal(self.population // 2, weights, x)
        candidates = weights + self.deviation * torch.cat([noise, -noise])
        up, down = errors(candidates).chunk(2)
        return (up - down) @ noise / (self.population * self.deviation)


class NoGradient(ForwardOnly):
    """Forms no gradient: for an optimizer that searches, such as cma."""

    name: ClassVar[str] = "none"

    def gradient_of(
        self, errors: Callable[[torch.Tensor], torch.Tensor], weights: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        del errors, x
        return torch.zeros_like(weights)


def errors_of(
    network: Network,
    forward: Forward,
    candidates: torch.Tensor,
    x: torch.Tensor,
    target: torch.Tensor,
    state: torch.Tensor | None,
) -> torch.Tensor:
    """Return the mean loss [N] of networks [N, P] on the same sequences: x [B, T, I], target [B, T, m], state [B, D]."""
    count = len(candidates)
    given = None if state is None else state.expand(count, *state.shape).contiguous()
    outputs, _ = forward(candidates, x.expand(count, *x.shape), given)
    return loss_of(outputs, target, network.kind, network.loss).mean((1, 2))


def standard_normal(count: int, weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return noise [count, P] that depends on the weights [P] and on the data alone."""
    digest = hashlib.blake2b(weights.detach().contiguous().numpy().tobytes(), digest_size=16)
    digest.update(x.contiguous().numpy().tobytes())
    random = np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))
    return torch.from_numpy(random.standard_normal((count, len(weights)))).to(weights.dtype)
