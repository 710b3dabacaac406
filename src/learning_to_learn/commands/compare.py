"""Compare topologies: `python -m src.compare` runs the study sweeps/topologies.yaml and writes reports/topologies.*.

QUICK=1 in the environment runs a small study.
"""

import os
import sys

from learning_to_learn.commands.cli import FAILED, exit_with
from learning_to_learn.errors import UserError


def main() -> None:
    """Run the command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    from learning_to_learn.commands.train import start  # noqa: PLC0415 - imports torch
    from learning_to_learn.results.compare import compare, report_folder  # noqa: PLC0415

    if arguments:
        raise UserError("python -m src.compare takes no arguments; QUICK=1 in the environment makes it small")
    quick = bool(os.environ.get("QUICK"))
    unfinished = compare(start, quick=quick)
    for job in unfinished:
        print(f"not in the report: {job.folder} ({job.status}) {job.error}", file=sys.stderr)
    print(f"{report_folder(quick=quick) / 'topologies.md'}, .html and .csv are written")
    return FAILED if unfinished else 0
