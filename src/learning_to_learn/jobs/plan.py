"""What a command would start: its jobs, how long they train and what memory they need. `--dry-run` shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from omegaconf import DictConfig

from learning_to_learn import composing
from learning_to_learn.config import Config, conform
from learning_to_learn.config_check import check, make_network
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.rates import Rates, estimate_seconds, machine_rates, measured_seconds
from learning_to_learn.jobs.sweep_recorder import jobs_of
from learning_to_learn.runs.varying import names_of_overrides


@dataclass(frozen=True)
class PlannedJob:
    """A job that would be started."""

    name: str
    """What varies."""
    config: Config | None = None
    """None where the job would fail at once."""
    error: str = ""
    """Why it would."""
    parameters: int = 0
    seconds: float | None = None
    """Of training, as an estimate; None where nothing is known."""
    memory: int = 0
    """Bytes, as an estimate."""


@dataclass(frozen=True)
class Plan:
    """All that would be started."""

    jobs: list[PlannedJob]
    at_a_time: int
    """How many jobs run side by side."""
    trials: int | None = None
    """How many jobs a search makes, of which `jobs` has one without the values that are drawn."""

    @property
    def refused(self) -> bool:
        return any(job.error for job in self.jobs)

    @property
    def _sound(self) -> list[PlannedJob]:
        return [job for job in self.jobs if not job.error] * (self.trials or 1)

    @property
    def epochs(self) -> int:
        """Those of all jobs that would run."""
        return sum(job.config.trainer.epochs for job in self._sound if job.config)

    @property
    def seconds(self) -> float | None:
        """Those of all jobs, one after the other; None where those of one are not known."""
        known = [job.seconds for job in self._sound if job.seconds is not None]
        return sum(known) if len(known) == len(self._sound) else None

    @property
    def elapsed(self) -> float | None:
        """From the first job's beginning to the last one's end, each job begun where one before it ends first."""
        if self.seconds is None:
            return None
        workers = [0.0] * min(self.at_a_time, max(1, len(self._sound)))
        for job in self._sound:
            workers.sort()
            workers[0] += job.seconds or 0.0
        return max(workers)

    @property
    def memory(self) -> int:
        """Bytes, of the largest jobs that can run at the same time."""
        return sum(sorted((job.memory for job in self._sound), reverse=True)[: self.at_a_time])


def plan(arguments: Sequence[str]) -> Plan:
    """Return what a command line would start; nothing is started, and no folder made.

    Raises UserError where the whole of it is wrong; a single wrong job of a sweep has its error.
    """
    request = composing.read(arguments)
    if request.informs:
        raise UserError("--dry-run shows jobs, and does not go with --help, --cfg, --info and their like")
    whole, jobs = composing.compose_jobs(request, jobs_of)
    estimate, trials = _Estimates(), None
    if jobs is None:
        sweeper = whole.hydra.sweeper
        drawn = [f"{key}={space}" for key, space in (sweeper.params or {}).items()]
        trials = int(sweeper.n_trials)
        jobs = [([*drawn, *map(str, whole.hydra.overrides.task)], composing.of_a_job(whole))]
    names = names_of_overrides([words for words, _ in jobs])
    planned = [estimate.of(name, found) for name, (_, found) in zip(names, jobs, strict=True)]
    return Plan(planned, int(whole.launcher.jobs), trials)


class _Estimates:
    """What the estimates of all jobs share, read when it is needed first."""

    @cached_property
    def measured(self) -> dict[str, float]:
        return measured_seconds(composing.RUNS)

    @staticmethod
    @cache
    def rates() -> Rates:
        return machine_rates()

    def of(self, name: str, found: DictConfig | UserError) -> PlannedJob:
        from learning_to_learn.training.memory import check_memory, estimate_memory

        try:
            if isinstance(found, UserError):
                raise found
            config = conform(found)
            check(config)
            check_memory(config)
        except Exception as error:  # noqa: BLE001 - as a job, which says it where its own log is
            return PlannedJob(name, error=str(error) if isinstance(error, UserError) else cause_in_a_line(error))
        seconds = estimate_seconds(config, self.measured, self.rates)
        memory = sum(estimate_memory(config).values())
        return PlannedJob(
            name or f"{config.arch.name} {config.family.name}", config, "", make_network(config).parameters, seconds, memory
        )
