"""Who runs the jobs of a sweep, and how they share the cores: what conf/launcher/ needs from code."""

import os
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

if TYPE_CHECKING:
    from learning_to_learn.config import Config

LAUNCHERS = ("basic", "joblib", "submitit_local", "submitit_slurm", "ray")
IN_THIS_PROCESS = "basic"


def usable_cores() -> int:
    """Cores that this process may use; under SLURM and in containers fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_a_job(config: "Config") -> int:
    """`threads` where it is given; else the launcher's cores for a job; else this machine's, divided by the jobs at a time."""
    launcher = config.launcher
    if config.threads or launcher.cores:
        return config.threads or launcher.cores or 1
    return 1 if launcher.address else max(1, usable_cores() // launcher.jobs)


def register_resolvers() -> None:
    """What the files of conf/launcher/ interpolate."""

    def ray_cpus(address: str | None, jobs: int) -> int | None:
        return None if address else jobs  # a cluster knows its own

    def ray_cpus_of_a_job(address: str | None, cores: int | None) -> int:
        return cores or 1 if address else 1  # of a Ray of our own, whose CPUs are the jobs at a time

    for name, resolver in (("cores", usable_cores), ("ray_cpus", ray_cpus), ("ray_cpus_of_a_job", ray_cpus_of_a_job)):
        OmegaConf.register_new_resolver(name, resolver, replace=True)
