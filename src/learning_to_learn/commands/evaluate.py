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

    Everything is written to <folder>/evaluations/, in a folder named by what was asked. With `families` or `lengths`, the
    folder may be that of many runs, such as a sweep.

    Keys:
      family=quadratic          another family, with its own usual sequence length
      sequence_length=1000      longer or shorter sequences
      test.noise=0.5            what else the family can be tested with (family.test)
      carry_state=true          the state survives from mapping to mapping
      mappings=4096 seed=1      more, or other, test sequences
      plugins=[<file>]          the plugins that the run was trained with
    and any other key of the family.
      families=boolean,quadratic   a matrix: training family by test family, with a picture
      lengths=16,64,256            a curve over the length of the test sequences, with a picture

    Examples:
      python -m src.evaluate run=runs/2026-01-31/12-00-00
      python -m src.evaluate run=runs/2026-01-31/12-00-00 sequence_length=1000
      python -m src.evaluate run=runs/2026-01-31/12-00-00 family=semilinear mappings=4096
      python -m src.evaluate run=runs/2026-01-31/12-00-00 lengths=16,64,256,1024
      python -m src.evaluate run=runs/2026-01-31/13-00-00_sweep families=boolean,semilinear,quadratic

    """
    given = dict(_pair(word) for word in words)
    if "run" not in given:
        raise UserError(USAGE)
    run = Path(given.pop("run"))
    if both := sorted({"families", "lengths"} & set(given)):
        return _across(run, both, given)
    from learning_to_learn.jobs.measuring import measure
    from learning_to_learn.results.table import result_table, terminal_width

    into, found = measure(run, given)
    table = result_table([found.result], ["arch", "family", "sequence_length"], terminal_width())
    print("\n".join([str(into), *table]))
    return 0


def _across(folder: Path, asked: list[str], given: dict[str, str]) -> int:
    from learning_to_learn.jobs.across import across_families, across_lengths
    from learning_to_learn.results.table import terminal_width
    from learning_to_learn.results.text_table import Column, lay_out

    if len(asked) > 1:
        raise UserError("families and lengths are two pictures: ask for one")
    values = given.pop(asked[0]).strip("[]").split(",")
    if asked == ["families"]:
        found = across_families(folder, values, given)
    else:
        if not all(value.strip().isdigit() and int(value) for value in values):
            raise UserError(f"lengths={','.join(values)}: give whole numbers of cycles >= 1, such as lengths=16,64,256")
        found = across_lengths(folder, [int(value) for value in values], given)
    columns = [
        Column(key, [_cell(row[key]) for row in found.rows], number=key not in ("run", "test_family")) for key in found.rows[0]
    ]
    print("\n".join([str(found.folder), *lay_out(columns, terminal_width())]))
    return 0


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _pair(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise UserError(f"{argument!r} is not of the form key=value; {USAGE}")
    return key, value
