"""A sweep folder: sweep.json says what was asked for, every folder below is a job's. What stands there is the sweep's state.

sweep.json    the command's overrides, and those of each of its jobs
<n>_<...>/    a run folder, see run_folder.py
"""

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from learning_to_learn.runs.run_folder import (
    CONFIG,
    DONE,
    EPOCH,
    METRICS,
    PROGRESS,
    SCORE,
    SECONDS,
    STATUS,
    DamagedRun,
    RunFolder,
    Said,
    Status,
    is_held,
    read_json,
)
from learning_to_learn.runs.sweep_request import SWEEP as SWEEP
from learning_to_learn.runs.sweep_request import read_request, readable_request
from learning_to_learn.runs.varying import names_of_overrides


@dataclass(frozen=True)
class Job:
    """A job of a sweep, or a run by itself, as it stands on disk."""

    status: Status
    place: Path | None
    """Its run folder; None where it has none yet."""
    overrides: tuple[str, ...] = ()
    error: str = ""
    epochs_done: int = 0
    epochs: int | None = None
    """How many it is to train; None where that is not known yet."""
    score: float | None = None
    """The median score on the validation data at the last look."""
    seconds: float = 0.0
    """Spent in training."""
    time: float = 0.0
    """When the status was written."""
    fingerprint: str | None = None
    """The same for jobs that compute the same."""
    damage: str = ""
    """What is wrong with its files, so that no table can have it."""

    @property
    def done(self) -> float:
        """The part of its epochs that is behind it, from 0 to 1."""
        return 1.0 if self.status in DONE else min(1.0, max(0, self.epochs_done) / self.epochs) if self.epochs else 0.0

    @property
    def folder(self) -> Path:
        """The run folder of a job that has one."""
        if self.place is None:
            raise ValueError("this job has no folder yet")
        return self.place

    @property
    def run(self) -> RunFolder:
        """The reader of its files."""
        return RunFolder(self.folder)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its configuration, flat: {"arch.name": "lstm", ...}"""
        return self.run.settings()


def run_folders(folder: Path) -> list[Path]:
    """Every run folder at or under `folder`, in the order of the jobs' numbers."""
    found = []
    for here, below, files in os.walk(folder):
        if STATUS in files or CONFIG in files:
            found.append(Path(here))
            below.clear()  # what lies in a run folder is part of it
        below[:] = [name for name in below if not name.startswith(".")]
    return sorted(found, key=lambda path: (path.parent, _number(path.name), path.name))


def survey(folder: Path, before: Sequence[Job] = ()) -> list[Job]:
    """Return every job that the sweep was asked for, then whatever else lies in the folder.

    Jobs that were done `before` are not read again.
    """
    done = {job.place: job for job in before if job.status in DONE}
    states = [done.get(path) or _job(path) for path in run_folders(folder)]
    asked = readable_request(folder)
    rest: dict[tuple[str, ...], list[Job]] = {}
    for state in states:
        rest.setdefault(state.overrides, []).append(state)
    jobs: list[tuple[str, ...]] = [tuple(job) for job in asked.jobs] if asked else []
    found = [rest[job].pop(0) if rest.get(job) else Job(Status.NOT_STARTED, None, job) for job in jobs]
    kept = {id(state) for state in found}
    return found + [state for state in states if id(state) not in kept]


def find_place(folder: Path, sweep: Path, fingerprint: str) -> tuple[Path, Path | None]:
    """Return where a job of that fingerprint is to run, and the folder that makes it superfluous, if there is one."""
    return Places(sweep).find(folder, fingerprint)


