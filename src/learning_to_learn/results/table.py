"""One table over any number of jobs: a row for every setting, best first. A replica counts once, whoever trained it."""

import csv
import io
import json
import math
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from learning_to_learn.families import Floor
from learning_to_learn.results.again import command_again
from learning_to_learn.results.text_table import Column, lay_out
from learning_to_learn.runs.identity import MARK, studied, study_of, true_names
from learning_to_learn.runs.run_folder import DONE, Replica, Status, as_json
from learning_to_learn.runs.sweep_folder import Job, survey
from learning_to_learn.runs.varying import ABSENT, column, joined, spelled, together, typed, varying_keys
from learning_to_learn.training.metrics import MEMORIES, Metrics, median, summarise

NAMES = ("arch.name", "family.name")
"""What every table shows, also where it does not vary."""

NUMBERS = ("success", "worse", "score", "MSE", "floor", "excess", "cycles", "n_parameters", "seconds")
"""The headings of the results in a table."""
LOSS = "loss"
"""The heading of the mean loss where that is not a squared error in every row."""
SIZES = {"n_parameters": "parameters", "state_size": "state_size", "multiplications": "multiplications"}
"""The columns that say how large a network is, with the keys of result.json. `arch.parameters` is what was asked for."""


def find_jobs(*folders: Path) -> list[Job]:
    """Return every run folder at or under `folders`, in the order of the sweep; of finished ones with what is damaged."""
    found = {job.folder.resolve(): job for folder in folders for job in survey(folder) if job.place}  # each once
    return [judged(job) for job in found.values()]


def judged(job: Job) -> Job:
    """Return the job; a finished one with what is damaged in its folder."""
    return replace(job, damage=job.run.damage()) if job.status is Status.FINISHED else job


@dataclass(frozen=True)
class Counted:
    """A replica that counts, and the job that it is read from."""

    job: Job
    replica: Replica
    result: dict[str, Any]
    """What its job measured over all of its replicas."""
    seconds: float
    """Its share of its job's."""


def count_replicas(jobs: Sequence[Job]) -> list[Counted]:
    """Return the replicas of the finished jobs that can be read; what several jobs have trained is there once."""
    found: dict[tuple[str, int], Counted] = {}
    for job in jobs:
        if job.status is Status.FINISHED and not job.damage:
            study, rows = _study(job), job.run.replicas()
            result = job.run.result() or {}
            seconds = float(result["seconds"]) / len(rows)
            for row in rows:
                found.setdefault((study, row.seed), Counted(job, row, result, seconds))
    return list(found.values())


@dataclass(frozen=True)
class Group:
    """The replicas of one study, whichever jobs have trained them."""

    topics: dict[str, str]
    """The settings that set it apart from the other groups, as one would type them."""
    replicas: list[Counted]

    @property
    def jobs(self) -> list[Job]:
        """The jobs that the replicas are read from."""
        return list({counted.job.folder: counted.job for counted in self.replicas}.values())


def group_replicas(jobs: Sequence[Job]) -> tuple[list[Group], list[str]]:
    """Group the replicas of the finished jobs by all settings but the seeds; with notes on the names that are not true."""
    found: dict[str, list[Counted]] = defaultdict(list)
    for counted in count_replicas(jobs):
        found[_study(counted.job)].append(counted)
    # Of equal jobs under several names, one whose name is true says what all are called.
    every = [job for job in jobs if _study(job) in found]
    named: dict[str, Job] = {}
    for job, name in zip(every, true_names([job.settings for job in every])[0], strict=True):
        if _study(job) not in named or not name.endswith(MARK):
            named[_study(job)] = job
    settings = [named[study].settings for study in found]
    names, notes = true_names(settings)
    return [Group(*both) for both in zip(spell_topics(settings, names), found.values(), strict=True)], notes


