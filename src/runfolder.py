"""A run folder: everything about one job, in plain files that are safe to read, copy and keep.

    config.yaml       the whole configuration           metrics.csv     one row an evaluation
    provenance.json   versions, machine, git revision   replicas.csv    one row a replica, on test data
    local.diff        changes that were not committed   curve.csv       the error at every cycle, a column a replica
    status.json       running, finished, failed ...     result.json     medians and ranges: the row of the table
    train.log         what was said                     checkpoints/    last.ckpt      figures/  *.png
"""

import csv
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from src.errors import UserError

CHECKPOINT = Path("checkpoints/last.ckpt")
ROOT = Path(__file__).parent.parent
_PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "numba", "llvmlite", "numpy", "wandb")


def write_atomically(path: Path, text: str) -> None:
    """Whole or not at all, also when the power fails in between."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)


def begin(folder: Path, config: DictConfig) -> None:
    """Write down what this run is, before it starts."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
    write_atomically(folder / "provenance.json", json.dumps(_provenance(), indent=2))
    difference = _git("diff", "HEAD")
    if difference:
        write_atomically(folder / "local.diff", difference)


def set_status(folder: Path, status: str, **more: Any) -> None:
    """running, finished, interrupted or failed. `finished` is written after everything else."""
    write_atomically(folder / "status.json", json.dumps({"status": status, "time": time.time(), **more}, indent=2))


def read_json(path: Path) -> dict | None:
    """The file's object, or None where there is none or it is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A whole CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def load_checkpoint(folder: Path) -> dict:
    """The last checkpoint. Only tensors and plain values are read: nothing in the file can run.

    Raises UserError, one line, where it is missing, damaged or not ours.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; give a run folder that was trained, such as runs/<day>/<time>")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged or hostile files
        raise UserError(f"{path} is damaged or not ours ({type(error).__name__}); nothing in it was executed") from None
    if not isinstance(found, dict) or not {"state_dict", "learning"} <= set(found):
        raise UserError(f"{path} is a checkpoint of something else")
    return found


def _provenance() -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "revision": _git("rev-parse", "HEAD") or "unknown",
        "changed": bool(_git("status", "--porcelain")),
        "versions": versions,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
