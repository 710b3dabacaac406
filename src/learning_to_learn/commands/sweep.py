"""What a sweep is up to, resuming it, and one table over all of it: `python -m src.sweep --help`."""

import sys
from pathlib import Path

import click

from learning_to_learn.commands.cli import FAILED, WRONG, Verbs, command, exit_with, invoke
from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import CONFIG, DONE, Status, read_json

COLOURS = {
    Status.FINISHED: "green",
    Status.RUNNING: "cyan",
    Status.FAILED: "red",
    Status.KILLED: "red",
    Status.INTERRUPTED: "yellow",
}


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(sweep, arguments, name="sweep")


@click.group(cls=Verbs, what="what to do with a sweep")
def sweep() -> None:
    """Look at a sweep, resume it, or make one table of it.

    Examples:
      python -m src.sweep status runs/2026-01-31/12-00-00
      python -m src.sweep resume runs/2026-01-31/12-00-00
      python -m src.sweep report runs/2026-01-31/12-00-00 runs/other

    """


FOLDERS = click.argument("words", metavar="FOLDER...", nargs=-1)


@sweep.add_command
@command(name="status")
@FOLDERS
def status(words: tuple[str, ...]) -> int:
    """Show every job: finished, running, failed and why, not started. It also works while the sweep runs.

    The exit code is 0 where all jobs are done.

    Example:
      python -m src.sweep status runs/2026-01-31/12-00-00

    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from learning_to_learn.runs.monitor import duration, summary
    from learning_to_learn.runs.sweep_folder import SWEEP, survey

    folder = _folder("status", words)
    states = survey(folder)
    if not states:
        raise UserError(f"{folder} holds no sweep and no run")
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "status", "done", "time", "what"):
        table.add_column(heading, justify="right" if heading in ("done", "time") else "left", no_wrap=heading != "what")
    for number, s in enumerate(states):
        name = s.folder.relative_to(folder).as_posix() if s.place else str(number)
        what = Text(s.error, "red") if s.error else Text(" ".join(s.overrides))
        table.add_row(name, Text(s.status, COLOURS.get(s.status, "")), f"{s.done:.0%}", duration(s.seconds), what)
    Console().print(table)
    print(summary(states, (read_json(folder / SWEEP) or {}).get("started", 0.0)))
    return 0 if all(s.status in DONE for s in states) else FAILED


@sweep.add_command
@command(name="resume")
@FOLDERS
def resume(words: tuple[str, ...]) -> int:
    """Run the jobs that are not done, from their checkpoints.

    The exit code is 0 where all jobs are done afterwards. A sweep with plugins needs plugins=[...] again.

    Examples:
      python -m src.sweep resume runs/2026-01-31/12-00-00
      python -m src.sweep resume runs/2026-01-31/12-00-00 plugins=[examples/leaky_neuron.py]

    """
    from learning_to_learn.jobs.sweeps import resume as resume_it
    from learning_to_learn.results.table import print_table
    from learning_to_learn.runs.sweep_folder import arguments_of

    folder = _folder("resume", words)
    if arguments_of(folder) is None and not (folder / CONFIG).exists():
        raise UserError(f"{folder} was not made by a sweep: there is no sweep.json")
    started = resume_it(folder)
    if started.refused:
        return WRONG
    missing = print_table(folder)
    return FAILED if missing or started.failed else 0


@sweep.add_command
@command(name="report")
@FOLDERS
def report(words: tuple[str, ...]) -> int:
    """Make one tidy table and pictures of the runs under any folders, in the report/ folder of the first.

    Example:
      python -m src.sweep report runs/2026-01-31/12-00-00 runs/other

    """
    folders = _folders("report", words)
    from learning_to_learn.results.sweep_report import write_sweep_report
    from learning_to_learn.results.table import find_jobs

    jobs = [job for folder in folders for job in find_jobs(folder)]
    if not any(job.status is Status.FINISHED and not job.damage for job in jobs):
        raise UserError(f"there is no finished run under {', '.join(map(str, folders))}")
    into = folders[0] / "report"
    write_sweep_report(jobs, into, title=f"Report of {', '.join(map(str, folders))}")
    left = len([job for job in jobs if job.status not in DONE])
    print(f"{into / 'report.html'}, .md, replicas.csv, replicas.parquet and summary.csv are written")
    if left:
        print(f"{left} jobs are not finished, and not in it", file=sys.stderr)
    return 0


def _folders(verb: str, words: tuple[str, ...]) -> list[Path]:
    """The folders among the words, which are there."""
    if not words:
        raise UserError(f"which one? python -m src.sweep {verb} <sweep folder>")
    folders = [Path(word) for word in words]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    return folders


def _folder(verb: str, words: tuple[str, ...]) -> Path:
    folders = _folders(verb, words)
    if len(folders) > 1:
        raise UserError(f"{verb} takes one folder")
    return folders[0]
