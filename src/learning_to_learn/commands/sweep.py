"""What a sweep is up to, resuming it, and one table over all of it: `python -m src.sweep --help`."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from learning_to_learn.commands.cli import FAILED, WRONG, Verbs, command, exit_with, invoke, split
from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import CONFIG, DONE, Status
from learning_to_learn.runs.sweep_folder import Job, names, survey


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
      python -m src.sweep table runs/2026-01-31/12-00-00 --csv
      python -m src.sweep compare runs/2026-01-31/12-00-00 by=lr
      python -m src.sweep resume runs/2026-01-31/12-00-00
      python -m src.sweep report runs/2026-01-31/12-00-00 runs/other

    """


JSON = click.option("--json", "as_json", is_flag=True, help="JSON, with numbers as they are")
CSV = click.option("--csv", "as_csv", is_flag=True, help="CSV, with numbers as they are")
FOLDERS = click.argument("words", metavar="FOLDER...", nargs=-1)


@sweep.add_command
@command(name="status")
@FOLDERS
@JSON
def status(words: tuple[str, ...], *, as_json: bool) -> int:
    """Show every job in a line: finished, running, failed and why, not started. It also works while the sweep runs.

    The exit code is 0 where all jobs are done.

    Examples:
      python -m src.sweep status runs/2026-01-31/12-00-00
      python -m src.sweep status runs/2026-01-31/12-00-00 --json

    """
    from learning_to_learn.results.table import judged
    from learning_to_learn.runs.monitor import summary
    from learning_to_learn.runs.slurm_queue import in_queue
    from learning_to_learn.runs.sweep_request import readable_request, request_damage

    folder = _folder("status", words)
    states = [judged(job) for job in in_queue(folder, survey(folder))]
    if not states:
        raise UserError(f"{folder} holds no sweep and no run")
    asked, damage = readable_request(folder), request_damage(folder)
    if as_json:
        print(json.dumps(_status_json(folder, states), indent=2))
    else:
        print("\n".join(_status_lines(folder, states)))
        print(summary(states, asked.started if asked else 0.0))
    if damage:
        print(f"error: {damage}", file=sys.stderr)
    return 0 if all(s.status in DONE and not s.damage for s in states) and not damage else FAILED


def _status_lines(folder: Path, states: Sequence[Job]) -> list[str]:
    from learning_to_learn.results.table import terminal_width
    from learning_to_learn.results.text_table import Column, lay_out
    from learning_to_learn.runs.monitor import duration

    what = [": ".join(filter(None, (name, s.error or s.damage))) for s, name in zip(states, names(states), strict=True)]
    columns = [
        Column("job", [_place(folder, number, s) for number, s in enumerate(states)], always=True),
        Column("status", [s.status for s in states], always=True),
        Column("done", [f"{s.done:.0%}" for s in states], number=True, always=True),
        Column("score", ["" if s.score is None else f"{s.score:.3f}" for s in states], number=True),
        Column("time", [duration(s.seconds) for s in states], number=True, always=True),
        Column("what", what, always=True),
    ]
    return lay_out(columns, terminal_width())


def _status_json(folder: Path, states: Sequence[Job]) -> dict[str, Any]:
    jobs = [
        {"job": _place(folder, number, s), "status": s.status, "epochs_done": s.epochs_done, "epochs": s.epochs, "done": s.done,
         "score": s.score, "seconds": s.seconds, "error": s.error or s.damage, "name": name, "overrides": list(s.overrides)}
        for number, (s, name) in enumerate(zip(states, names(states), strict=True))
    ]  # fmt: skip
    return {"folder": str(folder), "counts": Counter(s.status for s in states), "jobs": jobs}


def _place(folder: Path, number: int, state: Job) -> str:
    return state.folder.relative_to(folder).as_posix() if state.place else str(number)


@sweep.add_command
@command(name="table")
@FOLDERS
@CSV
@JSON
def table(words: tuple[str, ...], *, as_csv: bool, as_json: bool) -> int:
    """Show one table of the runs under any folders: a row for every setting, best first.

    In a pipe it is plain and as wide as it is; in a terminal no value is cut.

    Examples:
      python -m src.sweep table runs/2026-01-31/12-00-00
      python -m src.sweep table runs/2026-01-31/12-00-00 runs/other --csv

    """
    from learning_to_learn.results import table as tables

    if as_csv and as_json:
        raise UserError("--csv or --json, not both")
    folders = _folders("table", words)
    jobs = _jobs_of(folders)
    if as_csv or as_json:
        rows = tables.tabulate(jobs)
        print((tables.to_csv if as_csv else tables.to_json)(rows, tables.headings(rows, jobs)).rstrip())
    else:
        print("\n".join(tables.result_text(jobs, tables.terminal_width())))
    tables.name_damaged(jobs)
    _name_unfinished(jobs)
    return 0


