"""Where Hydra looks for sweepers: it accepts none from elsewhere. The search is learning_to_learn.jobs.optuna_sweeper.

Hydra imports this file at the start of every command, so it imports nothing else.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Hydra's interface to a Search."""

    def __init__(self, **settings: Any) -> None:
        from learning_to_learn.jobs.optuna_sweeper import Search

        self._search = Search(**settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._search.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        self._search.sweep(arguments)
