"""Tell what a trained network keeps in its cells: `python -m src.probe --help`."""

import json
from pathlib import Path

import click

from learning_to_learn.commands.cli import command, exit_with, invoke
from learning_to_learn.errors import UserError


def main() -> None:
    """Run the command on the shell's arguments."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(probe, arguments, name="probe")


@command(name="probe")
@click.argument("words", metavar="run=FOLDER", nargs=-1)
def probe(words: tuple[str, ...]) -> int:
    """Tell what a trained network keeps in its cells (the paper's section 5); pictures and probe.json go to <folder>/probe/.

    Example:
      python -m src.probe run=runs/2026-01-31/12-00-00

    """
    from learning_to_learn.results.probe import probe as probe_it
    from learning_to_learn.runs.run_folder import read_json
    from learning_to_learn.runs.trained import load_run

    if len(words) != 1 or not words[0].startswith("run="):
        raise UserError("give run=<folder>, such as python -m src.probe run=runs/<day>/<time>")
    run = Path(words[0].removeprefix("run="))
    probe_it(load_run(run), run / "probe")
    print(json.dumps(read_json(run / "probe" / "probe.json"), indent=2))  # as it stands there: with null for NaN
    return 0
