"""Hydra looks for launchers here and accepts none from elsewhere. The work is done in learning_to_learn.jobs.

Hydra imports this file at the start of every command, so it imports nothing that is slow.
"""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra_plugins.hydra_ray_launcher import ray_launcher
from hydra_plugins.hydra_submitit_launcher import submitit_launcher


class SlurmLauncher(submitit_launcher.SlurmLauncher):
    """The plug-in's launcher, which waits for all jobs, whatever becomes of one of them."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from learning_to_learn.jobs.slurm import launch

        return launch(self, job_overrides, initial_job_idx)


class RayLauncher(ray_launcher.RayLauncher):
    """The plug-in's launcher, whose jobs run in the folder in which the command was given."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from learning_to_learn.jobs.ray_cluster import from_here

        assert self.config
        assert self.task_function
        task_function, self.task_function = self.task_function, from_here(self.config, self.task_function)
        try:
            return super().launch(job_overrides, initial_job_idx)
        finally:
            self.task_function = task_function
