"""Measure trained runs on several families or lengths: a matrix of training and test families, a curve over length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learning_to_learn.errors import UserError, choose
from learning_to_learn.families import FAMILIES
from learning_to_learn.figures import lengths_figure, matrix_figure, save
from learning_to_learn.jobs.measuring import MEASURED, DoesNotFit, evaluated
from learning_to_learn.runs.run_folder import Status, get_status, write_rows
from learning_to_learn.runs.saved_config import load_config
from learning_to_learn.runs.sweep_folder import run_folders
from learning_to_learn.training.evaluation import Evaluation
from learning_to_learn.training.metrics import median


@dataclass(frozen=True)
class Across:
    """What was measured, and where it was written."""

    folder: Path
    rows: list[dict[str, object]]
    """For each kind of run (arch and training family) and each test: medians over the replicas of all its runs."""


def across_families(folder: Path, names: Sequence[str], given: dict[str, str]) -> Across:
    """Measure every finished run under a folder on each of these families. A family of another shape has no numbers."""
    for name in names:
        choose("family", name, FAMILIES)
    rows = [
        {"run": label, "test_family": name, **_numbers(found)}
        for label, runs in _runs(folder).items()
        for name, found in _measured(runs, "family", names, given)
    ]
    into = _made(folder / MEASURED / "families")
    write_rows(into / "families.csv", rows)
    labels = list(dict.fromkeys(row["run"] for row in rows))
    scores = np.array([[next(r["score"] for r in rows if (r["run"], r["test_family"]) == (one, other)) for other in names]
                       for one in labels], float)  # fmt: skip
    save(matrix_figure(scores, rows=list(map(str, labels)), columns=list(names)), into / "families.png")
    return Across(into, rows)


def across_lengths(folder: Path, lengths: Sequence[int], given: dict[str, str]) -> Across:
    """Measure every finished run under a folder on test sequences of each of these lengths."""
    rows = [
        {"run": label, "length": int(length), **_numbers(found)}
        for label, runs in _runs(folder).items()
        for length, found in _measured(runs, "test.length", [str(length) for length in lengths], given)
    ]
    into = _made(folder / MEASURED / "lengths")
    write_rows(into / "lengths.csv", rows)
    curves: dict[str, list[tuple[int, float, float, float]]] = {}
    for row in rows:
        point = tuple(row[key] for key in ("length", "loss", "floor", "no_learning"))
        curves.setdefault(str(row["run"]), []).append(point)  # type: ignore[arg-type]
    save(lengths_figure({name: np.array(points) for name, points in curves.items()}), into / "lengths.png")
    return Across(into, rows)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _runs(folder: Path) -> dict[str, list[Path]]:
    """Return the finished runs under a folder by their arch and family. Raises UserError where there are none."""
    found: dict[str, list[Path]] = {}
    for run in run_folders(folder):
        if get_status(run) == Status.FINISHED:
            config = load_config(run)
            found.setdefault(f"{config.arch.name} {config.family.name}", []).append(run)
    if not found:
        raise UserError(f"{folder}: no finished run lies there")
    return found


def _measured(
    runs: Sequence[Path], key: str, values: Sequence[str], given: dict[str, str]
) -> Iterator[tuple[str, list[Evaluation]]]:
    """Yield what the runs do with each value of a key; nothing where a network does not fit."""
    for value in values:
        found = []
        for run in runs:
            try:
                found.append(evaluated(run, {**given, key: value})[1])
            except DoesNotFit:
                continue
        yield value, found


def _numbers(found: list[Evaluation]) -> dict[str, object]:
    """Return medians over the replicas of all runs; None where none fits."""
    replicas = [row for one in found for row in one.replicas]
    if not replicas:
        return dict.fromkeys(("replicas", "score", "loss", "excess", "floor", "no_learning"))
    return {
        "replicas": len(replicas),
        "score": median([row["score"] for row in replicas], worst=-np.inf),
        "loss": median([row["mse"] for row in replicas], worst=np.inf),
        "excess": median([row["excess"] for row in replicas], worst=np.inf),
        "floor": found[0].result["floor"],
        "no_learning": found[0].result["no_learning"],
    }