def spell_topics(settings: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, str]]:
    """Return of each job's settings its arch, by its name, its family, and whatever varies, as one would type them.

    Settings that could not be read are empty, and no reason to show a key.
    """
    whole = together(settings)
    keys = dict.fromkeys([*NAMES, *studied(varying_keys([one for one in whole if one]))])
    columns = {key: column([one.get(key, ABSENT) for one in whole]) for key in keys}
    columns |= {NAMES[0]: list(names), NAMES[1]: [str(one.get(NAMES[1], ABSENT)) for one in whole]}
    return [{key: columns[key][i] for key in keys} for i in range(len(whole))]


def _study(job: Job) -> str:
    return study_of(job.settings) if job.settings else str(job.folder)  # a lost configuration is like no other


def tabulate(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return a row for every group of replicas, best first: the settings that vary, and medians."""
    return [row for row, _ in ranked(group_replicas(jobs)[0])]


def ranked(groups: Sequence[Group]) -> list[tuple[dict[str, Any], Group]]:
    """Return each group with its row of the table, best first."""
    rows = [({**group.topics, **_pool(group.replicas)}, group) for group in groups]
    scores = [-math.inf if math.isnan(row["score_median"]) else row["score_median"] for row, _ in rows]
    return [rows[i] for i in sorted(range(len(rows)), key=lambda i: -scores[i])]


def print_table(folder: Path, width: int | None = None) -> int:
    """Print the table of all jobs under `folder`, and those that failed or are damaged; return how many are not in it."""
    jobs = find_jobs(folder)
    if any(job.status is Status.FINISHED and not job.damage for job in jobs):
        print("\n".join([str(folder), *result_text(jobs, width or terminal_width())]))
    unfinished = [job for job in jobs if job.status not in DONE]
    for job in unfinished if len(jobs) > 1 else ():  # a single job has spoken for itself
        print(f"{job.status}: {job.folder}{': ' if job.error else ''}{job.error}", file=sys.stderr)
    return len(unfinished) + name_damaged(jobs)


def terminal_width() -> int | None:
    """Return the columns of the terminal that is written to; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def name_damaged(jobs: Sequence[Job]) -> int:
    """Name the finished jobs that are left out because a file is damaged; return how many they are."""
    damaged = [job for job in jobs if job.status is Status.FINISHED and job.damage]
    for job in damaged:
        print(f"left out: {job.folder}: {job.damage}", file=sys.stderr)
    return len(damaged)


def result_text(jobs: Sequence[Job], width: int | None = None) -> list[str]:
    """Return the lines of the table, its notes, and the best setting with the command that trains it on fresh seeds."""
    groups, notes = group_replicas(jobs)
    found = ranked(groups)
    rows = [row for row, _ in found]
    lines = lay_out(_columns(rows, headings(rows, jobs)), width)
    if any(row["worse_than_no_learning"] for row in rows):
        seeds = [str(one.replica.seed) for one in found[0][1].replicas if not one.replica.score >= 0]
        which = f": seed{'' if len(seeds) == 1 else 's'} {', '.join(seeds)}" if len(rows) == 1 else ""
        notes = [*notes, f"worse: replicas that end worse than no learning (score < 0){which}"]
    if len(rows) > 1:
        notes = [*notes, *_best(found[0], groups, headings(rows, jobs))]
    return [*lines, *notes]


def _best(best: tuple[dict[str, Any], Group], groups: Sequence[Group], short: dict[str, str]) -> list[str]:
    """The best setting, and the command that trains it again on seeds that no replica of the table has."""
    row, group = best
    fresh = 1 + max(one.replica.seed for every in groups for one in every.replicas)
    again = command_again(group.replicas[0].job.settings, seed=fresh)
    name = joined(group.topics, short)
    return [
        f"best: {name}: score {row['score_median']:.3f}, {row['successes']} of {row['replicas']} succeed",
        *([f"again on fresh seeds: {again}"] if again else []),
    ]


def headings(rows: Sequence[dict[str, Any]], jobs: Sequence[Job]) -> dict[str, str]:
    """Return the spelling of each setting that is a column of `rows`."""
    return spelled([key for key in rows[0] if "." in key], [key for job in jobs if job.place for key in job.settings])


def to_csv(rows: Sequence[dict[str, Any]], short: dict[str, str]) -> str:
    """Return rows as CSV, their settings spelled as `short` says."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    writer.writerow([short.get(key, key) for key in keys])
    writer.writerows([row.get(key) for key in keys] for row in rows)
    return file.getvalue()


def to_json(rows: Sequence[dict[str, Any]], short: dict[str, str]) -> str:
    """Return rows as a JSON list of objects, their settings spelled as `short` says; what is no number is null."""
    found = [{short.get(key, key): value for key, value in row.items()} for row in rows]
    return json.dumps(as_json(found), indent=2, allow_nan=False)


def result_table(rows: Sequence[dict[str, Any]], topics: Sequence[str], width: int | None = None) -> list[str]:
    """Return the lines of a table of results, a row each: the `topics` first, then medians over the replicas."""
    return lay_out(_columns(rows, {topic: topic for topic in topics}), width)


def _columns(rows: Sequence[dict[str, Any]], headings: dict[str, str]) -> list[Column]:
    found = [Column(headings[topic], [str(row[topic]) for row in rows]) for topic in headings]
    cells = [_numbers(row) for row in rows]
    logarithmic = any(row.get("loss") == "log" for row in rows)
    needless = {"worse"} if all(cell["worse"] == "0" for cell in cells) else set()
    needless |= {"n_parameters"} if len({cell["n_parameters"] for cell in cells}) == 1 else set()
    shown = [name for name in NUMBERS if name not in needless]
    return [
        *found,
        *(
            Column(
                LOSS if n == "MSE" and logarithmic else n,
                [cell[n] for cell in cells],
                number=True,
                always=n not in ("floor", "excess", "cycles"),
            )
            for n in shown
        ),
    ]


def _numbers(row: dict[str, Any]) -> dict[str, str]:
    cycles = row["cycles_to_learn"]
    return {
        "success": f"{row['successes']}/{row['replicas']}",
        "worse": str(row.get("worse_than_no_learning", 0)),
        "score": f"{row['score_median']:.3f}",
        "MSE": f"{row['mse_median']:#.3g}",
        "floor": f"{row['floor']:#.3g}",
        "excess": "–" if row["excess_median"] is None else f"{row['excess_median']:.2g}",
        "cycles": "never" if cycles is None else f"{cycles:g}",
        "n_parameters": "–" if row.get("n_parameters") is None else str(row["n_parameters"]),
        "seconds": f"{row['seconds']:.{1 if row['seconds'] < 10 else 0}f}",
    }


def plain(value: object) -> object:
    """Return what a column of a data frame, or JSON, can hold; anything else as one would type it."""
    return value if value is None or isinstance(value, bool | int | float | str) else typed(value)


def _pool(counted: Sequence[Counted]) -> dict[str, Any]:
    result = counted[0].result
    floor = Floor(**{key: result[key] for key in (f.name for f in fields(Floor)) if key in result})
    metrics = [_metrics(one.replica) for one in counted]
    found = summarise(metrics, floor)
    low, high = found.pop("success_interval")
    memories = {key: [one.result[key] for one in counted if one.result.get(key) is not None] for key in MEMORIES}
    return {
        **found,
        **{key: median(values, worst=math.inf) for key, values in memories.items() if values},
        "success_low": low,
        "success_high": high,
        "seconds": sum(one.seconds for one in counted),
        "epochs": result["epochs"],
        **{column: result.get(key) for column, key in SIZES.items()},
    }


def _metrics(row: Replica) -> Metrics:
    return Metrics(**{f.name: getattr(row, f.name) for f in fields(Metrics)})
