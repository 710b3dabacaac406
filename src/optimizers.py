"""Optimizers over the flat parameters [R, P] of all replicas: clip, move and freeze, in one compiled call an update.

torch's own optimizers agree with these to rounding, which the tests show; but a step of theirs costs six times as much time
in Python as an update's arithmetic, a quarter of a small network's training.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numba import njit
from torch import Tensor

from src.errors import choose

if TYPE_CHECKING:
    from src.config import OptimizerConfig

EPSILON = 1e-8


class Optimizer:
    """Updates weights in place. `state` is what a checkpoint keeps.

    Raises UserError on an unknown name.
    """

    def __init__(self, weights: Float[Tensor, "R P"], config: "OptimizerConfig") -> None:
        self.config, self._weights = config, weights
        self._update = choose("optimizer", config.name, OPTIMIZERS)
        self.moments = torch.zeros(2, *weights.shape, dtype=weights.dtype)
        """First and second moment, or momentum and mean square, of every gradient."""
        self.updates = 0

    def step(self, gradient: Float[Tensor, "R P"], lr: float, alive: Bool[Tensor, " R"]) -> None:
        """Move every replica that is alive; one whose gradient is not finite stays where it is and is alive no more."""
        self.updates += 1
        config = self.config
        clip = math.inf if config.clip is None else config.clip
        self._update(
            self._weights.detach().numpy(), gradient.numpy(), self.moments.numpy(), alive.numpy(), self.updates,
            np.array([lr, clip, config.betas[0], config.betas[1], config.momentum, config.decay]),
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {"moments": self.moments, "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        self.moments.copy_(state["moments"])
        self.updates = int(state["updates"])


@njit(cache=True, inline="always")
def _shrink(gradient, clip):
    """What the gradient of a replica must be multiplied with to be no longer than `clip`; NaN where it is not finite."""
    square = 0.0
    for g in gradient:
        square += g * g
    norm = math.sqrt(square)
    if not math.isfinite(norm):
        return math.nan
    return clip / norm if norm > clip else 1.0


@njit(cache=True, error_model="numpy")
def _adam(weights, gradient, moments, alive, updates, numbers):
    """Kingma & Ba 2015, algorithm 1."""
    lr, clip, beta1, beta2 = numbers[0], numbers[1], numbers[2], numbers[3]
    rate, root = lr / (1 - beta1**updates), 1 / math.sqrt(1 - beta2**updates)
    for r in range(weights.shape[0]):
        shrink = _shrink(gradient[r], clip)
        alive[r] = alive[r] and not math.isnan(shrink)
        if alive[r]:
            for p in range(weights.shape[1]):
                g = gradient[r, p] * shrink
                moments[0, r, p] = beta1 * moments[0, r, p] + (1 - beta1) * g
                moments[1, r, p] = beta2 * moments[1, r, p] + (1 - beta2) * g * g
                weights[r, p] -= rate * moments[0, r, p] / (math.sqrt(moments[1, r, p]) * root + EPSILON)


@njit(cache=True, error_model="numpy")
def _sgd(weights, gradient, moments, alive, updates, numbers):
    """Gradient descent with momentum (Rumelhart, Hinton & Williams 1986)."""
    lr, clip, momentum = numbers[0], numbers[1], numbers[4]
    for r in range(weights.shape[0]):
        shrink = _shrink(gradient[r], clip)
        alive[r] = alive[r] and not math.isnan(shrink)
        if alive[r]:
            for p in range(weights.shape[1]):
                moments[0, r, p] = momentum * moments[0, r, p] + gradient[r, p] * shrink
                weights[r, p] -= lr * moments[0, r, p]


@njit(cache=True, error_model="numpy")
def _rmsprop(weights, gradient, moments, alive, updates, numbers):
    """Tieleman & Hinton 2012, with momentum."""
    lr, clip, momentum, decay = numbers[0], numbers[1], numbers[4], numbers[5]
    for r in range(weights.shape[0]):
        shrink = _shrink(gradient[r], clip)
        alive[r] = alive[r] and not math.isnan(shrink)
        if alive[r]:
            for p in range(weights.shape[1]):
                g = gradient[r, p] * shrink
                moments[1, r, p] = decay * moments[1, r, p] + (1 - decay) * g * g
                moments[0, r, p] = momentum * moments[0, r, p] + g / (math.sqrt(moments[1, r, p]) + EPSILON)
                weights[r, p] -= lr * moments[0, r, p]


OPTIMIZERS: dict[str, Callable[..., None]] = {"adam": _adam, "sgd": _sgd, "rmsprop": _rmsprop}

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,
}
"""The rate, as a part of `lr`, at a progress from 0 to 1 through the training."""


def rate(config: "OptimizerConfig", progress: float) -> float:
    """The learning rate at a progress from 0 to 1 through the training."""
    rise = min(1.0, progress / config.warmup) if config.warmup else 1.0
    return config.lr * rise * SCHEDULES[config.schedule](progress)
