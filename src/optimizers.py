"""Optimizers over the flat parameters [R, P] of all replicas at once, and learning-rate schedules.

torch's optimizers work number by number, so that one of them over [R, P] is R of them over [P].
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from src.errors import choose


def _adam(parameters: list[Tensor], config: Mapping[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=config["lr"], betas=tuple(config["betas"]), fused=True)


def _sgd(parameters: list[Tensor], config: Mapping[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=config["lr"], momentum=config["momentum"], fused=True)


def _rmsprop(parameters: list[Tensor], config: Mapping[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, lr=config["lr"], alpha=config["decay"], momentum=config["momentum"])


OPTIMIZERS: dict[str, Callable[[list[Tensor], Mapping[str, Any]], torch.optim.Optimizer]] = {
    "adam": _adam,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
}

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,
}
"""The rate, as a part of `lr`, at a progress from 0 to 1 through the training."""


def make_optimizer(parameters: list[Tensor], config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimizer of an `optimizer` node. Raises UserError on an unknown name."""
    return choose("optimizer", config["name"], OPTIMIZERS)(parameters, config)


def rate(config: Mapping[str, Any], update: int, updates: int) -> float:
    """The learning rate of update number `update` of `updates`."""
    progress, warmup = update / max(updates, 1), config["warmup"]
    rise = min(1.0, (progress + 1 / max(updates, 1)) / warmup) if warmup else 1.0
    return config["lr"] * rise * SCHEDULES[config["schedule"]](progress)