class Places:
    """Where the jobs of a sweep run. What its folders say is read once, and of a folder anew with `read`."""

    def __init__(self, sweep: Path) -> None:
        self._said = {path: _said(path) for path in run_folders(sweep)}

    def read(self, folder: Path) -> None:
        """Read what a folder says now."""
        self._said[folder] = _said(folder)

    def find(self, folder: Path, fingerprint: str) -> tuple[Path, Path | None]:
        """Return where a job of that fingerprint is to run, and the folder that makes it superfluous, if there is one.

        A job is superfluous if another folder of the sweep has finished the same job or is running it. If a folder holds the
        same job unfinished, the job resumes there. If `folder` is another job's, the job gets a folder beside it.
        """
        for path, said in self._said.items():
            if path == folder or said.fingerprint != fingerprint or said.status is Status.DUPLICATE:
                continue
            if said.status is Status.FINISHED or is_held(path):
                return folder, path
            return path, None
        other = self._fingerprint(folder) not in (None, fingerprint)
        if not other:
            return folder, None
        for number in itertools.count(2):
            beside = folder.with_name(f"{folder.name}-{number}")
            if self._fingerprint(beside) in (None, fingerprint):
                return beside, None
        raise AssertionError

    def _fingerprint(self, folder: Path) -> str | None:
        return (self._said.get(folder) or _said(folder)).fingerprint


def arguments_of(folder: Path) -> list[str] | None:
    """The overrides that a sweep was started with, or None where the folder is no sweep's.

    Raises UserError where sweep.json is damaged.
    """
    asked = read_request(folder)
    return asked.arguments if asked else None


def trials_left(folder: Path) -> list[str] | None:
    """The overrides with which a search that was stopped makes the trials that it has not yet made; None where it has all.

    The sampler is seeded anew, or it would propose what it has proposed before.
    """
    asked = read_request(folder)
    if asked is None or asked.trials is None:
        return []
    done = sum(state.status in (Status.FINISHED, Status.FAILED) and not state.damage for state in survey(folder))
    if done >= asked.trials:
        return None
    reseed = [] if asked.sampler_seed is None else [f"hydra.sweeper.sampler.seed={asked.sampler_seed + done}"]
    return [f"hydra.sweeper.n_trials={asked.trials - done}", *reseed]


def _said(path: Path) -> Said:
    """What status.json says; a damaged one says nothing."""
    try:
        return RunFolder(path).said()
    except DamagedRun:
        return Said(Status.NOT_STARTED)


def _job(path: Path) -> Job:
    run = RunFolder(path)
    try:
        said, status = run.said(), run.status()
    except DamagedRun as error:
        return Job(Status.FAILED, path, error=str(error), damage=str(error))
    epochs_done, seconds, score, damage = 0, said.seconds, None, ""
    try:
        rows = run.metrics()
        if rows:
            epochs_done, seconds, score = int(rows[-1][EPOCH]), rows[-1][SECONDS], _finite(rows[-1].get(SCORE))
    except (DamagedRun, KeyError) as error:
        damage = str(error) if isinstance(error, DamagedRun) else f"{METRICS} is damaged: {error.args[0]} is missing"
    if status in DONE:
        seconds = said.seconds
    else:
        epochs_done, seconds, score = _progress(path, (epochs_done, seconds, score))
    return Job(
        status, path, said.overrides, said.error or damage, epochs_done, said.epochs, score, seconds, said.time,
        said.fingerprint, "" if status in DONE else damage,
    )  # fmt: skip


def _progress(path: Path, looked: tuple[int, float, float | None]) -> tuple[int, float, float | None]:
    """Epochs, seconds and score between two looks at the validation data; `looked` where progress.json does not say."""
    said = read_json(path / PROGRESS) or {}
    epoch, seconds, score = said.get("epoch"), said.get("seconds"), said.get("score")
    if not isinstance(epoch, int) or not isinstance(seconds, int | float):
        return looked
    return epoch, float(seconds), _finite(score) if isinstance(score, int | float) else looked[2]


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def name_in_sweep(sweep: Path, overrides: Sequence[str]) -> str:
    """Return what varies of a job while its sweep runs, when all that is known is what was typed: `lstm lr=0.003`."""
    asked = readable_request(sweep)
    return names_of_overrides([overrides, *((asked.jobs or [asked.arguments]) if asked else [])])[0]


def names(jobs: Sequence[Job]) -> list[str]:
    """Return what varies among the jobs of a sweep, from what was typed for each."""
    return names_of_overrides([job.overrides for job in jobs])


def _number(name: str) -> int:
    head = name.split("_", maxsplit=1)[0]
    return int(head) if head.isdigit() else -1
