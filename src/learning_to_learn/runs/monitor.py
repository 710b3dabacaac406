"""What a sweep says of itself on the console: which job is running, how many are done, what failed and when, the time left.

A job in this process shows its own progress. Jobs in other processes, on this machine or a cluster, are watched through their
folders.
"""

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType

from learning_to_learn.runs.run_folder import DONE, Status
from learning_to_learn.runs.sweep_folder import Job, survey
from learning_to_learn.runs.sweep_request import readable_request

LOOK_SECONDS, SAY_SECONDS = 1.0, 10.0
OVER = (*DONE, Status.FAILED)
COUNTED = (Status.FINISHED, Status.DUPLICATE, Status.RUNNING, Status.FAILED, Status.KILLED, Status.INTERRUPTED)


class Monitor:
    """Within this context a thread watches the folder that `watch` names."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._told: set[Path] = set()
        self._began = time.time()
        self._at_start = 0.0

    def __enter__(self) -> "Monitor":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def watch(self, folder: Path) -> None:
        """The sweep folder to look at. What failed there before is not news."""
        self._at_start, self._folder = sum(s.done for s in survey(folder)), folder

    def _run(self) -> None:
        said = time.monotonic()
        while not self._stop.wait(LOOK_SECONDS):
            if self._is_ours():
                said = self._look(said)
        if self._is_ours():
            self._look(said)

    def _is_ours(self) -> bool:
        """Whether the jobs are elsewhere: those in this process speak for themselves."""
        sweep = readable_request(self._folder) if self._folder else None
        return sweep is not None and not sweep.in_this_process and sweep.started >= self._began - 1

    def _look(self, said: float) -> float:
        assert self._folder
        states = survey(self._folder)
        for state in states:
            if state.status is Status.FAILED and state.place and state.time >= self._began and state.place not in self._told:
                print(failure(state), file=sys.stderr, flush=True)
                self._told.add(state.place)
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            print(summary(states, self._began, self._at_start), file=sys.stderr, flush=True)
        return said


def announce(folder: Path, number: int, overrides: list[str]) -> None:
    """Say, before a job of this process, which one it is."""
    asked = readable_request(folder)
    total = f"/{len(asked.jobs)}" if asked and asked.jobs else ""
    print(f"job {number + 1}{total}: {' '.join(overrides)}", file=sys.stderr, flush=True)


def failure(state: Job) -> str:
    return f"error: {state.place.name if state.place else ' '.join(state.overrides)}: {state.error}"


def summary(states: list[Job], began: float, done_before: float = 0.0) -> str:
    """How many jobs are where, and how long the rest takes if it goes on as it went since `began` (a time)."""
    count = Counter(state.status for state in states)
    parts = [f"{count[s]} {s}" for s in COUNTED if count[s]]
    rest = sum(1.0 - s.done for s in states if s.status not in OVER)
    speed = (sum(s.done for s in states) - done_before) / max(time.time() - began, 1e-9)
    running = any(state.status is Status.RUNNING for state in states)
    left = f", {duration(rest / speed)} left" if rest and speed > 0 and running else ""
    return f"{len(states)} jobs: {', '.join(parts) or 'none begun'}{left}"


def duration(seconds: float) -> str:
    """Such as 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
