"""A run folder: everything about one job, in plain files that are safe to read, copy and keep.

config.yaml       the whole configuration           metrics.csv     one row an evaluation
provenance.json   versions, machine, git revision   replicas.csv    one row a replica, on test data
local.diff        changes that were not committed   curve.csv       the error at every cycle, a column a replica
status.json       running, finished, failed ...     result.json     medians and ranges: the row of the table
progress.json     epochs done and the score, while it runs
.lock             held by the process that runs it
train.log         what was said                     stream.csv      the error over a stream of mappings (Figure 3)
checkpoints/      last.ckpt, previous.ckpt          scores.csv      one row an evaluation, a column a replica
figures/          *.png                             wandb.json      which run of wandb this is

The JSON files carry a checksum of what they say, and status.json those of the CSV files of a finished run, so that a changed
digit is noticed too. Files without checksums are read as they stand.
"""

import csv
import errno
import fcntl
import hashlib
import io
import json
import math
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from learning_to_learn.errors import UserError
from learning_to_learn.runs.varying import flatten

if TYPE_CHECKING:
    from learning_to_learn.config import Config

CONFIG, PROVENANCE, DIFFERENCE = "config.yaml", "provenance.json", "local.diff"
STATUS, PROGRESS, LOCK, LOG = "status.json", "progress.json", ".lock", "train.log"
METRICS, REPLICAS, CURVE, STREAM, RESULT = "metrics.csv", "replicas.csv", "curve.csv", "stream.csv", "result.json"
SCORES = "scores.csv"
FIGURES = "figures"
FOLDERS = (FIGURES, "checkpoints", "wandb", "plugins", "evaluations", "probe")

EPOCH, SECONDS = "epoch", "time/seconds"
TRAIN_MSE, VALIDATION_MSE = "train/mse", "validation/mse"
VALIDATION_MSE_MIN, VALIDATION_MSE_MAX = "validation/mse_min", "validation/mse_max"
SCORE, SCORE_LOWER, SCORE_UPPER = "score/median", "score/lower_quartile", "score/upper_quartile"
SUCCESS_RATE = "score/success_rate"
"""The columns of metrics.csv, which are the names of the metrics in wandb too."""
RESULT_NUMBERS = ("no_learning", "no_learning_error", "floor", "floor_error", "seconds", "epochs", "replicas", "successes",
                  "score_median", "mse_median")  # fmt: skip
"""What result.json must say for a table."""
CHECKSUM, CHECKSUMS = "sha256", "files"
"""The key of a JSON file for the checksum of its other content, and that of status.json for those of other files."""
VOUCHED_FOR = (METRICS, SCORES, REPLICAS, CURVE, STREAM)
"""The files whose checksums stand in the status.json of a finished run; result.json has its own."""
MOST_BYTES = 64_000_000
"""No file of a run, besides its checkpoints, is larger."""
UNKNOWN_IF_DIVERGED = ("score_median", "mse_median")
"""Those of RESULT_NUMBERS that are null where most replicas have none, and NaN where they are read."""

ROOT = Path(__file__).parent
PEEKS = 5
_PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "numba", "llvmlite", "numpy", "wandb")


COMMANDS_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a folder from elsewhere must not bring to the console."""


class Status(StrEnum):
    """How far a job has come."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    """Another folder of the sweep holds the same job."""
    KILLED = "killed"
    """status.json says running, but no process holds the folder."""
    NOT_STARTED = "not started"
    QUEUED = "queued"
    """It waits on a cluster."""
    QUEUED_AGAIN = "queued again"
    """It has run on a cluster, which stopped it to run it once more."""
    CANCELLED = "cancelled"
    """It was taken off a cluster's queue."""


DONE = (Status.FINISHED, Status.DUPLICATE)
"""The statuses that leave nothing to do."""


class DamagedRun(UserError):
    """A file of a run folder holds something else than it must."""


