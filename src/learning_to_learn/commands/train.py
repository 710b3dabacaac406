"""Meta-train recurrent networks: `python -m src.train arch=lstm family=boolean`, or a sweep with -m and lists.

`python -m src.train resume=<folder>` resumes a run, or a sweep, that was interrupted or killed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from learning_to_learn.commands.cli import FAILED, WRONG, exit_with, without_plugins
from learning_to_learn.errors import UserError

if TYPE_CHECKING:
    from learning_to_learn.jobs.sweeps import Started

EXPLAIN, DRY_RUN = "--explain", "--dry-run"


def main(*preset: str) -> None:
    """The command. A script that registers units or families of its own calls this, with what it wants to be set first."""
    exit_with(lambda arguments: _main(arguments if _resumes(arguments) else [*preset, *arguments]))


def _main(arguments: list[str]) -> int:
    if EXPLAIN in arguments:
        return _explain(arguments)
    if DRY_RUN in arguments:
        return _dry_run([a for a in arguments if a != DRY_RUN])
    from learning_to_learn.jobs.sweeps import start

    started = _resume(arguments) if _resumes(arguments) else start(arguments)
    if started is None:
        return 0
    if started.refused:
        return WRONG
    from learning_to_learn.results.table import print_table

    missing = print_table(started.folder)
    return FAILED if missing or started.failed else 0


def _resume(arguments: list[str]) -> "Started":
    from learning_to_learn.jobs.sweeps import resume

    first, *more = without_plugins(arguments)
    if more:
        raise UserError("resume=<folder> resumes that run or sweep as it was configured: give nothing else, or plugins= alone")
    return resume(Path(first.removeprefix("resume=")).expanduser())


def _dry_run(arguments: list[str]) -> int:
    if _resumes(arguments):
        raise UserError("--dry-run shows what would be started; what would be resumed: python -m src.sweep status <folder>")
    from learning_to_learn.commands.dry_run import show_plan
    from learning_to_learn.results.table import terminal_width

    return 0 if show_plan(arguments, terminal_width()) else WRONG


def _explain(arguments: list[str]) -> int:
    from learning_to_learn.commands.explain import explain_keys

    keys = without_plugins(a for a in arguments if a != EXPLAIN)
    for key in keys or [""]:
        print("\n".join(explain_keys(key)))
    return 0


def _resumes(arguments: list[str]) -> list[str]:
    return [a for a in arguments if a.startswith("resume=")]
