"""How the jobs of a sweep share the cores."""

from learning_to_learn.composing import usable_cores
from learning_to_learn.config import Config


def threads_of_a_job(config: Config) -> int:
    """`threads` where it is given; else the launcher's cores for a job; else this machine's, divided by the jobs at a time."""
    launcher = config.launcher
    if config.threads or launcher.cores:
        return config.threads or launcher.cores or 1
    return 1 if launcher.address else max(1, usable_cores() // launcher.jobs)
