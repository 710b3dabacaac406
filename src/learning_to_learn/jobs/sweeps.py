"""Starting a job or a sweep from a command line, and resuming one from its folder."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from learning_to_learn import composing, plugins
from learning_to_learn.config import load
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.recorded_words import resumed_words
from learning_to_learn.lazy import import_heavy
from learning_to_learn.runs.monitor import Monitor, announce
from learning_to_learn.runs.run_folder import CONFIG
from learning_to_learn.runs.sweep_folder import arguments_of, trials_left

if TYPE_CHECKING:
    from learning_to_learn.jobs.job import Outcome


JOB = "learning_to_learn.jobs.job"


@dataclass(frozen=True)
class Started:
    """What was started, and how far it came."""

    folder: Path
    refused: bool = False
    """The folder belongs to another run, so that nothing was done."""


def start(arguments: Sequence[str]) -> Started | None:
    """Run what the arguments say, a job or a sweep; None where Hydra was only asked for information."""
    request = composing.read(arguments)
    if request.informs:
        composing.inform(request)
        return None
    sweeps: list[Path] = []
    outcomes: list[Outcome] = []

    def alone(config: DictConfig) -> float:
        outcomes.append(_run(config))
        return outcomes[-1].score

    with ExitStack() as stack:

        def started(folder: Path, sweep: bool) -> None:
            if sweep:
                if (folder / CONFIG).exists():
                    raise UserError(f"{folder} holds a run, not a sweep: choose another hydra.sweep.dir")
                sweeps.append(folder)
                stack.enter_context(Monitor()).watch(folder)

        try:
            folder, _ = composing.run(request, alone, job_of_a_sweep, started=started)
        except KeyboardInterrupt:
            for one in sweeps:
                print(f"interrupted; resume it with: python -m src.sweep resume {one}", file=sys.stderr)
            raise
        except UserError:
            raise
        except Exception as error:
            for one in sweeps:  # a job that fails says so itself, and the others go on; this is the launcher
                line = f"{cause_in_a_line(error)}; finished jobs are kept, resume it with: python -m src.sweep resume {one}"
                raise UserError(line) from error
            raise
    return Started(short(folder), refused=any(o.refused for o in outcomes))


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

        config = load(folder / CONFIG)
        return Started(folder, refused=run_job(config, folder).refused)
    # Only what the user names now is imported.
    asked = [one for word in sweep if word.startswith("plugins=") for one in composing.listed(word)]
    plugins.require(asked)
    loaded = (
        [f"plugins=[{','.join(composing.quoted(plugins.LOADED[plugins.name_of(one)].given) for one in asked)}]"]
        if asked
        else []
    )
    words = resumed_words([word for word in sweep if not word.startswith("plugins=")], given, folder)
    left = trials_left(folder)
    if left is not None:
        start(["-m", *words, *loaded, f"hydra.sweep.dir={composing.quoted(folder)}", *left])
    return Started(folder)


def job_of_a_sweep(config: DictConfig) -> float:
    """Run one job of a sweep; its score on the validation data, for a sweeper that searches."""
    return _run(config).score


def _run(config: DictConfig) -> "Outcome":
    """Run the job that Hydra has composed, in the folder that Hydra gives it, in whichever process this is."""
    composing.register_resolvers()
    plugins.load(str(one) for one in config.get("plugins") or [])
    import_heavy(JOB)
    from learning_to_learn.jobs.job import run_job

    hydra = HydraConfig.get()
    folder = short(Path(hydra.runtime.output_dir))
    typed = [str(word) for word in hydra.overrides.task]
    if hydra.mode == RunMode.RUN:
        return run_job(config, folder, overrides=typed)
    sweep = short(Path(hydra.sweep.dir))
    console = hydra.launcher._target_.endswith("BasicLauncher")
    if console:
        announce(sweep, hydra.job.num, hydra.overrides.task)
    return run_job(config, folder, sweep=sweep, overrides=typed, console=console)


def short(path: Path) -> Path:
    """The path from the working directory, where it lies under it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