@dataclass(frozen=True)
class Replica:
    """A row of replicas.csv: what one replica reached on test data."""

    seed: int
    mse: float
    score: float
    success: bool
    cycles_to_learn: int | None
    mse_after_learning: float | None
    diverged_at_epoch: int | None
    excess: float | None = None
    excess_error: float | None = None
    steps_to_learn: float | None = None
    steps_deviation: float | None = None


@dataclass(frozen=True)
class Said:
    """What status.json says."""

    status: Status
    error: str = ""
    overrides: tuple[str, ...] = ()
    """What the user typed."""
    fingerprint: str | None = None
    epochs: int | None = None
    """How many it is to train."""
    seconds: float = 0.0
    time: float = 0.0
    """When the status was written."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Of the files of a finished run."""


class RunFolder:
    """Reads a run folder. A file that is missing is empty; one that is damaged raises DamagedRun, which names it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def status(self) -> Status:
        """Return how far the job has come."""
        status = self.said().status
        return Status.KILLED if status is Status.RUNNING and not is_held(self.path) else status

    def said(self) -> Said:
        """Return what status.json says; "running" may not be true any more."""
        found = self._json(STATUS)
        if found is None:
            return Said(Status.NOT_STARTED)
        overrides, epochs, fingerprint = found.get("overrides") or [], found.get("epochs"), found.get("fingerprint")
        error, checksums = found.get("error", ""), found.get(CHECKSUMS, {})
        with self._judging(STATUS):
            if not are_words(overrides) or not are_words([fingerprint or "", error]):
                raise TypeError("overrides, fingerprint and error are not text")
            if not isinstance(epochs, int | None) or (epochs is not None and not 0 <= epochs < 2**53):
                raise TypeError(f"epochs is {epochs!r}")
            if not isinstance(checksums, dict) or not are_words(list(checksums.values())):
                raise TypeError(f"{CHECKSUMS} holds no checksums")
            return Said(
                status=Status(found["status"]),
                error=error,
                overrides=tuple(overrides),
                fingerprint=fingerprint,
                epochs=epochs,
                seconds=_duration(found.get("seconds"), "seconds"),
                time=_duration(found.get("time"), "time"),
                checksums=checksums,
            )

    def metrics(self) -> list[dict[str, float]]:
        """Return the rows of metrics.csv; the epoch is an int, and both it and the seconds are there and rise."""
        with self._judging(METRICS):
            rows: list[dict[str, float]] = [
                {key: int(value) if key == EPOCH else float(value) for key, value in row.items()}
                for row in read_rows(self.path / METRICS)
            ]
            for before, row in zip([None, *rows], rows, strict=False):
                _duration(row[SECONDS], SECONDS)
                if not (before[EPOCH] if before else 0) < row[EPOCH] < 2**53:
                    raise ValueError(f"epoch {row[EPOCH]} follows {before[EPOCH] if before else 'nothing'}")
            return rows

    def replicas(self) -> list[Replica]:
        """Return the rows of replicas.csv."""
        with self._judging(REPLICAS):
            return [_replica(row) for row in read_rows(self.path / REPLICAS)]

    def result(self) -> dict[str, Any] | None:
        """Return the medians and ranges of result.json; the numbers that a table needs are there."""
        found = self._json(RESULT)
        if found is not None:
            with self._judging(RESULT):
                for key in RESULT_NUMBERS:
                    found[key] = _number(found[key], key, null=key in UNKNOWN_IF_DIVERGED)
        return found

    def curve(self) -> list[dict[str, float]]:
        """Return the rows of curve.csv: the error at every cycle."""
        return self._floats(CURVE)

    def stream(self) -> list[dict[str, float]]:
        """Return the rows of stream.csv: the error over a stream of mappings."""
        return self._floats(STREAM)

    def settings(self) -> dict[str, Any]:
        """Return the configuration, flat: {"arch.name": "lstm", ...}. It is only shown, so that a damaged one is empty."""
        try:
            return flatten(self.config())
        except DamagedRun:
            return {}

    def config(self) -> dict[str, Any]:
        """Return what stands in config.yaml, nested as it is there."""
        from learning_to_learn.bounded_yaml import read_yaml

        with self._judging(CONFIG):
            nested = read_yaml(self.path / CONFIG)
            for group in ("arch", "family"):
                if not isinstance(nested[group]["name"], str):
                    raise TypeError(f"{group}.name is no text")
        return nested

    def damage(self) -> str:
        """Return what is wrong with the files of a finished run, in a line; nothing where all is well."""
        from learning_to_learn.runs.saved_config import config_damage

        if wrong := config_damage(self):
            return wrong
        try:
            self.metrics()
            result, replicas = self.result(), self.replicas()
            if result is None:
                return f"{RESULT} is missing"
            if not replicas:
                return f"{REPLICAS} is missing or empty"
            counted = (len({r.seed for r in replicas}), sum(r.success for r in replicas))
            if len(replicas) != counted[0] or counted != (result["replicas"], result["successes"]):
                return f"{REPLICAS} is damaged: its replicas are not those that {RESULT} counts"
            for name, checksum in self.said().checksums.items():
                if name in VOUCHED_FOR and _checksum_of(self.path / name) != checksum:
                    return f"{name} is damaged: it is not what the run has written"
        except DamagedRun as error:
            return str(error)
        return ""

    def _floats(self, name: str) -> list[dict[str, float]]:
        with self._judging(name):
            return [{key: float(value) for key, value in row.items()} for row in read_rows(self.path / name)]

    def _json(self, name: str) -> dict[str, Any] | None:
        """The object in a file that is there."""
        if not (self.path / name).exists():
            return None
        found = read_json(self.path / name)
        if found is None:
            raise DamagedRun(f"{name} is damaged: it holds no JSON object, or not what was written")
        return found

    @contextmanager
    def _judging(self, name: str) -> Iterator[None]:
        try:
            yield
        except DamagedRun:
            raise
        except KeyError as error:
            raise DamagedRun(f"{name} is damaged: {error.args[0]} is missing") from None
        except (ValueError, TypeError, OverflowError, OSError, csv.Error) as error:
            raise DamagedRun(
                f"{name} is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            ) from None


def are_words(found: object) -> TypeGuard[list[str]]:
    """Whether it is a list of text, none of which could command a terminal."""
    return isinstance(found, list) and all(isinstance(word, str) and not COMMANDS_TERMINAL.search(word) for word in found)


def _number(found: object, name: str, *, null: bool = False) -> float:
    """A number of a JSON file; where it may be null, that is NaN."""
    if found is None and null:
        return math.nan
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise TypeError(f"{name} is no number")
    float(found)  # an OverflowError where it is too large
    return found


def _duration(found: object, name: str) -> float:
    """A number of seconds, which is 0 where nothing is said."""
    seconds = _number(found or 0.0, name)
    if not 0.0 <= seconds < math.inf:
        raise ValueError(f"{name} is {seconds}")
    return float(seconds)


def _replica(row: Mapping[str, str]) -> Replica:
    if row["success"] not in ("True", "False"):
        raise ValueError(f"success is {row['success']!r}")
    cycles, after, diverged = row["cycles_to_learn"], row["mse_after_learning"], row.get("diverged_at_epoch")
    return Replica(
        seed=int(row["seed"]),
        mse=float(row["mse"]),
        score=float(row["score"]),
        success=row["success"] == "True",
        cycles_to_learn=int(cycles) if cycles else None,
        mse_after_learning=float(after) if after else None,
        diverged_at_epoch=int(diverged) if diverged else None,
        # A run of before 2026-11-25 has none of these.
        **{key: float(row[key]) for key in ("excess", "excess_error", "steps_to_learn", "steps_deviation") if row.get(key)},
    )


def legible(path: Path | str) -> str:
    """Return a path as text, with a mark in place of bytes that are none."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def write_atomically(path: Path, text: str) -> None:
    """Write the whole file or nothing, also when the power fails in between."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Under a locale without UTF-8 a path's bytes are surrogates, which become those bytes again.
        aside.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)  # on a full disk its room is needed
        raise


def check_kinds(folder: Path) -> None:
    """Raise OSError where a folder stands in the place of a file of ours, or a file in that of a folder."""
    for name in (CONFIG, PROVENANCE, DIFFERENCE, STATUS, LOCK, LOG, METRICS, SCORES, REPLICAS, CURVE, STREAM, RESULT):
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / name))
    for name in FOLDERS:
        if (folder / name).exists() and not (folder / name).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder / name))


def begin(folder: Path, config: "Config") -> None:
    """Write down what this run is, before it starts; a resumed run adds what it runs on to what stands there."""
    from learning_to_learn.config import to_yaml

    folder.mkdir(parents=True, exist_ok=True)
    started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    before = (read_json(folder / PROVENANCE) or {}).get("starts", [])
    starts = [*before, {"started": started, **_provenance()}]
    write_json(folder / PROVENANCE, {"starts": starts})
    if _difference():
        write_atomically(folder / DIFFERENCE, _difference())
    if not (folder / CONFIG).exists():
        write_atomically(folder / CONFIG, to_yaml(config))


def set_status(folder: Path, status: str, **more: Any) -> None:
    """Write status.json. FINISHED is written after everything else, with the checksums of the other files."""
    who = {"process": os.getpid(), "host": platform.node(), "time": time.time()}
    if "error" in more:
        more["error"] = COMMANDS_TERMINAL.sub("?", more["error"])
    if status == Status.FINISHED:
        more[CHECKSUMS] = {name: _checksum_of(folder / name) for name in VOUCHED_FOR if (folder / name).is_file()}
    write_json(folder / STATUS, {"status": Status(status), **who, **more})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum, whole or not at all. NaN, which JSON has not, becomes null."""
    plain = json.loads(json.dumps(as_json(content), allow_nan=False))  # as it will be read
    write_atomically(path, json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=2))


