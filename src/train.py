"""Meta-train recurrent networks: `python -m src.train arch=lstm family=boolean`, or a sweep with -m and lists.

`python -m src.train resume=<run folder>` goes on with a run that was interrupted or killed.
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.command import FAILED, compose_and_run, exit_with
from src.config import load
from src.errors import UserError
from src.job import run_job
from src.table import print_table


def main(*preset: str) -> None:
    """The command. A script that registers units or families of its own calls this, with what it wants to be set first."""
    exit_with(lambda arguments: _main(arguments if _resumes(arguments) else [*preset, *arguments]))


def _main(arguments: list[str]) -> int:
    resumed = _resumes(arguments)
    folder = _resume(resumed[0], arguments) if resumed else compose_and_run(arguments, _job)
    if folder is None:
        return 0
    return FAILED if print_table(folder) else 0


def _resumes(arguments: list[str]) -> list[str]:
    return [a for a in arguments if a.startswith("resume=")]


def _job(config: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    run_job(config, folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _resume(argument: str, arguments: list[str]) -> Path:
    if len(arguments) > 1:
        raise UserError("resume=<run folder> goes on with that run as it was configured: give nothing else with it")
    folder = Path(argument.removeprefix("resume="))
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    run_job(load(folder / "config.yaml"), folder)
    return folder


if __name__ == "__main__":
    main()
