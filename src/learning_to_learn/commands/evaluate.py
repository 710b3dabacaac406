"""Measure a trained run again, also on what it was not trained on: `python -m src.evaluate --help`."""

from collections.abc import Sequence
from pathlib import Path

import click

from learning_to_learn.commands.cli import command, exit_with, invoke
from learning_to_learn.errors import UserError

USAGE = "give run=<folder>, such as python -m src.evaluate run=runs/<day>/<time> sequence_length=1000"


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(evaluate, arguments, name="evaluate")


@command(name="evaluate")
@click.argument("words", metavar="run=FOLDER [KEY=VALUE]...", nargs=-1)
def evaluate(words: Sequence[str]) -> int:
    """Measure a trained run on test data again, also on what it was not trained on.

    Everything is written to <folder>/evaluations/, in a folder named by what was asked.

    Keys:
      family=quadratic          another family, with its own usual sequence length
      sequence_length=1000      longer or shorter sequences
      carry_state=true          the state survives from mapping to mapping
      mappings=4096 seed=1      more, or other, test sequences
      plugins=[<file>]          the plugins that the run was trained with
    and any other key of the family.

    Examples:
      python -m src.evaluate run=runs/2026-01-31/12-00-00
      python -m src.evaluate run=runs/2026-01-31/12-00-00 sequence_length=1000
      python -m src.evaluate run=runs/2026-01-31/12-00-00 family=semilinear mappings=4096

    """
    given = dict(_pair(word) for word in words)
    if "run" not in given:
        raise UserError(USAGE)
    run = Path(given.pop("run"))
    from learning_to_learn.jobs.measuring import measure
    from learning_to_learn.results.table import result_table, terminal_width

    into, found = measure(run, given)
    table = result_table([found.result], ["arch", "family", "sequence_length"], terminal_width())
    print("\n".join([str(into), *table]))
    return 0


def _pair(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise UserError(f"{argument!r} is not of the form key=value; {USAGE}")
    return key, value
