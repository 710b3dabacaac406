"""Meta-train recurrent networks: `python -m src.train arch=lstm family=boolean`, or a sweep with -m and lists.

`python -m src.train resume=<folder>` goes on with a run, or a sweep, that was interrupted or killed.
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from learning_to_learn.commands.cli import FAILED, compose_and_run, exit_with, informs
from learning_to_learn.config import load
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.job import place_and_run, run_job
from learning_to_learn.jobs.metrics_log import METRICS
from learning_to_learn.results.table import print_table
from learning_to_learn.runs.monitor import Monitor, announce
from learning_to_learn.runs.run_folder import read_rows
from learning_to_learn.runs.sweep_folder import arguments_of, trials_left

SWEEPS = ("-m", "--multirun")


def main(*preset: str) -> None:
    """The command. A script that registers units or families of its own calls this, with what it wants to be set first."""
    exit_with(lambda arguments: _main(arguments if _resumes(arguments) else [*preset, *arguments]))


def _main(arguments: list[str]) -> int:
    resumed = _resumes(arguments)
    folder = resume(resumed[0], arguments) if resumed else start(arguments)
    if folder is None:
        return 0
    return FAILED if print_table(folder) else 0


def start(arguments: list[str]) -> Path | None:
    """Run what the arguments say, a job or a sweep; its folder, or None where Hydra was only asked for information."""
    if any(a.startswith("sweep=") for a in arguments) and not informs(arguments):
        arguments = ["--multirun", *(a for a in arguments if a not in SWEEPS)]
    if not any(a in SWEEPS for a in arguments):
        return compose_and_run(arguments, _job)
    with Monitor() as monitor:
        return compose_and_run(arguments, _job, started=monitor.watch)


def resume(argument: str, arguments: list[str]) -> Path:
    """Go on with the run or the sweep that `argument`, resume=<folder>, names. Raises UserError where there is none."""
    if len(arguments) > 1:
        raise UserError("resume=<folder> goes on with that run or sweep as it was configured: give nothing else with it")
    folder = Path(argument.removeprefix("resume="))
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    sweep = arguments_of(folder)
    if sweep is not None:
        left = trials_left(folder)
        if left is not None:
            start(["-m", *sweep, f"hydra.sweep.dir={folder}", *left])
    else:
        run_job(load(folder / "config.yaml"), folder)
    return folder


def _resumes(arguments: list[str]) -> list[str]:
    return [a for a in arguments if a.startswith("resume=")]


def _job(config: DictConfig) -> float:
    """Run the job; its score on the validation data, for a sweeper that searches."""
    hydra = HydraConfig.get()
    folder, sweep = _short(Path(hydra.runtime.output_dir)), None
    alone = hydra.mode == RunMode.RUN
    console = alone or hydra.launcher._target_.endswith("BasicLauncher")
    if not alone:
        sweep = _short(Path(hydra.sweep.dir))
        if console:
            announce(sweep, hydra.job.num, hydra.overrides.task)
    status, folder = place_and_run(config, folder, sweep=sweep, overrides=hydra.overrides.task, console=console)
    rows = read_rows(folder / METRICS) if status != "failed" else []
    return float(rows[-1]["score/median"]) if rows else float("nan")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
