"""The dashboard of runs, live or as one file: `python -m src.dashboard --help`."""

from collections.abc import Sequence
from pathlib import Path

import click

from learning_to_learn.commands.cli import Verbs, command, exit_with, invoke, split
from learning_to_learn.errors import UserError

PORT = 8765
WORDS = click.argument("words", metavar="[FOLDER] [KEY=VALUE]...", nargs=-1)


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(dashboard, arguments, name="dashboard")


@click.group(cls=Verbs, what="what to do with a dashboard")
def dashboard() -> None:
    """Show runs in the browser, as one file, or in wandb.

    Examples:
      python -m src.dashboard serve runs
      python -m src.dashboard report runs into=runs.html
      python -m src.dashboard push entity=me project=learning-to-learn

    """


@dashboard.add_command
@command(name="serve")
@WORDS
def serve(words: Sequence[str]) -> int:
    """Serve the page of all runs under FOLDER on 127.0.0.1, live, until Ctrl-C.

    Keys:
      port=8765    the port; 0: any that is free

    Example:
      python -m src.dashboard serve runs port=9000

    """
    folders, options = split(words, ("port",))
    folder = _folder(folders)
    text = options.get("port", str(PORT))
    if not text.isdigit() or int(text) > 65535:
        raise UserError(f"port={text}: it is a number from 0 to 65535")
    from learning_to_learn.dashboard.serve import Server

    with Server(folder, int(text)) as server:
        print(f"{folder} is at {server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


@dashboard.add_command
@command(name="report")
@click.argument("words", metavar="FOLDER... [KEY=VALUE]...", nargs=-1)
def report(words: Sequence[str]) -> int:
    """Write the page of all runs under FOLDERs as one HTML file that needs no network.

    It is the page of `python -m src.sweep report`, without that report's tables.

    Keys:
      into=<file>    where to; <folder>/dashboard.html if not given

    Example:
      python -m src.dashboard report runs into=runs.html

    """
    given, options = split(words, ("into",))
    folders = [_folder([word]) for word in given] or [_folder(given)]
    from learning_to_learn.dashboard.report import write_page
    from learning_to_learn.dashboard.verdict_data import verdicts_under
    from learning_to_learn.results.table import find_jobs

    jobs = find_jobs(*folders)
    verdicts = verdicts_under(folders[0])[0] if len(folders) == 1 else []
    if not jobs and not verdicts:
        raise UserError(f"{', '.join(given)} holds no run, and no verdict")
    into = write_page(jobs, folders, Path(options.get("into", folders[0] / "dashboard.html")))
    print(f"{into} is written: {len(jobs)} runs" + (f", {len(verdicts)} verdicts" if verdicts else ""))
    return 0


@dashboard.add_command
@command(name="push")
@WORDS
def push(words: Sequence[str]) -> int:
    """Give wandb the workspace and the report; without a key, write them into a file.

    Keys:
      entity=<name> project=<name>    where to in wandb
      into=<file>                     the file

    Example:
      python -m src.dashboard push entity=me project=learning-to-learn

    """
    folders, options = split(words, ("entity", "project", "into"))
    from learning_to_learn.dashboard.workspace import push as push_it

    return push_it(folders, options)


def _folder(folders: list[str]) -> Path:
    if len(folders) != 1:
        raise UserError("give one folder, such as runs or runs/<day>/<time>")
    folder = Path(folders[0])
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return folder
