"""What verdicts have trained, kept for later ones: runs/verdict/, a folder for each sweep, with the cells that it is of.

A cell's results are found by its digest, which changes with its settings, with the versions of what computes, and with what an
epoch of training gives on this machine, to the bit.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.results.survival import epochs_to_success
from learning_to_learn.results.table import find_jobs
from learning_to_learn.runs.run_folder import EPOCH, SCORES, Status, read_json, read_rows, write_json
from learning_to_learn.runs.sweep_folder import Job, survey
from learning_to_learn.verdicts.cells import FRESH, TUNING, Cell, CellJob, versions, weights_digest

if TYPE_CHECKING:
    import pandas as pd

RECORD = "verdict.json"
"""In the folder of a sweep."""
REPORT, REPLICAS = "record.json", "replicas.csv.gz"
"""In the folder of a report."""
COLUMNS = ("cell", "phase", "setting", "fingerprint", "seed", "validation", "score", "mse", "excess", "epochs_to_success",
           "seconds", "weights")  # fmt: skip


class Store:
    """The folder in which verdicts train, and the reports whose replicas count besides."""

    def __init__(self, folder: Path, reports: Sequence[Path] = ()) -> None:
        self.folder, self.reports = folder, [path for path in reports if (path / REPORT).is_file()]
        self._known: dict[Path, dict[str, dict[str, Any]]] = {}
        """What the records say, which are written once."""
        self._finished: dict[str, dict[str, Job]] = {}
        """The finished jobs of the cells that have been looked at since a sweep has run."""
        self._told: dict[Path, Any] = {}
        """The replicas of the reports."""

    def place(self, cells: Sequence[Cell]) -> Path:
        """Return the folder of the sweeps of some cells, which are written down there."""
        alone = len(cells) == 1
        digests = " ".join(sorted(cell.digest for cell in cells))
        digest = digests if alone else hashlib.sha256(digests.encode()).hexdigest()[:12]
        name = re.sub(r"[^A-Za-z0-9.=]+", "_", cells[0].name if alone else "cells")[:80].strip("_")
        folder = self.folder / f"{name}-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / RECORD).exists():
            write_json(folder / RECORD, {"cells": {cell.digest: record_of(cell) for cell in cells}})
        return folder

    def done(self, cell: Cell) -> set[str]:
        """Return the fingerprints of a cell's finished jobs."""
        return {*self._jobs(cell.digest), *self._of_reports(cell.digest)}

    def rows(self, cell: Cell, jobs: Sequence[CellJob]) -> list[dict[str, Any]]:
        """Return a row for every replica of those of the jobs that are finished."""
        trained, told = self._jobs(cell.digest), self._of_reports(cell.digest)
        found: list[dict[str, Any]] = []
        for job in jobs:
            if job.fingerprint in trained:
                found += rows_of(cell, job, trained[job.fingerprint])
            else:
                found += [{**row, "phase": job.phase, "setting": job.number} for row in told.get(job.fingerprint, ())]
        return found

    def seem_done(self, cells: Sequence[Cell]) -> dict[str, frozenset[str]]:
        """Return the fingerprints of the finished jobs by the name of the cell, for an estimate: nothing is tried out."""
        done: dict[str, set[str]] = {}
        wanted = {cell.text for cell in cells}
        for folder, records in self._records().items():
            texts = {str(one.get("text")) for one in records.values()} & wanted
            finished = {str(job.fingerprint) for job in survey(folder) if job.status is Status.FINISHED} if texts else set()
            for text in texts:
                done.setdefault(text, set()).update(finished)
        for report in self.reports:
            for digest, one in _cells_of(report / REPORT).items():
                if one.get("text") in wanted:
                    done.setdefault(str(one["text"]), set()).update(self._of_reports(digest))
        return {cell.name: frozenset(done.get(cell.text, ())) for cell in cells}

    def has_changed(self) -> None:
        """Look at the run folders again: a sweep has run."""
        self._finished.clear()

    def _jobs(self, digest: str) -> dict[str, Job]:
        if digest in self._finished:
            return self._finished[digest]
        found = self._finished[digest] = {}
        for folder, cells in self._records().items():
            if digest in cells:
                for job in find_jobs(folder):
                    if job.status is Status.FINISHED and not job.damage and job.fingerprint:
                        found.setdefault(job.fingerprint, job)
        return found

    def _records(self) -> dict[Path, dict[str, dict[str, Any]]]:
        for path in sorted(self.folder.glob(f"*/{RECORD}")):
            if path.parent not in self._known:
                self._known[path.parent] = _cells_of(path)
        return self._known

    def _of_reports(self, digest: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for report in self.reports:
            if report not in self._told:
                self._told[report] = read_replicas(report)
            mine = self._told[report]
            for row in mine[mine["cell"] == digest].to_dict("records"):
                found.setdefault(str(row["fingerprint"]), []).append(row)
        return found


def _cells_of(path: Path) -> dict[str, dict[str, Any]]:
    cells = (read_json(path) or {}).get("cells", {})
    return {key: one for key, one in cells.items() if isinstance(one, dict)} if isinstance(cells, dict) else {}


def read_replicas(report: Path) -> "pd.DataFrame":
    """Return the replicas of a report, from its folder. Raises UserError where their file is missing or damaged."""
    import pandas as pd

    try:
        found = pd.read_csv(report / REPLICAS, dtype=dict.fromkeys(("cell", "phase", "fingerprint", "weights"), str))
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{report / REPLICAS} is missing or damaged: {cause_in_a_line(error)}") from None
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise UserError(f"{report / REPLICAS} is damaged: it lacks {', '.join(missing)}")
    return found.fillna({"weights": ""})


def record_of(cell: Cell) -> dict[str, Any]:
    """Return what is kept of a cell besides its runs."""
    settings = {str(number): cell.setting(number) for number in range(cell.plan.settings)}
    return {"contender": cell.contender.label, "problem": cell.problem.label, "words": dict(cell.words),
            "shared": dict(cell.shared), "settings": settings, "text": cell.text, "trial": cell.trial,
            "versions": versions()}  # fmt: skip


def rows_of(cell: Cell, job: CellJob, done: Job) -> list[dict[str, Any]]:
    """Return a row for every replica of a finished job."""
    result = done.run.result() or {}
    replicas = done.run.replicas()
    looks = read_rows(done.folder / SCORES)
    epochs = np.array([int(row[EPOCH]) for row in looks])
    digests = _weights_of(done.folder, len(replicas)) if job.phase == FRESH else [""] * len(replicas)
    rows = []
    for replica, weights in zip(replicas, digests, strict=True):
        scores = np.array([float(row[f"seed_{replica.seed}"]) for row in looks])
        rows.append({
            "cell": cell.digest, "phase": job.phase, "setting": job.number, "fingerprint": job.fingerprint,
            "seed": replica.seed, "validation": float(scores[-1]), "score": replica.score, "mse": replica.mse,
            "excess": np.nan if replica.excess is None else replica.excess,
            "epochs_to_success": epochs_to_success(epochs, scores), "seconds": float(result["seconds"]) / len(replicas),
            "weights": weights,
        })  # fmt: skip
    return rows


def _weights_of(folder: Path, count: int) -> list[str]:
    """The hashes of the replicas' final weights."""
    import torch

    from learning_to_learn.runs.checkpoint import CHECKPOINT

    weights = torch.load(folder / CHECKPOINT, weights_only=True)["state_dict"]["weights"]
    assert len(weights) == count
    return [weights_digest(one) for one in weights]


def chosen_setting(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the random setting whose replicas score highest on validation data, in the mean; below 0 counts as 0."""
    scores: dict[int, list[float]] = {}
    for row in rows:
        if row["phase"] == TUNING:
            value = float(row["validation"])
            scores.setdefault(int(row["setting"]), []).append(max(0.0, value) if np.isfinite(value) else 0.0)
    means = {number: float(np.mean(found)) for number, found in scores.items()}
    return max(sorted(means), key=lambda number: means[number])
