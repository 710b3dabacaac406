"""What a sweep says of itself on the console: how many jobs are done, the best score, what failed and when, the time left.

All jobs, in this process or in others, on this machine or a cluster, are watched through their folders.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from learning_to_learn.runs.run_folder import DONE, Status
from learning_to_learn.runs.slurm_queue import in_queue
from learning_to_learn.runs.sweep_folder import Job, survey
from learning_to_learn.runs.sweep_request import readable_request

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

LOOK_SECONDS, SAY_SECONDS = 1.0, 10.0
LOOKING = 0.05
"""The most of its time that the process spends looking."""
OVER = (*DONE, Status.FAILED, Status.CANCELLED)
COUNTED = (Status.FINISHED, Status.DUPLICATE, Status.RUNNING, Status.QUEUED, Status.QUEUED_AGAIN, Status.FAILED, Status.KILLED,
           Status.INTERRUPTED, Status.CANCELLED)  # fmt: skip


class Monitor:
    """Within this context a thread watches the folder that `watch` names: a bar in a terminal, else a line now and then."""

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._folder: Path | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._told: set[Path] = set()
        self._states: list[Job] = []
        self._began = self._said = time.time()

    def __enter__(self) -> "Monitor":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._bar:
            self._bar.stop()

    def watch(self, folder: Path) -> None:
        """The sweep folder to look at. What failed there before is not news."""
        self._folder = folder

    def _run(self) -> None:
        wait = LOOK_SECONDS
        while not self._stop.wait(wait):
            began = time.monotonic()
            self._look()
            wait = max(LOOK_SECONDS, (time.monotonic() - began) / LOOKING)
        self._look()

    def _look(self) -> None:
        sweep = readable_request(self._folder) if self._folder else None
        if sweep is None or sweep.started < self._began - 1:
            return  # it has not begun
        assert self._folder
        self._states = survey(self._folder, self._states)
        states = in_queue(self._folder, self._states)
        for state in states if not sweep.in_this_process else ():  # a job in this process has said so itself
            if state.status is Status.FAILED and state.place and state.time >= self._began and state.place not in self._told:
                print(failure(state), file=sys.stderr, flush=True)
                self._told.add(state.place)
        total = sweep.trials or len(self._states)
        if self.console.is_terminal:
            self._draw(states, total)
        elif time.time() - self._said >= SAY_SECONDS:
            self._said = time.time()
            print(summary(states, self._began, total), file=sys.stderr, flush=True)

    def _draw(self, states: Sequence[Job], total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            columns = BarColumn(bar_width=16), TextColumn("{task.description}", markup=False)
            self._bar = Progress(*columns, console=self.console, auto_refresh=False)
            self._bar.add_task("")
            self._bar.start()
        done, text = sum(s.done for s in states), summary(states, self._began, total)
        self._bar.update(self._bar.task_ids[0], total=total, completed=done, description=text, refresh=True)


def announce(folder: Path, number: int, overrides: list[str]) -> None:
    """Say, before a job of this process, which one it is; in a terminal the bar says how far they are."""
    if sys.stderr.isatty():
        return
    asked = readable_request(folder)
    total = f"/{len(asked.jobs)}" if asked and asked.jobs else ""
    print(f"job {number + 1}{total}: {' '.join(overrides)}", file=sys.stderr, flush=True)


def failure(state: Job) -> str:
    return f"error: {state.place.name if state.place else ' '.join(state.overrides)}: {state.error}"


def summary(states: Sequence[Job], began: float, total: int | None = None) -> str:
    """Return how many jobs are where, the best score so far, and how long the rest takes at the pace since `began` (a time).

    `total` is the number of jobs where it is known to be more than have begun, as in a search.
    """
    count, total = Counter(state.status for state in states), max(total or 0, len(states))
    parts = [f"{count[s]} {s}" for s in COUNTED if count[s]]
    scores = [state.score for state in states if state.score is not None]
    best = f", best score {max(scores):.3f}" if scores else ""
    rest = total - len(states) + sum(1.0 - s.done for s in states if s.status not in OVER)
    speed = sum(s.done for s in states if s.time >= began) / max(time.time() - began, 1e-9)
    left = f", {duration(rest / speed)} left" if rest and speed > 0 and count[Status.RUNNING] else ""
    obstacles = dict.fromkeys(
        state.error for state in states if state.status in (Status.QUEUED, Status.QUEUED_AGAIN) and state.error
    )
    jobs = f"{total} {'job' if total == 1 else 'jobs'}: {', '.join(parts) or 'none begun'}{best}{left}"
    return "; ".join([jobs, *obstacles])


def duration(seconds: float) -> str:
    """Such as 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
