"""Write sweep.json: what a sweep was asked for, and its jobs."""

import time
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from learning_to_learn.config import IN_THIS_PROCESS
from learning_to_learn.jobs.pairing import words_of_jobs
from learning_to_learn.runs.run_folder import write_json
from learning_to_learn.runs.sweep_request import SWEEP, readable_request

OF_THE_FOLDER = ("hydra.sweep.dir=", "hydra.mode=", "hydra.sweeper.n_trials=", "hydra.sweeper.sampler.seed=")
"""Overrides that say where a sweep is, or how far it is, not what."""


def record(folder: Path, config: DictConfig) -> None:
    """Write what was asked for into the sweep's folder; a search that is resumed keeps the number of its trials.

    Raises OSError where nothing can be written there. (A callback of Hydra's could not: Hydra makes a warning of it.)
    """
    overrides = config.hydra.overrides
    arguments = [str(a) for a in (*overrides.task, *overrides.hydra) if not str(a).startswith(OF_THE_FOLDER)]
    sources = config.hydra.runtime.config_sources
    arguments += [f"--config-dir={s.path}" for s in sources if s.provider == "command-line"]
    jobs = jobs_of(config)
    trials = config.hydra.sweeper.get("n_trials") if jobs is None else None
    before = readable_request(folder)
    asked = {
        "arguments": arguments,
        "launcher": config.launcher.name,
        "in_this_process": config.launcher.name in IN_THIS_PROCESS,
        "jobs": jobs,
        "started": time.time(),
        "trials": before.trials if before and before.trials else trials,
        "sampler_seed": OmegaConf.select(config, "hydra.sweeper.sampler.seed"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SWEEP, asked)


def jobs_of(config: DictConfig) -> list[list[str]] | None:
    """Return the overrides of every job, or None where the sweeper makes them up as it goes.

    Raises UserError where keys cannot be paired.
    """
    sweeper = config.hydra.sweeper
    if not str(sweeper._target_).endswith("BasicSweeper"):
        return None
    given = [f"{k}={v}" for k, v in (sweeper.params or {}).items()] + [str(a) for a in config.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return words_of_jobs(parser.parse_overrides(given), sweeper.zip)
