"""Hydra looks for sweepers and launchers here and accepts none from elsewhere.

How values are paired is in learning_to_learn.jobs.pairing, how jobs are composed in learning_to_learn.hydra_loader.

Hydra imports this file at the start of every command, so it imports nothing that is slow.
"""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import basic_launcher, basic_sweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals

_log = logging.getLogger(__name__)


def _replace(group: str, node: type) -> None:
    """Put a configuration in the place of Hydra's own of the name "basic"; from Hydra 1.4 on that must be said."""
    store = ConfigStore.instance().store
    said: dict[str, Any] = {"replace": True} if "replace" in inspect.signature(store).parameters else {}
    store(group=group, name="basic", node=node, provider="learning_to_learn", **said)


@dataclass
class BasicSweeperConfig(basic_sweeper.BasicSweeperConf):
    """Hydra's settings of its sweeper, and the keys whose values are paired."""

    _target_: str = "hydra_plugins.learning_to_learn_basic.BasicSweeper"
    zip: list[str] = field(default_factory=list)


_replace("hydra/sweeper", BasicSweeperConfig)


class BasicSweeper(basic_sweeper.BasicSweeper):
    """Hydra's sweeper, which crosses the values of all keys, but for those that it pairs."""

    def __init__(self, zip: list[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.paired = zip

    def split_arguments(self, overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:  # type: ignore[override]
        from learning_to_learn.jobs.pairing import words_of_jobs

        return list(self.split_overrides_to_chunks(words_of_jobs(overrides, self.paired), max_batch_size))


@dataclass
class BasicLauncherConfig(basic_launcher.BasicLauncherConf):
    """Hydra's settings of its launcher: there are none but its class."""

    _target_: str = "hydra_plugins.learning_to_learn_basic.BasicLauncher"


_replace("hydra/launcher", BasicLauncherConfig)


class BasicLauncher(basic_launcher.BasicLauncher):
    """Hydra's launcher, which runs one job after the other, but does not keep their configurations."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from learning_to_learn.hydra_loader import run

        setup_globals()
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.task_function is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        _log.info("Launching %d jobs locally", len(job_overrides))
        loader = self.hydra_context.config_loader
        returned: list[JobReturn] = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            _log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
            returned.append(run(loader, self.config, overrides, number, self.hydra_context, self.task_function))
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return returned
