"""What verdicts have trained, kept for later ones: runs/verdict/, a folder for each sweep, with the cells that it is of.

A cell's results are found by its digest, which changes with its settings, with the versions of what computes, and with what an
epoch of training gives on this machine, to the bit.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from learning_to_learn.results.survival import epochs_to_success
from learning_to_learn.results.table import find_jobs
from learning_to_learn.runs.run_folder import EPOCH, SCORES, Status, read_json, read_rows, write_json
from learning_to_learn.runs.sweep_folder import Job, survey
from learning_to_learn.verdicts.cells import FRESH, TUNING, Cell, CellJob, versions, weights_digest

RECORD = "verdict.json"


class Store:
    """The folder in which verdicts train."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, dict[str, dict[str, Any]]] = {}
        """What the records say, which are written once."""

    def place(self, cells: Sequence[Cell]) -> Path:
        """Return the folder of the sweeps of some cells, which are written down there."""
        alone = len(cells) == 1
        digest = (
            cells[0].digest if alone else hashlib.sha256(" ".join(sorted(c.digest for c in cells)).encode()).hexdigest()[:12]
        )
        name = re.sub(r"[^A-Za-z0-9.=]+", "_", cells[0].name if alone else "cells")[:80].strip("_")
        folder = self.folder / f"{name}-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / RECORD).exists():
            write_json(folder / RECORD, {"cells": {cell.digest: record_of(cell) for cell in cells}})
        return folder

    def jobs(self, digest: str) -> dict[str, Job]:
        """Return the finished jobs of a cell, by their fingerprints."""
        found: dict[str, Job] = {}
        for folder, cells in self._records().items():
            if digest in cells:
                for job in find_jobs(folder):
                    if job.status is Status.FINISHED and not job.damage and job.fingerprint:
                        found.setdefault(job.fingerprint, job)
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
        return {cell.name: frozenset(done.get(cell.text, ())) for cell in cells}

    def _records(self) -> dict[Path, dict[str, dict[str, Any]]]:
        for path in sorted(self.folder.glob(f"*/{RECORD}")):
            if path.parent not in self._known:
                cells = (read_json(path) or {}).get("cells", {})
                cells = cells if isinstance(cells, dict) else {}
                self._known[path.parent] = {key: one for key, one in cells.items() if isinstance(one, dict)}
        return self._known


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
            "cell": cell.digest, "phase": job.phase, "setting": job.number, "fingerprint": job.fingerprint, "seed": replica.seed,
            "validation": float(scores[-1]), "score": replica.score, "mse": replica.mse,
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
