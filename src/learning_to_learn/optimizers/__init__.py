"""Optimizers over the flat parameters [R, P] of all replicas. They are independent: none touches another's.

One file each, with its configuration. `make_optimizer(weights, AdamConfig(lr=0.01))` makes one.
"""

from __future__ import annotations

from learning_to_learn.errors import choose
from learning_to_learn.lazy import torch
from learning_to_learn.optimizers.optimizer import OPTIMIZERS, Optimizer, OptimizerConfig
from learning_to_learn.optimizers.schedule import SCHEDULES, rate
from learning_to_learn.registry import import_all

import_all(__name__, __path__)


def make_optimizer(weights: torch.Tensor, config: OptimizerConfig) -> Optimizer:
    """Return the optimizer that the configuration names, for weights [R, P]. Raises UserError on an unknown name."""
    return choose("optimizer", config.name, OPTIMIZERS)(weights, config)


__all__ = ["OPTIMIZERS", "SCHEDULES", "Optimizer", "OptimizerConfig", "make_optimizer", "rate"]
