"""A sweep folder: sweep.json says what was asked for, every folder below is a job's. What stands there is the sweep's state.

sweep.json    the command's overrides, and those of each of its jobs
<n>_<...>/    a run folder, see run_folder.py
"""

import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from learning_to_learn.runs.run_folder import get_status, is_held, read_json, read_rows, write_atomically

SWEEP = "sweep.json"
OF_THE_FOLDER = ("hydra.sweep.dir=", "hydra.mode=", "hydra.sweeper.n_trials=", "hydra.sweeper.sampler.seed=")
"""Overrides that say where a sweep is, or how far it is, not what."""
DONE = ("finished", "duplicate")
"""The states that leave nothing to do."""


class Recorder(Callback):
    """Hydra calls it (conf/train.yaml) when a sweep begins: it writes sweep.json."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        overrides = config.hydra.overrides
        arguments = [str(a) for a in (*overrides.task, *overrides.hydra) if not str(a).startswith(OF_THE_FOLDER)]
        sources = config.hydra.runtime.config_sources
        arguments += [f"--config-dir={s.path}" for s in sources if s.provider == "command-line"]
        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        jobs = jobs_of(config)
        trials = config.hydra.sweeper.get("n_trials") if jobs is None else None
        before = read_json(folder / SWEEP) or {}
        asked = {
            "arguments": arguments,
            "launcher": config.launcher.name,
            "jobs": jobs,
            "started": time.time(),
            "trials": before.get("trials") or trials,
            "sampler_seed": OmegaConf.select(config, "hydra.sweeper.sampler.seed"),
        }
        write_atomically(folder / SWEEP, json.dumps(asked, indent=2))


def jobs_of(config: DictConfig) -> list[list[str]] | None:
    """The overrides of every job, or None where the sweeper makes them up as it goes."""
    sweeper = config.hydra.sweeper
    if not str(sweeper._target_).endswith("BasicSweeper"):
        return None
    given = [f"{k}={v}" for k, v in (sweeper.params or {}).items()] + [str(a) for a in config.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return [job for batch in BasicSweeper.split_arguments(parser.parse_overrides(given), None) for job in batch]


@dataclass(frozen=True)
class State:
    """Of a job."""

    status: str
    """finished, running, interrupted, killed, failed, duplicate or not started"""
    folder: Path | None
    overrides: tuple[str, ...]
    error: str = ""
    done: float = 0.0
    """The part of its epochs that is behind it, from 0 to 1."""
    seconds: float = 0.0
    """Spent in training."""
    time: float = 0.0
    """When the status was written."""
    fingerprint: str | None = None


def run_folders(folder: Path) -> list[Path]:
    """Every run folder at or under `folder`, in the order of the jobs' numbers."""
    found = []
    for here, below, files in os.walk(folder):
        if "status.json" in files or "config.yaml" in files:
            found.append(Path(here))
            below.clear()  # what lies in a run folder is part of it
        below[:] = [name for name in below if not name.startswith(".")]
    return sorted(found, key=lambda path: (path.parent, _number(path.name), path.name))


def survey(folder: Path) -> list[State]:
    """Every job that the sweep was asked for, then whatever else lies in the folder."""
    states = [_state(path) for path in run_folders(folder)]
    asked = (read_json(folder / SWEEP) or {}).get("jobs") or []
    rest: dict[tuple[str, ...], list[State]] = {}
    for state in states:
        rest.setdefault(state.overrides, []).append(state)
    jobs: list[tuple[str, ...]] = [tuple(job) for job in asked]
    found = [rest[job].pop(0) if rest.get(job) else State("not started", None, job) for job in jobs]
    kept = {id(state) for state in found}
    return found + [state for state in states if id(state) not in kept]


def find_place(folder: Path, sweep: Path, fingerprint: str) -> tuple[Path, Path | None]:
    """Where a job of that fingerprint is to run, and the folder that makes it superfluous, if there is one.

    It is superfluous where another folder of the sweep has done the same or is at it; goes on where one had begun the same;
    and where `folder` is another job's, it gets one beside it.
    """
    for path in run_folders(sweep):
        said = read_json(path / "status.json") or {}
        if path == folder or said.get("fingerprint") != fingerprint or said.get("status") == "duplicate":
            continue
        if said.get("status") == "finished" or is_held(path):
            return folder, path
        return path, None
    other = (read_json(folder / "status.json") or {}).get("fingerprint") not in (None, fingerprint)
    if not other:
        return folder, None
    for number in itertools.count(2):
        beside = folder.with_name(f"{folder.name}-{number}")
        if (read_json(beside / "status.json") or {}).get("fingerprint") in (None, fingerprint):
            return beside, None
    raise AssertionError


def arguments_of(folder: Path) -> list[str] | None:
    """The overrides that a sweep was started with, or None where the folder is no sweep's."""
    return (read_json(folder / SWEEP) or {}).get("arguments")


def trials_left(folder: Path) -> list[str] | None:
    """The overrides with which a search that was stopped makes the trials that it has not yet made; None where it has all.

    The sampler is seeded anew, or it would propose what it has proposed before.
    """
    asked = read_json(folder / SWEEP) or {}
    if not asked.get("trials"):
        return []
    done = sum(state.status in ("finished", "failed") for state in survey(folder))
    if done >= asked["trials"]:
        return None
    seed = asked.get("sampler_seed")
    reseed = [] if seed is None else [f"hydra.sweeper.sampler.seed={seed + done}"]
    return [f"hydra.sweeper.n_trials={asked['trials'] - done}", *reseed]


def _state(path: Path) -> State:
    said = read_json(path / "status.json") or {}
    status = get_status(path) or "not started"
    if status == "running" and not is_held(path):
        status = "killed"
    if status in DONE:
        done, seconds = 1.0, float(said.get("seconds") or 0.0)
    else:
        rows = read_rows(path / "metrics.csv")
        done = float(rows[-1]["epoch"]) / said["epochs"] if rows and said.get("epochs") else 0.0
        seconds = float(rows[-1]["time/seconds"]) if rows else 0.0
    return State(
        status, path, tuple(said.get("overrides") or ()), str(said.get("error", "")), done, seconds,
        float(said.get("time") or 0.0), said.get("fingerprint"),
    )  # fmt: skip


def _number(name: str) -> int:
    head = name.split("_", maxsplit=1)[0]
    return int(head) if head.isdigit() else -1