def as_json(value: Any) -> Any:
    """Return plain data as JSON can hold them: tuples as lists, and None for a number that is not finite."""
    if isinstance(value, Mapping):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checksum_of(path: Path) -> str:
    """The checksum of a file; nothing where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@contextmanager
def held(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep the folder for this process alone. The operating system releases the lock when the process exits, however it exits.

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


def get_status(folder: Path) -> Status | None:
    """Return what status.json says; None where the job was never started, or the file is damaged."""
    try:
        status = RunFolder(folder).said().status
    except DamagedRun:
        return None
    return None if status is Status.NOT_STARTED else status


def read_json(path: Path) -> dict[str, Any] | None:
    """The file's object; None where there is none or it is damaged: too large, too deep, or another than `write_json` wrote."""
    try:
        found = json.loads(_read_bounded(path))
        if not isinstance(found, dict):
            return None
        checksum = found.pop(CHECKSUM, None)
        return found if checksum is None or checksum == _checksum(found) else None
    except (OSError, ValueError, RecursionError):
        return None


def _read_bounded(path: Path) -> str:
    """The text of a file. Raises OSError where it cannot be read, ValueError where it is no text or larger than MOST_BYTES."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
    return content.decode("utf-8")


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a CSV file, none where the file is missing; a last row that was cut off is left out.

    Raises DamagedRun where another row has more or fewer values than the header.
    """
    if not path.exists():
        return []
    try:
        text = _read_bounded(path)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DamagedRun(f"{path.name} is damaged: {str(error) or type(error).__name__}") from None
    if rows and not text.endswith("\n"):
        del rows[-1]
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise DamagedRun(f"{path.name} is damaged: row {number} has not as many values as the header")
    return rows


def keep_rows(path: Path, keep: Callable[[Mapping[str, str]], bool]) -> None:
    """Leave only some of a CSV file's rows."""
    rows = [row for row in read_rows(path) if keep(row)]
    if rows:
        write_rows(path, rows)
    else:
        path.unlink(missing_ok=True)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the whole CSV file or nothing."""
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
