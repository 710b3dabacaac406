"""Optimizers over the flat parameters [R, P] of all replicas. They are independent: none touches another's.

One file each, with its configuration. `make_optimizer(weights, AdamConfig(lr=0.01))` makes one.
"""

from __future__ import annotations

from learning_to_learn.errors import choose
from learning_to_learn.lazy import torch
from learning_to_learn.optimizers.optimizer import OPTIMIZERS, Optimizer, OptimizerConfig
from learning_to_learn.optimizers.schedule import SCHEDULES, rate, rates
from learning_to_learn.registry import import_all

import_all(__name__, __path__)


def make_optimizer(weights: torch.Tensor, *configs: OptimizerConfig) -> Optimizer:
    """Return the optimizer that the configuration names, for weights [R, P]. Raises UserError on an unknown name.

    Give one configuration for all replicas, or R that differ only in keys that may differ from replica to replica.
    """
    every = configs * len(weights) if len(configs) == 1 else configs
    return choose("optimizer", configs[0].name, OPTIMIZERS)(weights, every)


__all__ = ["OPTIMIZERS", "SCHEDULES", "Optimizer", "OptimizerConfig", "make_optimizer", "rate", "rates"]
