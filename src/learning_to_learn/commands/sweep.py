"""What a sweep is up to, going on with it, and one table over all of it:

python -m src.sweep status <folder>               every job: done, running, failed and why, not started; also while it runs
python -m src.sweep resume <folder>               run what is not done, from its checkpoints
python -m src.sweep report <folder> [<folder> ..] one tidy table and pictures of any run folders, into <folder>/report/
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from learning_to_learn.commands.cli import FAILED, exit_with
from learning_to_learn.commands.train import resume as go_on
from learning_to_learn.errors import UserError, unknown
from learning_to_learn.results.sweep_report import write_report
from learning_to_learn.results.table import find_jobs, print_table
from learning_to_learn.runs.monitor import duration, summary
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.runs.sweep_folder import DONE, SWEEP, arguments_of, survey

COLOURS = {"finished": "green", "running": "cyan", "failed": "red", "killed": "red", "interrupted": "yellow"}


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    what = {"status": status, "resume": resume, "report": report}
    if not arguments or arguments[0] not in what:
        raise unknown("what to do with a sweep", arguments[0] if arguments else "nothing", what)
    folders = [Path(a) for a in arguments[1:]]
    if not folders:
        raise UserError(f"which one? python -m src.sweep {arguments[0]} <sweep folder>")
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    if len(folders) > 1 and arguments[0] != "report":
        raise UserError(f"{arguments[0]} takes one folder")
    return what[arguments[0]](folders)


def status(folders: list[Path]) -> int:
    """A line for every job; the exit code is 0 where all are done."""
    states = survey(folders[0])
    if not states:
        raise UserError(f"{folders[0]} holds no sweep and no run")
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "status", "done", "time", "what"):
        table.add_column(heading, justify="right" if heading in ("done", "time") else "left", no_wrap=heading != "what")
    for number, s in enumerate(states):
        name = s.folder.relative_to(folders[0]).as_posix() if s.folder else str(number)
        what = Text(s.error, "red") if s.error else Text(" ".join(s.overrides))
        table.add_row(name, Text(s.status, COLOURS.get(s.status, "")), f"{s.done:.0%}", duration(s.seconds), what)
    Console().print(table)
    print(summary(states, (read_json(folders[0] / SWEEP) or {}).get("started", 0.0)))
    return 0 if all(s.status in DONE for s in states) else FAILED


def resume(folders: list[Path]) -> int:
    """Run what is not done; the exit code is 0 where all is, then."""
    if arguments_of(folders[0]) is None and not (folders[0] / "config.yaml").exists():
        raise UserError(f"{folders[0]} was not made by a sweep: there is no sweep.json")
    return FAILED if print_table(go_on(f"resume={folders[0]}", [""])) else 0


def report(folders: list[Path]) -> int:
    """Aggregate; the report lies in the first folder."""
    jobs = [job for folder in folders for job in find_jobs(folder)]
    if not any(job.status == "finished" for job in jobs):
        raise UserError(f"there is no finished run under {', '.join(map(str, folders))}")
    into = folders[0] / "report"
    write_report(jobs, into, title=f"Report of {', '.join(map(str, folders))}")
    left = len([job for job in jobs if job.status not in DONE])
    print(f"{into / 'report.html'}, .md, replicas.csv, replicas.parquet and summary.csv are written")
    if left:
        print(f"{left} jobs are not finished, and not in it", file=sys.stderr)
    return 0
