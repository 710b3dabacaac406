"""Sweeps as a user starts them, in a process of their own, and what is compared of them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from learning_to_learn.results.table import find_jobs, tabulate
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.runs.sweep_folder import survey
from tests.commands.test_train import SMALL

ROOT = Path(__file__).parents[2]
TWO = ["arch=elman", "seed=0,10", *SMALL]
LONG = ["arch=elman", "seed=0,10", *SMALL, "trainer.epochs=2400", "trainer.evaluate_every=200", "trainer.checkpoint_seconds=1"]
"""Two jobs of some twenty seconds, which write a checkpoint every second."""
SLURM = ["launcher=submitit_slurm", "launcher.cores=1", "hydra.launcher.mem_gb=1", "hydra.launcher.timeout_min=30"]


class Sweep:
    """`python -m src.train -m ...` in a process of its own, with a folder that is named from the working directory."""

    def __init__(self, folder: Path, *words: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self.environment = {**(environment or os.environ), "PYTHONPATH": paths}
        self._out = folder.with_name(f"{folder.name}.out")
        command = [sys.executable, "-m", "src.train", "-m", *words, f"hydra.sweep.dir={folder.name}"]
        with self._out.open("a") as out:
            self._process = subprocess.Popen(command, cwd=folder.parent, env=self.environment, stdout=out, stderr=out)

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def said(self) -> str:
        return self._out.read_text()

    def wait(self, seconds: float = 400) -> int:
        return self._process.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def statuses(self) -> list[str]:
        return [str(job.status) for job in survey(self.folder)]

    def shown(self) -> str:
        """What `python -m src.sweep status` says."""
        return self.command("status")[1]

    def resume(self, *words: str) -> int:
        return self.command("resume", *words)[0]

    def command(self, verb: str, *words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "src.sweep", verb, self.folder.name, *words]
        done = subprocess.run(
            command, cwd=self.folder.parent, env=self.environment, capture_output=True, text=True, check=False, timeout=400
        )
        return done.returncode, done.stdout + done.stderr

    def ids(self) -> list[str]:
        """The jobs' ids in SLURM's queue."""
        self.until(lambda: bool(read_json(self.folder / "slurm.json")), "the sweep is submitted")
        return list(read_json(self.folder / "slurm.json") or {})

    def slurm(self, *command: str) -> str:
        """One of SLURM's commands."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until(self, true: Callable[[], bool], what: str, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"waited in vain until {what}; {self.statuses()}\n{self.said}"
            time.sleep(0.3)

    def until_in_training(self, jobs: int) -> None:
        """So many jobs have written a checkpoint, and none has finished."""
        self.until(lambda: len(list(self.folder.glob("*/checkpoints/last.ckpt"))) >= jobs, "the jobs are in training")
        assert "finished" not in self.statuses()


def results(folder: Path) -> tuple[list[dict], dict[str, str]]:
    """The final table, and every job's replicas.csv to the byte, both without the times, which no two sweeps share."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in tabulate(find_jobs(folder))]
    finished = [job for job in find_jobs(folder) if job.status == "finished"]
    return rows, {str(job.fingerprint): (job.folder / "replicas.csv").read_text() for job in finished}


def array_of(ids: list[str]) -> str:
    (array,) = {one.split("_")[0] for one in ids}
    return array


def says_how_to_cancel(text: str, array: str) -> bool:
    return re.search(rf"scancel {array}\b", text) is not None
