"""What the page shows, as plain values: every job of any run folders, with short curves."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from learning_to_learn.dashboard.verdict_data import verdicts_under
from learning_to_learn.errors import cause_in_a_line
from learning_to_learn.figures import BAYES, PALETTE
from learning_to_learn.jobs.evaluation_files import pictures_of
from learning_to_learn.results.table import NAMES, count_replicas, find_jobs, plain, spell_topics
from learning_to_learn.runs.identity import true_names
from learning_to_learn.runs.run_folder import (
    CONFIG,
    CURVE,
    EPOCH,
    LOG,
    METRICS,
    PROVENANCE,
    REPLICAS,
    RESULT,
    SCORE,
    SCORE_LOWER,
    SCORE_UPPER,
    STREAM,
    DamagedRun,
    RunFolder,
    Status,
    legible,
)
from learning_to_learn.runs.sweep_folder import Job
from learning_to_learn.runs.varying import spelled
from learning_to_learn.training.metrics import SUCCESS, ranked

POINTS = 80
"""The most that a curve of a job keeps."""
STREAM_POINTS = 1300
PICTURED = ("figures", "probe")
FILES = (CONFIG, METRICS, REPLICAS, CURVE, STREAM, RESULT, LOG, "checkpoints/last.ckpt", "checkpoints/best.ckpt", PROVENANCE)


def collect(folder: Path, jobs: Sequence[Job] | None = None) -> dict[str, Any]:
    """The page's data, of all jobs under a folder or of some; what is missing or damaged in a run folder is left out."""
    jobs = [job for job in (find_jobs(folder) if jobs is None else jobs) if job.status is not Status.DUPLICATE]
    settings = [job.settings for job in jobs]
    names, notes = true_names(settings)
    topics = spell_topics([{} if job.damage else job.settings for job in jobs], names)
    keys = list(topics[0]) if topics else []
    verdicts, damaged = verdicts_under(folder)
    runs = [_run(job, folder) for job in jobs]
    counted: dict[Path, list[float]] = {}
    for one in count_replicas(jobs):
        counted.setdefault(one.job.folder, []).append(_rounded(one.replica.score))
    for run, job, name, values in zip(runs, jobs, names, topics, strict=True):
        run |= {"arch": name, "topics": values, "counted": counted.get(job.folder, [])}
    return {
        "title": legible(folder),
        "success": SUCCESS,
        "colours": {"bayes": BAYES, "palette": PALETTE},
        "topics": [key for key in keys if key not in NAMES],
        "spelling": spelled(keys, [key for one in settings for key in one]),
        "notes": [*notes, *damaged],
        "runs": runs,
        "verdicts": verdicts,
    }


def _run(job: Job, folder: Path) -> dict[str, Any]:
    settings = job.settings
    path = Path(os.path.relpath(job.folder, folder))
    run: dict[str, Any] = {
        "id": legible(path if path.name else job.folder.name),
        "path": quote(os.fsencode(path)),
        "status": job.status,
        "error": job.error or job.damage,
        "arch": str(settings.get("arch.name", "?")),
        "family": str(settings.get("family.name", "?")),
        "settings": {key: plain(value) for key, value in settings.items()},
        "files": [f for f in FILES if (job.folder / f).is_file()],
        "pictures": _pictures(job),
    }
    try:
        _add_learning(run, job)
        if job.status is Status.FINISHED and not job.damage:
            _add_results(run, job)
    except DamagedRun as error:
        run["error"] = run["error"] or str(error)
    except (KeyError, ValueError) as error:  # a file that no checksum vouches for
        run["error"] = run["error"] or f"a file is damaged: {cause_in_a_line(error)}"
    return run


def _pictures(job: Job) -> list[str]:
    """Return the pictures of a run, also those that are drawn when they are asked for."""
    found = [p.relative_to(job.folder).as_posix() for d in PICTURED for p in sorted((job.folder / d).glob("*.png"))]
    left = pictures_of(job.folder) if job.status is Status.FINISHED else []
    return list(dict.fromkeys([*left, *found]))


def _add_learning(run: dict[str, Any], job: Job) -> None:
    run["learning"] = {"epoch": [], "score": [], "low": [], "high": []}
    rows = _thin(job.run.metrics(), POINTS)
    run["learning"] = {
        "epoch": [int(r[EPOCH]) for r in rows],
        "score": [_rounded(r[SCORE]) for r in rows],
        "low": [_rounded(r[SCORE_LOWER]) for r in rows],
        "high": [_rounded(r[SCORE_UPPER]) for r in rows],
    }


def _add_results(run: dict[str, Any], job: Job) -> None:
    curve, stream = _curve(job.run), _stream(job.run)
    result = job.run.result() or {}
    run["curve"], run["stream"] = curve, stream
    run["scores"] = [_rounded(r.score) for r in job.run.replicas()]
    run["successes"], run["replicas"] = result["successes"], result["replicas"]
    for key in (
        "score_median",
        "loss",
        "mse_median",
        "floor",
        "excess_median",
        "worse_than_no_learning",
        "cycles_to_learn",
        "seconds",
        "epochs",
        "sequence_length",
        "parameters",
        "state_size",
        "multiplications",
    ):
        run[key] = result.get(key)


def _curve(run: RunFolder) -> dict[str, list[float]]:
    """Error by cycle: the median and range of the replicas, and the Bayes-optimal learner's."""
    rows = run.curve()
    if not rows:
        return {}
    pick = np.unique(np.geomspace(1, len(rows), POINTS).astype(int)) - 1
    seeds = [key for key in rows[0] if key.startswith("seed_")]
    errors = ranked([[rows[i][s] for s in seeds] for i in pick], worst=np.inf)
    return {
        "cycle": [int(i) + 1 for i in pick],
        "median": [_rounded(v) for v in np.median(errors, 1)],
        "low": [_rounded(v) for v in errors.min(1)],
        "high": [_rounded(v) for v in errors.max(1)],
        "bayes": [_rounded(rows[i]["bayes"]) for i in pick],
    }


def _stream(run: RunFolder) -> dict[str, Any]:
    rows = run.stream()
    if not rows or len(rows) > STREAM_POINTS:
        return {}
    return {key: [round(r[key], 3) for r in rows] for key in rows[0] if key != "time"}


def _thin(rows: list[Any], most: int) -> list[Any]:
    """At most so many of the rows, with the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, most).astype(int))]


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
