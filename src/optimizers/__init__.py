"""Optimizers over the flat parameters [R, P] of all replicas. They are independent: none touches another."""

from typing import TYPE_CHECKING

from torch import Tensor

from src.errors import choose
from src.optimizers.elementwise import Adam, RmsProp, Sgd
from src.optimizers.optimizer import Optimizer
from src.optimizers.schedule import SCHEDULES, rate
from src.optimizers.soap import Soap

if TYPE_CHECKING:
    from src.config import OptimizerConfig

OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "sgd": Sgd, "rmsprop": RmsProp, "soap": Soap}


def make_optimizer(weights: Tensor, config: "OptimizerConfig") -> Optimizer:
    """The optimizer that the configuration names, for weights [R, P]. Raises UserError on an unknown name."""
    return choose("optimizer", config.name, OPTIMIZERS)(weights, config)


__all__ = ["OPTIMIZERS", "SCHEDULES", "Optimizer", "make_optimizer", "rate"]
