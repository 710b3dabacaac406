"""Schedules of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from learning_to_learn.optimizers.optimizer import OptimizerConfig

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,
}
"""The rate, as a part of `lr`, at a progress from 0 to 1 through the training."""


def rate(config: OptimizerConfig, progress: float, lr: np.ndarray | None = None) -> Any:
    """Return the learning rate at a progress from 0 to 1 through the training; with `lr` [R], that of every replica."""
    return (config.lr if lr is None else lr) * _rise(config, progress) * SCHEDULES[config.schedule](progress)


def rates(config: OptimizerConfig, progress: Sequence[float], lr: np.ndarray) -> np.ndarray:
    """Return the learning rates [U, R] that `rate` returns at several progresses."""
    rise = [_rise(config, now) for now in progress]
    fall = [SCHEDULES[config.schedule](now) for now in progress]
    return lr * np.array(rise)[:, None] * np.array(fall)[:, None]


def _rise(config: OptimizerConfig, progress: float) -> float:
    """The part of the rate that the warm-up has reached."""
    return min(1.0, progress / config.warmup) if config.warmup else 1.0