@sweep.add_command
@command(name="compare")
@click.argument("words", metavar="FOLDER... [by=KEY]", nargs=-1)
def compare(words: tuple[str, ...]) -> int:
    """Compare the scores of a setting's values, replica by replica: by=KEY says which, or give two folders.

    Replicas are paired that have the same seed and the same settings but for that one; over several such settings the score of
    a seed is the median. For each two values the table has the difference of the seeds' median scores, its 95 % bootstrap
    interval, the p of a permutation test that swaps the two scores of a seed, and that p after Holm's correction for the number
    of rows.

    Examples:
      python -m src.sweep compare runs/2026-01-31/12-00-00 by=lr
      python -m src.sweep compare runs/2026-01-31/12-00-00 by=arch
      python -m src.sweep compare runs/mine runs/other

    """
    given, options = split(words, ("by",))
    folders = _folders("compare", tuple(given))
    from learning_to_learn.results.paired import compare_settings
    from learning_to_learn.results.table import terminal_width
    from learning_to_learn.results.text_table import Column, lay_out

    found = compare_settings(folders, options.get("by"))
    rows = found.frame.to_dict("records")
    texts = {
        found.by: [row["a"] for row in rows],
        "against": [row["b"] for row in rows],
        "seeds": [str(row["seeds"]) for row in rows],
        "score": [f"{row['median_a']:.3f}" for row in rows],
        "other": [f"{row['median_b']:.3f}" for row in rows],
        "difference": [f"{row['difference']:+.3f}" for row in rows],
        "95 % interval": [f"{row['low']:+.3f} to {row['high']:+.3f}" for row in rows],
        "p": [f"{row['p']:.3g}" for row in rows],
        "p (Holm)": [f"{row['p_holm']:.3g}" for row in rows],
    }
    columns = [Column(h, cells, number=h not in (found.by, "against"), always=True) for h, cells in texts.items()]
    print("\n".join(lay_out(columns, terminal_width())))
    if found.warning:
        print(f"warning: {found.warning}", file=sys.stderr)
    return 0


def _jobs_of(folders: Sequence[Path]) -> list[Job]:
    """The jobs under any folders. Raises UserError where none of them is finished."""
    from learning_to_learn.results.table import find_jobs

    jobs = find_jobs(*folders)
    if not any(job.status is Status.FINISHED and not job.damage for job in jobs):
        raise UserError(f"there is no finished run under {', '.join(map(str, folders))}")
    return jobs


def _name_unfinished(jobs: Sequence[Job]) -> None:
    left = len([job for job in jobs if job.status not in DONE])
    if left:
        print(f"{left} {'job is' if left == 1 else 'jobs are'} not finished, and not in it", file=sys.stderr)


@sweep.add_command
@command(name="resume")
@click.argument("words", metavar="FOLDER [KEY=VALUE]...", nargs=-1)
def resume(words: tuple[str, ...]) -> int:
    """Run the jobs that are not done, from their checkpoints.

    The exit code is 0 where all jobs are done afterwards. A sweep with plugins needs plugins=[...] again. So does whatever else
    a folder from somebody else could do harm with, such as +hydra... or --config-dir; and the launcher can be another one.

    Examples:
      python -m src.sweep resume runs/2026-01-31/12-00-00
      python -m src.sweep resume runs/2026-01-31/12-00-00 launcher=joblib
      python -m src.sweep resume runs/2026-01-31/12-00-00 plugins=[examples/leaky_neuron.py]

    """
    from learning_to_learn.jobs.sweeps import resume as resume_it
    from learning_to_learn.results.table import print_table
    from learning_to_learn.runs.sweep_folder import arguments_of

    folder = _folder("resume", words[:1])
    if arguments_of(folder) is None and not (folder / CONFIG).exists():
        raise UserError(f"{folder} was not made by a sweep: there is no sweep.json")
    started = resume_it(folder, words[1:])
    if started.refused:
        return WRONG
    missing = print_table(folder)
    return FAILED if missing or started.failed else 0


@sweep.add_command
@command(name="report")
@click.argument("words", metavar="FOLDER... [into=FOLDER]", nargs=-1)
def report(words: tuple[str, ...]) -> int:
    """Write one report of the runs under any folders, in two forms, into the report/ folder of the first.

    report.html is the dashboard's page as one file, report.md has a table and pictures. replicas.csv (.parquet) has a row for
    every replica with its settings, summary.csv one for every setting.

    Keys:
      into=<folder>    where to

    Examples:
      python -m src.sweep report runs/2026-01-31/12-00-00
      python -m src.sweep report runs/2026-01-31/12-00-00 runs/other into=both

    """
    given, options = split(words, ("into",))
    folders = _folders("report", tuple(given))
    from learning_to_learn.dashboard.report import write_report
    from learning_to_learn.runs.sweep_request import request_damage

    jobs = _jobs_of(folders)
    into = Path(options.get("into", folders[0] / "report"))
    page, *tables = write_report(jobs, folders, into)
    for damage in filter(None, map(request_damage, folders)):
        print(f"error: {damage}", file=sys.stderr)
    print(f"{page} is written, with {', '.join(table.name for table in tables)}")
    _name_unfinished(jobs)
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
