"""Reproduce the paper's Table 1 and Figure 3: `python -m src.reproduce table1` and `python -m src.reproduce figure3`.

QUICK=1 in the environment trains a small version into folders of its own.
"""

import os

from learning_to_learn.commands.cli import CONF, FAILED, complain, compose_config, exit_with
from learning_to_learn.errors import unknown

WRITTEN = {"table1": "table1.md, .html and .csv are", "figure3": "figure3.png is"}


def main() -> None:
    """Run the command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in WRITTEN:
        raise unknown("report", " ".join(arguments) or "nothing", WRITTEN)
    from learning_to_learn.paper import reproduce  # noqa: PLC0415 - imports torch

    (name,), quick = arguments, bool(os.environ.get("QUICK"))
    if name == "table1":
        failed = reproduce.table1(compose_config, CONF / "experiment", quick=quick)
    else:
        failed = reproduce.figure3(compose_config, quick=quick)
    if failed:
        complain(f"these did not finish, and are not in the report: {', '.join(failed)}")
        return FAILED
    print(f"{reproduce.report_folder(quick=quick)}/{WRITTEN[name]} written")
    return 0
