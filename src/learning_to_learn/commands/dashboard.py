"""The dashboard:

python -m src.dashboard serve <folder> [port=8765]         on 127.0.0.1, live, of all runs under the folder
python -m src.dashboard report <folder> [into=<file>]      the same as one HTML file that needs no network
python -m src.dashboard push [entity=...] [project=...]    the workspace and report for wandb; without a key, into a file
"""

import os
from pathlib import Path

from learning_to_learn.commands.cli import exit_with
from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import with_data
from learning_to_learn.dashboard.serve import PORT, Server
from learning_to_learn.errors import UserError, unknown
from learning_to_learn.runs.run_folder import write_atomically


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    what = {"serve": (serve, ("port",)), "report": (report, ("into",)), "push": (push, ("entity", "project", "into"))}
    if not arguments or arguments[0] not in what:
        raise unknown("what to do with a dashboard", arguments[0] if arguments else "nothing", what)
    command, keys = what[arguments[0]]
    options = dict(a.split("=", 1) for a in arguments[1:] if "=" in a)
    for key in options:
        if key not in keys:
            raise unknown("option", key, keys)
    folders = [a for a in arguments[1:] if "=" not in a]
    return command(folders, options)


def serve(folders: list[str], options: dict[str, str]) -> int:
    """Until Ctrl-C."""
    folder = _folder(folders)
    text = options.get("port", str(PORT))
    if not text.isdigit() or int(text) > 65535:
        raise UserError(f"port={text}: it is a number from 0 to 65535")
    with Server(folder, int(text)) as server:
        print(f"{folder} is at {server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def report(folders: list[str], options: dict[str, str]) -> int:
    """Write the page as one file."""
    folder = _folder(folders)
    into = Path(options.get("into", folder / "dashboard.html"))
    data = collect(folder)
    if not data["runs"]:
        raise UserError(f"{folder} holds no run")
    into.parent.mkdir(parents=True, exist_ok=True)
    base = os.path.relpath(folder, into.parent)
    write_atomically(into, with_data({**data, "base": f"{base}/"}))
    print(f"{into} is written: {len(data['runs'])} runs")
    return 0


def push(folders: list[str], options: dict[str, str]) -> int:
    """Give wandb the dashboard; only this needs wandb-workspaces, which takes seconds to import."""
    from learning_to_learn.dashboard.workspace import push as push_it  # noqa: PLC0415

    return push_it(folders, options)


def _folder(folders: list[str]) -> Path:
    if len(folders) != 1:
        raise UserError("give one folder, such as runs or runs/<day>/<time>")
    folder = Path(folders[0])
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return folder
