"""Optimizers over the flat parameters [R, P] of all replicas. They are independent: none touches another."""

from typing import TYPE_CHECKING

from torch import Tensor

from learning_to_learn.errors import choose
from learning_to_learn.optimizers.elementwise import Adam, RmsProp, Sgd
from learning_to_learn.optimizers.optimizer import Optimizer
from learning_to_learn.optimizers.schedule import SCHEDULES, rate
from learning_to_learn.optimizers.soap import Soap

if TYPE_CHECKING:
    from learning_to_learn.config import OptimizerConfig

OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "sgd": Sgd, "rmsprop": RmsProp, "soap": Soap}


def make_optimizer(weights: Tensor, config: "OptimizerConfig") -> Optimizer:
    """The optimizer that the configuration names, for weights [R, P]. Raises UserError on an unknown name."""
    return choose("optimizer", config.name, OPTIMIZERS)(weights, config)


__all__ = ["OPTIMIZERS", "SCHEDULES", "Optimizer", "make_optimizer", "rate"]
