"""Hydra looks for launchers here and accepts none from elsewhere. The work is done in learning_to_learn.jobs.slurm.

Hydra imports this file at the start of every command, so it imports nothing that is slow.
"""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher import submitit_launcher


class SlurmLauncher(submitit_launcher.SlurmLauncher):
    """The plug-in's launcher, which waits for all jobs, whatever becomes of one of them."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from learning_to_learn.jobs.slurm import launch

        return launch(self, job_overrides, initial_job_idx)
