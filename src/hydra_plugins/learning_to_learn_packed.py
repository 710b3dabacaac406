"""Hydra looks for launchers here and accepts none from elsewhere. How jobs are packed is in learning_to_learn.jobs.pack.

Hydra imports this file at the start of every command, so it imports nothing that is slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class PackedLauncherConfig:
    """Hydra's settings of the launcher: there are none but its class."""

    _target_: str = "hydra_plugins.learning_to_learn_packed.PackedLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="packed", node=PackedLauncherConfig, provider="learning_to_learn")


class PackedLauncher(Launcher):
    """Hydra's interface to jobs/pack.py: it composes all jobs first, as Hydra's own launchers do one after the other."""

    def __init__(self, **_: Any) -> None:
        """Hydra gives its settings."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from learning_to_learn.hydra_loader import run
        from learning_to_learn.jobs.pack import run_requests
        from learning_to_learn.jobs.sweeps import Request, request_of

        setup_globals()
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        requests: list[Request] = []

        def collect(config: DictConfig) -> None:
            requests.append(request_of(config))

        returned, loader = [], self._context.config_loader
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            returned.append(run(loader, self._config, overrides, number, self._context, collect, configure_logging=False))
            returned[-1].return_value  # noqa: B018 - raises what composing the job has raised
        for one, outcome in zip(returned, run_requests(requests), strict=True):
            one.return_value = outcome.score
        return returned
