"""A run folder: everything about one job, in plain files that are safe to read, copy and keep.

config.yaml       the whole configuration           metrics.csv     one row an evaluation
provenance.json   versions, machine, git revision   replicas.csv    one row a replica, on test data
local.diff        changes that were not committed   curve.csv       the error at every cycle, a column a replica
status.json       running, finished, failed ...     result.json     medians and ranges: the row of the table
.lock             held by the process that runs it
train.log         what was said                     stream.csv      the error over a stream of mappings (Figure 3)
checkpoints/      last.ckpt                         figures/        *.png
"""

import csv
import fcntl
import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from learning_to_learn.config import Config, to_yaml

ROOT = Path(__file__).parent
LOCK, PEEKS = ".lock", 5
_PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "numba", "llvmlite", "numpy", "wandb")


def write_atomically(path: Path, text: str) -> None:
    """Whole or not at all, also when the power fails in between."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, newline="")
    aside.replace(path)


def begin(folder: Path, config: Config) -> None:
    """Write down what this run is, before it starts; a resumed run adds what it runs on to what stands there."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    before = (read_json(folder / "provenance.json") or {}).get("starts", [])
    starts = [*before, {"started": started, **_provenance()}]
    write_atomically(folder / "provenance.json", json.dumps({"starts": starts}, indent=2))
    if _difference():
        write_atomically(folder / "local.diff", _difference())
    if not (folder / "config.yaml").exists():
        write_atomically(folder / "config.yaml", to_yaml(config))


def set_status(folder: Path, status: str, **more: Any) -> None:
    """running, finished, interrupted, failed or duplicate. `finished` is written after everything else."""
    who = {"process": os.getpid(), "host": platform.node(), "time": time.time()}
    write_atomically(folder / "status.json", json.dumps({"status": status, **who, **more}, indent=2))


@contextmanager
def held(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep the folder for this process alone; however that ends, the system lets go of it.

    Where another process has it, call `waiting` and wait for it.
    """
    with (folder / LOCK).open("a") as file:
        for _ in range(PEEKS):  # `is_held` may be looking
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.1)
        else:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_held(folder: Path) -> bool:
    """Whether a process is at work in the folder. On a cluster the file system must share locks (NFS 4, Lustre with flock)."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def get_status(folder: Path) -> str | None:
    """The status of a run folder; None where it was never started."""
    return (read_json(folder / "status.json") or {}).get("status")


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


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a CSV file; a last row that was cut off is left out, and none are where the file is missing."""
    if not path.exists():
        return []
    with path.open(newline="", errors="replace") as file:
        return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]


def keep_rows(path: Path, keep: Callable[[Mapping[str, str]], bool]) -> None:
    """Leave only some of a CSV file's rows."""
    rows = [row for row in read_rows(path) if keep(row)]
    if rows:
        write_rows(path, rows)
    else:
        path.unlink(missing_ok=True)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A whole CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


@cache
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
    }


@cache
def _difference() -> str:
    return _git("diff", "HEAD")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
