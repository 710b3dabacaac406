"""One table over any number of jobs: arch x family x whatever else was varied, seeds pooled."""

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning_to_learn.families import Floor
from learning_to_learn.runs.run_folder import DONE, Replica, Status
from learning_to_learn.runs.sweep_folder import Job, survey
from learning_to_learn.training.metrics import Metrics, summarise

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NOT_A_TOPIC = ("seed", "replicas", "engine")
"""Keys that do not make two jobs different studies, besides config.INCIDENTAL."""


def find_jobs(folder: Path) -> list[Job]:
    """Return every run folder at or under `folder`, in the order of the sweep; of finished ones with what is damaged."""
    return [judged(job) for job in survey(folder) if job.place]


def judged(job: Job) -> Job:
    """Return the job; a finished one with what is damaged in its folder."""
    return replace(job, damage=job.run.damage()) if job.status is Status.FINISHED else job


def tabulate(jobs: list[Job]) -> list[dict[str, Any]]:
    """A row for every group of finished jobs that differ in nothing but their seeds: the settings that vary, and medians."""
    return [{**topics, **_pool(group)} for topics, group in groups(jobs)]


def groups(jobs: list[Job]) -> list[tuple[dict[str, str], list[Job]]]:
    """The finished jobs, grouped by all settings but the seeds; each group with the settings that set it apart."""
    done = unique_jobs(jobs)
    topics = varying(done)
    found: dict[tuple, list[Job]] = defaultdict(list)
    for job in done:
        found[tuple(str(job.settings.get(key)) for key in topics)].append(job)
    return [(dict(zip(topics, key, strict=True)), group) for key, group in found.items()]


def unique_jobs(jobs: list[Job]) -> list[Job]:
    """Return the finished jobs that can be read, of those that compute the same only the first."""
    done = [job for job in jobs if job.status is Status.FINISHED and not job.damage]
    return list({job.fingerprint or job.folder: job for job in reversed(done)}.values())[::-1]


def varying(jobs: list[Job]) -> list[str]:
    """`arch.name`, `family.name`, and the keys that vary among the jobs of one arch and family."""
    names = ["arch.name", "family.name"]
    by_name: dict[tuple, list[dict]] = defaultdict(list)
    for job in jobs:
        by_name[tuple(str(job.settings.get(n)) for n in names)].append(job.settings)
    keys: dict[str, None] = dict.fromkeys(names)
    for settings in by_name.values():
        for key in seeds_apart([k for s in settings for k in s]):
            if len({str(s.get(key)) for s in settings}) > 1:
                keys[key] = None
    return list(keys)


def seeds_apart(keys: list[str]) -> list[str]:
    """Return the settings among `keys` that make two jobs different studies."""
    from learning_to_learn.config import INCIDENTAL

    return [key for key in dict.fromkeys(keys) if "." in key and not key.startswith((*NOT_A_TOPIC, *INCIDENTAL))]


def print_table(folder: Path, console: "Console | None" = None) -> int:
    """Print the table of all jobs under `folder`, and those that failed or are damaged; return how many are not in it."""
    from rich.console import Console

    console = console or Console()
    jobs = find_jobs(folder)
    rows = tabulate(jobs)
    if rows:
        console.print(result_table(rows, [k for k in rows[0] if "." in k], title=str(folder)))
    unfinished = [job for job in jobs if job.status not in DONE]
    for job in unfinished if len(jobs) > 1 else ():  # a single job has spoken for itself
        print(f"{job.status}: {job.folder}{': ' if job.error else ''}{job.error}", file=sys.stderr)
    return len(unfinished) + name_damaged(jobs)


def name_damaged(jobs: list[Job]) -> int:
    """Name the finished jobs that are left out because a file is damaged; return how many they are."""
    damaged = [job for job in jobs if job.status is Status.FINISHED and job.damage]
    for job in damaged:
        print(f"left out: {job.folder}: {job.damage}", file=sys.stderr)
    return len(damaged)


def result_table(rows: list[dict[str, Any]], topics: list[str], *, title: str) -> "Table":
    """Return results, a row each: the `topics` first, then medians over the replicas."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="dim")
    for topic in topics:
        table.add_column(
            {"arch.name": "arch", "family.name": "family", "sequence_length": "T"}.get(topic, topic.split(".")[-1]),
        )
    for heading in ("success", "score", "MSE", "floor", "cycles", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cycles = row["cycles_to_learn"]
        table.add_row(
            *(_shown(row[t]) for t in topics), f"{row['successes']}/{row['replicas']}", f"{row['score_median']:.3f}",
            f"{row['mse_median']:.5f}", f"{row['floor']:.5f}", "never" if cycles is None else f"{cycles:g}",
            f"{row['seconds']:.0f}",
        )  # fmt: skip
    return table


def plain(value: object) -> object:
    """What a column of a table, or JSON, can hold."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _shown(value: object) -> str:
    """Rates that a search has drawn have sixteen digits."""
    try:
        return f"{float(str(value)):.3g}" if "." in str(value) else str(value)
    except ValueError:
        return str(value)


def _pool(jobs: list[Job]) -> dict[str, Any]:
    results = [job.run.result() or {} for job in jobs]
    floor = Floor(*(results[0][k] for k in ("no_learning", "no_learning_error", "floor", "floor_error")))
    by_seed = {row.seed: _metrics(row) for job in jobs for row in job.run.replicas()}
    metrics = list(by_seed.values())
    return {**summarise(metrics, floor), "seconds": sum(r["seconds"] for r in results), "epochs": results[0]["epochs"]}


def _metrics(row: Replica) -> Metrics:
    return Metrics(row.mse, row.score, row.success, row.cycles_to_learn, row.mse_after_learning)
