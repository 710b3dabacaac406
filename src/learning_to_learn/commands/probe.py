"""Tell what a trained network keeps in its cells: `python -m src.probe run=<folder>`, into <folder>/probe/."""

import json
from pathlib import Path

from learning_to_learn.commands.cli import exit_with
from learning_to_learn.errors import UserError


def main() -> None:
    """Run the command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    from learning_to_learn.results.probe import probe  # noqa: PLC0415 - imports torch
    from learning_to_learn.runs.trained import load_run  # noqa: PLC0415

    if len(arguments) != 1 or not arguments[0].startswith("run="):
        raise UserError("give run=<folder>, such as python -m src.probe run=runs/<day>/<time>")
    run = Path(arguments[0].removeprefix("run="))
    print(json.dumps(probe(load_run(run), run / "probe"), indent=2))
    return 0
