"""The worker processes of `launcher=joblib` end with the command: where it is interrupted, and where it dies."""

import os
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from learning_to_learn.jobs.signals import INTERRUPTED, LIMIT
from learning_to_learn.runs.run_folder import STATUS, Status, is_held, read_json
from learning_to_learn.runs.sweep_folder import SWEEP, run_folders

WORKERS = "joblib"
"""The launcher whose jobs run in child processes of the command."""
LOOK_SECONDS = 0.5
WAIT_SECONDS = 1.0
"""For the workers' checkpoints, before joblib kills the workers."""
_watched: set[int] = set()


def end_workers(sweeps: Iterable[Path]) -> None:
    """Ask the workers of this process that run a job of these sweeps to end, and wait for their checkpoints."""
    asked = []
    for sweep in sweeps:
        if (read_json(sweep / SWEEP) or {}).get("launcher") != WORKERS:
            continue
        for folder in run_folders(sweep):
            said = read_json(folder / STATUS) or {}
            process = said.get("process")
            if said.get("status") == Status.RUNNING and isinstance(process, int) and _parent_of(process) == os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
                    asked.append(folder)
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until and any(is_held(folder) for folder in asked):
        time.sleep(0.02)


def end_with_parent(parent: int) -> None:
    """Watch, in a worker, whether the command that started it still lives; where it does not, end as if interrupted."""
    if parent in (os.getpid(), *_watched):
        return
    _watched.add(parent)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)  # a checkpoint is written
    time.sleep(LIMIT)
    os._exit(INTERRUPTED)


def _parent_of(process: int) -> int | None:
    """The parent of a process, or None where the system does not say."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])
