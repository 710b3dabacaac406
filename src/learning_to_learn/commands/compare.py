"""Compare topologies: `python -m src.compare --help`."""

import os
import sys

from learning_to_learn.commands.cli import FAILED, command, exit_with, invoke


def main() -> None:
    """Run the command on the shell's arguments."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(compare, arguments, name="compare")


@command(name="compare")
def compare() -> int:
    """Compare topologies: run the study sweeps/topologies.yaml, or resume it, and write reports/topologies.md, .html and .csv.

    QUICK=1 in the environment runs a small study.

    Examples:
      python -m src.compare
      QUICK=1 python -m src.compare

    """
    from learning_to_learn.jobs.sweeps import start
    from learning_to_learn.results.topologies import report_folder, run_study

    quick = bool(os.environ.get("QUICK"))
    unfinished = run_study(start, quick=quick)
    for job in unfinished:
        print(f"not in the report: {job.folder} ({job.status}) {job.error}", file=sys.stderr)
    print(f"{report_folder(quick=quick) / 'topologies.md'}, .html and .csv are written")
    return FAILED if unfinished else 0
