"""Sending the jobs of a sweep to Ray, whose workers start in whichever folder the cluster's nodes were started in."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.types import TaskFunction
from omegaconf import DictConfig, open_dict

from learning_to_learn.composing import quoted


@dataclass(frozen=True)
class Here:
    """A job that runs in the folder in which the command was given, which every machine must have at the same path."""

    job: TaskFunction
    folder: Path

    def __call__(self, config: DictConfig) -> Any:
        os.chdir(self.folder)
        return self.job(config)


def from_here(config: DictConfig, job: TaskFunction) -> Here:
    """The job as a worker can run it; the sweep's folder in `config`, from which the jobs' are composed, becomes absolute."""
    folder = Path(str(config.hydra.sweep.dir)).absolute()
    with open_dict(config):
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(folder)}")  # the last one counts
    return Here(job, Path.cwd())
