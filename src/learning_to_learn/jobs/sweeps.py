"""Starting a job or a sweep from a command line, and resuming one from its folder."""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from learning_to_learn import composing, plugins
from learning_to_learn.config import IN_THIS_PROCESS
from learning_to_learn.errors import RunError, UserError, cause_in_a_line
from learning_to_learn.jobs.recorded_words import resumed_words
from learning_to_learn.jobs.signals import LIMIT, interruption
from learning_to_learn.jobs.sweep_recorder import record
from learning_to_learn.jobs.workers import WORKERS, end_with_parent, end_workers
from learning_to_learn.lazy import import_heavy
from learning_to_learn.runs.monitor import Monitor, announce
from learning_to_learn.runs.run_folder import CONFIG, Status
from learning_to_learn.runs.saved_config import load_config
from learning_to_learn.runs.sweep_folder import arguments_of, run_folders, survey, trials_left

if TYPE_CHECKING:
    from learning_to_learn.jobs.job import Outcome


JOB = "learning_to_learn.jobs.job"


@dataclass(frozen=True)
class Started:
    """What was started, and how far it came."""

    folder: Path
    refused: bool = False
    """The request was wrong, or the folder is another run's: nothing was done."""
    failed: bool = False
    """A job has failed, or could not leave a word in a folder."""


def start(arguments: Sequence[str], *, tells: bool = True) -> Started | None:
    """Run what the arguments say, a job or a sweep; None where Hydra was only asked for information.

    Where it is interrupted it tells the command that resumes the sweep, unless its caller does (`tells=False`).
    """
    request = composing.read(arguments)
    if request.informs:
        composing.inform(request)
        return None
    if request.flags.package or request.flags.resolve:
        raise UserError("--package and --resolve say what --cfg shows; without it nothing is shown")
    sweeps: list[Path] = []
    outcomes: list[Outcome] = []

    def alone(config: DictConfig) -> float:
        outcomes.append(_run(config))
        return outcomes[-1].score

    def interrupted() -> None:
        for one in sweeps if tells else ():
            interruption.tell(f"interrupted; resume it with: python -m src.sweep resume {shlex.quote(str(one))}")

    with ExitStack() as stack:

        def started(folder: Path, sweep: DictConfig | None) -> None:
            if sweep is not None:
                if (folder / CONFIG).exists():
                    raise UserError(f"{folder} holds a run, not a sweep: choose another hydra.sweep.dir")
                with interruption.protected():
                    record(folder, sweep)
                sweeps.append(folder)
                stack.enter_context(Monitor()).watch(folder)

        stack.enter_context(interruption.ending(interrupted, forward=lambda: end_workers(sweeps)))
        try:
            folder, _ = composing.run(request, alone, JobOfASweep(os.getpid()), started=started)
        except UserError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and not sweeps:
                raise UserError(f"cannot use {cause_in_a_line(error)}") from None
            for one in sweeps:  # a job that fails says so itself, and the others go on; this is the launcher
                kept = f"; finished jobs are kept, resume it with: python -m src.sweep resume {one}"
                raise RunError(cause_in_a_line(error) + (kept if run_folders(one) else "; no job has begun")) from error
            raise
    # A job that is the same as another one, in the same folder, has left a word there.
    jobs = [job for one in sweeps for job in survey(one)]
    silent = {job.overrides for job in jobs if not job.place} - {job.overrides for job in jobs if job.place}
    failed = any(o.status is Status.FAILED for o in outcomes)
    return Started(short(folder), refused=any(o.refused for o in outcomes), failed=failed or bool(silent))


def resume(folder: Path, given: Sequence[str] = ()) -> Started:
    """Resume the run or the sweep in a folder, a sweep with the words that are `given` besides those it was started with.

    Raises UserError where there is none, or where a word of the folder cannot be trusted.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    sweep = arguments_of(folder)
    if sweep is None:
        if given:
            raise UserError(f"{folder} holds a run, which is resumed as it is: {given[0]} is for a sweep")
        import_heavy(JOB)
        from learning_to_learn.jobs.job import run_job

        outcome = run_job(load_config(folder), folder)
        return Started(folder, refused=outcome.refused, failed=outcome.status is Status.FAILED)
    # Only what the user names now is imported.
    asked = [one for word in sweep if word.startswith("plugins=") for one in composing.listed(word)]
    plugins.require(asked)
    for word in sweep:
        if word.lstrip("+").startswith("arch.module="):
            for one in word.partition("=")[2].split(","):
                plugins.require_class(one.strip("'\""))
    loaded = (
        [f"plugins=[{','.join(composing.quoted(plugins.LOADED[plugins.name_of(one)].given) for one in asked)}]"]
        if asked
        else []
    )
    words = resumed_words([word for word in sweep if not word.startswith("plugins=")], given, folder)
    left = trials_left(folder)
    if left is not None:
        started = start(["-m", *words, *loaded, f"hydra.sweep.dir={composing.quoted(folder)}", *left])
        return Started(folder, failed=started is None or started.failed)
    return Started(folder)


@dataclass(frozen=True)
class JobOfASweep:
    """Runs one job of a sweep, in the process of the command or in another one, to which a launcher sends it."""

    parent: int
    """The process of the command."""

    def __call__(self, config: DictConfig) -> float:
        """Return the job's score on the validation data, for a sweeper that searches."""
        worker = config.launcher.name == WORKERS
        if worker:
            end_with_parent(self.parent)
        try:
            return _run(config).score
        except KeyboardInterrupt:
            if worker:
                time.sleep(LIMIT)  # else this process begins the next job before joblib kills it
            raise


@dataclass(frozen=True)
class Request:
    """A job that Hydra has composed, with the folder that Hydra gives it."""

    config: DictConfig
    folder: Path
    sweep: Path | None
    overrides: tuple[str, ...]
    number: int = 0
    """Its place in the sweep."""


def request_of(config: DictConfig) -> Request:
    """Return the job whose configuration Hydra has made the current one, in whichever process this is."""
    composing.register_resolvers()
    plugins.load(str(one) for one in config.get("plugins") or [])
    plugins.name_class(config.arch.get("module"))
    hydra = HydraConfig.get()
    folder, typed = short(Path(hydra.runtime.output_dir)), tuple(str(word) for word in hydra.overrides.task)
    if hydra.mode == RunMode.RUN:
        return Request(config, folder, None, typed)
    return Request(config, folder, short(Path(hydra.sweep.dir)), typed, hydra.job.num)


def _run(config: DictConfig) -> "Outcome":
    request = request_of(config)
    import_heavy(JOB)
    from learning_to_learn.jobs.job import run_job

    console = request.sweep is None or config.launcher.name in IN_THIS_PROCESS
    if console and request.sweep:
        announce(request.sweep, request.number, list(request.overrides))
    return run_job(config, request.folder, sweep=request.sweep, overrides=request.overrides, console=console)


def short(path: Path) -> Path:
    """The path from the working directory, where it lies under it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
