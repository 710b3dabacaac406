"""Answer the questions of sweeps/: `python -m src.studies --help`."""

import os
import sys

import click

from learning_to_learn.commands.cli import FAILED, command, exit_with, invoke
from learning_to_learn.errors import unknown


def main() -> None:
    """Run the command on the shell's arguments."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(answer, arguments, name="studies")


@command(name="studies")
@click.argument("words", metavar="[STUDY]... [KEY=VALUE]...", nargs=-1)
def answer(words: tuple[str, ...]) -> int:
    """Run the studies of sweeps/, or what is left of them, and write questions and answers into reports/studies.md.

    Without a name all of them are run. KEY=VALUE may say how the jobs are run (launcher, threads, logger), not what they
    compute. QUICK=1 in the environment runs small versions.

    Examples:
      python -m src.studies
      python -m src.studies feedback gradients launcher=joblib

    """
    from learning_to_learn.config import INCIDENTAL
    from learning_to_learn.jobs.sweeps import start
    from learning_to_learn.results.studies import load_study, studies
    from learning_to_learn.results.study_report import REPORTS, answer_studies

    overrides = [word for word in words if "=" in word]
    for word in overrides:
        if word.split("=")[0].split(".")[0] not in INCIDENTAL:
            raise unknown("option", word.split("=")[0], ("launcher", "logger", "threads"))
    asked = [load_study(word) for word in words if word not in overrides] or list(studies().values())
    quick = bool(os.environ.get("QUICK"))
    unfinished = answer_studies(asked, start, overrides, quick=quick)
    for job in unfinished:
        print(f"not in the report: {job.folder} ({job.status}) {job.error}", file=sys.stderr)
    print(f"{REPORTS / 'quick' if quick else REPORTS}/studies.md and .html are written")
    return FAILED if unfinished else 0
