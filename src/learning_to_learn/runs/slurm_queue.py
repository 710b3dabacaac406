"""The queue of a SLURM cluster, where the jobs of a sweep are that no process holds now.

slurm.json in a sweep folder lists what was submitted: the id of each job in the queue, and the job's overrides. SLURM is asked
with `squeue`, which every cluster has; `sacct` needs a database that some have not.
"""

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from learning_to_learn.runs.run_folder import DONE, Status, read_json, write_atomically
from learning_to_learn.runs.sweep_folder import Job

SUBMITTED = "slurm.json"
ASK_SECONDS = 5.0
"""What squeue said is believed for so long."""
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT")
ALIVE = (*WAITING, "RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
CANCELLED = "CANCELLED"
_ID = re.compile(r"\d+(_\d+)?")
_USUAL = ("", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Cleaning")
"""Reasons to wait that pass by themselves."""
_IN_WORDS = {
    "PartitionConfig": "the partition has no node with the cores, memory or time that a job asks for",
    "PartitionTimeLimit": "the partition allows no job to run as long as hydra.launcher.timeout_min",
    "PartitionNodeLimit": "the partition has no node with the cores or memory that a job asks for",
    "BadConstraints": "no node has what a job asks for",
}


@dataclass(frozen=True)
class Place:
    """Where SLURM says that a job is."""

    state: str
    """Such as PENDING or RUNNING; empty where SLURM has forgotten the job."""
    reason: str = ""
    """Why it waits, in SLURM's word."""

    @property
    def alive(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in ALIVE

    @property
    def obstacle(self) -> str:
        """Why it waits, where that does not pass by itself."""
        if self.state not in WAITING or self.reason in _USUAL:
            return ""
        return f"SLURM: {self.reason}" + (f", {_IN_WORDS[self.reason]}" if self.reason in _IN_WORDS else "")


GONE = Place("")
_said: dict[tuple[str, ...], tuple[float, dict[str, Place] | None]] = {}


def record(folder: Path, submitted: dict[str, list[str]]) -> None:
    """Add jobs, by their ids in the queue, to what was submitted for the sweep; the values are the jobs' overrides."""
    write_atomically(folder / SUBMITTED, json.dumps({**_recorded(folder), **submitted}, indent=2))


def _recorded(folder: Path) -> dict[str, list[str]]:
    """The overrides of every job that was submitted, by its id in the queue, in the order of submission."""
    found = read_json(folder / SUBMITTED) or {}
    return {job: [str(w) for w in words] for job, words in found.items() if _ID.fullmatch(job) and isinstance(words, list)}


def arrays(ids: "list[str] | dict[str, list[str]]") -> list[str]:
    """The ids without the numbers of the elements: what `scancel` takes to cancel all of them."""
    return list(dict.fromkeys(one.split("_")[0] for one in ids))


def ask(ids: list[str]) -> dict[str, Place] | None:
    """Ask SLURM where the jobs of these ids' arrays are; None where it does not answer.

    Jobs that it has forgotten, some minutes after their end, are not in the answer.
    """
    asked = tuple(arrays(ids))
    when, answer = _said.get(asked, (-ASK_SECONDS, None))
    if time.monotonic() - when >= ASK_SECONDS:
        answer = _ask(asked)
        _said[asked] = time.monotonic(), answer
    return answer


def _ask(asked: tuple[str, ...]) -> dict[str, Place] | None:
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={','.join(asked)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    rows = [line.split("|", 2) for line in done.stdout.splitlines()]
    return {job: Place(state, "" if reason == "None" else reason) for job, state, reason in rows}


def in_queue(folder: Path, jobs: list[Job]) -> list[Job]:
    """The jobs of the sweep, those in SLURM's queue as "queued", "queued again" or "cancelled", with what keeps them there."""
    submitted = _recorded(folder)
    answer = ask(list(submitted)) if submitted and shutil.which("squeue") else None
    if not answer:
        return jobs
    place = {tuple(words): answer.get(job, GONE) for job, words in submitted.items()}
    return [_seen(job, place.get(job.overrides, GONE)) for job in jobs]


def _seen(job: Job, place: Place) -> Job:
    if job.status in (*DONE, Status.FAILED, Status.RUNNING):
        return job
    if place.state == CANCELLED:
        return replace(job, status=Status.CANCELLED)
    if job.status is Status.NOT_STARTED:
        return replace(job, status=Status.QUEUED, error=place.obstacle) if place.state in WAITING else job
    return replace(job, status=Status.QUEUED_AGAIN, error=place.obstacle) if place.alive else job
