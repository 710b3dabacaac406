"""Train one replica of a verdict again, from what its report records, and compare the bits."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learning_to_learn.config import Config
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.recorded_words import why_not
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.verdicts.cells import (
    FRESH,
    Verbatim,
    as_word,
    base_config,
    shared_text,
    try_out,
    versions,
    weights_digest,
    with_values,
)
from learning_to_learn.verdicts.report import machine
from learning_to_learn.verdicts.store import REPLICAS, REPORT, read_replicas


@dataclass(frozen=True)
class Checked:
    """What training a replica again has shown."""

    equal: bool
    lines: list[str]


def check_report(report: Path, draw: int | None = None) -> Checked:
    """Train one of the fresh replicas of a report again; `draw` seeds the choice of which.

    Raises UserError where the record is missing or damaged, or names what is not taken from a file.
    """
    folder = report.with_suffix("") if report.suffix else report
    record, row = _drawn(folder, draw)
    said = record["cells"][row["cell"]]
    shared = cell_config(said)
    more = {"seed": row["seed"], "replicas": 1, "logger.mode": "disabled"}
    config = with_values(shared, {**record["fresh"], **said["settings"][str(row["setting"])], **more})
    name = f"{said['contender']}, {said['problem']}, seed {row['seed']}, random setting {row['setting']}"
    differences = differing(record)
    if shared_text(shared, said["settings"][str(row["setting"])], said["versions"]) != said["text"]:
        differences.append("a default of this checkout, which the report does not record, has another value than the report's")
    with tempfile.TemporaryDirectory() as place:
        weights, mse = _train(config, Path(place) / "run")
    equal = bool(weights == row["weights"] and mse == row["mse"])
    lines = [name, f"weights {weights}, recorded {row['weights']}; mse {mse!r}, recorded {row['mse']!r}"]
    if equal:
        lines.append("equal to the bit")
    elif differences:
        lines.append(f"not equal, and cannot be expected to be: {'; '.join(differences)}")
    elif try_out(shared, record["tuning"]) != said["trial"]:
        lines.append(
            "not equal: the code or the processor gives other results than the report's, already after the first epoch"
        )
    else:
        lines.append("not equal, although versions, processor and the first epoch are: the record or the engine is wrong")
    return Checked(equal, lines)


def cell_config(said: Mapping[str, Any]) -> Config:
    """Return what all jobs of a recorded cell share. Raises UserError on a word that is not taken from a file."""
    words = {**said["shared"], **{key: Verbatim(value) for key, value in said["words"].items()}}
    for key, value in words.items():
        word = as_word(key, value)
        if wrong := why_not(word):
            raise UserError(f"{REPORT} has {word[:100]!r}, which is not taken from a file: {wrong}")
    return base_config(words)


def differing(record: Mapping[str, Any]) -> list[str]:
    """Return what differs between this machine and the record's."""
    here = {**versions(), **machine()}
    there = {**record["versions"], **record["machine"]}
    return [f"{key} is {here.get(key)}, was {there.get(key)}" for key in there if here.get(key) != there[key]]


def _drawn(folder: Path, draw: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    record = read_json(folder / REPORT)
    if record is None or not isinstance(record.get("cells"), dict):
        raise UserError(f"{folder / REPORT} is missing or damaged: a verdict's report has it beside it")
    rows = read_replicas(folder)
    fresh = rows[(rows["phase"] == FRESH) & rows["cell"].isin(list(record["cells"]))]
    if not len(fresh):
        raise UserError(f"{folder / REPLICAS} has no fresh replica of a cell that {REPORT} knows")
    row = fresh.iloc[int(np.random.default_rng(draw).integers(len(fresh)))]
    return record, {"cell": row["cell"], "seed": int(row["seed"]), "setting": int(row["setting"]), "mse": float(row["mse"]),
                    "weights": row["weights"]}  # fmt: skip


def _train(config: Config, folder: Path) -> tuple[str, float]:
    """The hash of the weights of the trained replica, and its error on test data."""
    from learning_to_learn.jobs.job import run_job
    from learning_to_learn.runs.run_folder import RunFolder, Status
    from learning_to_learn.runs.trained import load_run

    outcome = run_job(config, folder, console=False)
    if outcome.status is not Status.FINISHED:
        raise UserError(f"the replica cannot be trained again: {outcome.error}")
    return weights_digest(load_run(folder).weights[0]), RunFolder(folder).replicas()[0].mse
