"""Three hundred jobs in one process: memory, open files, threads and the time of a job stay what they were."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

JOBS = 300
SMALL = ["trainer=quick", "trainer.epochs=4", "trainer.evaluate_every=2", "trainer.sequences=10", "replicas=1",
         "family.sequence_length=8", "evaluation.mappings=16"]  # fmt: skip
ROOT = Path(__file__).parents[2]


def held_by(pid: int) -> dict[str, float]:
    """Memory [bytes], open files, threads and CPU seconds of a process, which other work on the machine does not lengthen."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    return {"memory": int(status["VmRSS"].split()[0]) * 1024, "files": files, "threads": int(status["Threads"]), "cpu": cpu}


def seconds_of_a_job(looks: list[dict[str, float]]) -> float:
    """CPU seconds, from the first of the looks to the last."""
    return (looks[-1]["cpu"] - looks[0]["cpu"]) / (looks[-1]["done"] - looks[0]["done"])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_three_hundred_jobs_in_one_process(mode, tmp_path, tally):
    seeds = ",".join(map(str, range(1000, 1000 + JOBS)))
    words = ["-m", "arch=elman", f"seed={seeds}", *SMALL, f"logger.mode={mode}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    process = subprocess.Popen([sys.executable, "-m", "src.train", *words], cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    looks: list[dict[str, float]] = []
    while process.poll() is None:
        done = len(list((tmp_path / "sweep").glob("*/result.json")))
        if done and (not looks or done >= looks[-1]["done"] + 5):
            looks.append({"done": done, **held_by(process.pid)})
        time.sleep(0.05)
    assert process.returncode == 0
    told = [json.loads(path.read_text()) for path in (tmp_path / "sweep").glob("*/status.json")]
    assert [one["status"] for one in told] == ["finished"] * JOBS
    early, late = [look for look in looks if 30 <= look["done"] <= 60], [look for look in looks if look["done"] >= JOBS - 30]
    figures = {
        "CPU seconds of a job": (seconds_of_a_job(early), seconds_of_a_job(late)),
        **{key: (max(x[key] for x in early), max(x[key] for x in late)) for key in ("memory", "files", "threads")},
    }
    seen = "; ".join(f"{key} {before:.3g} and {after:.3g}" for key, (before, after) in figures.items())
    allowed = {"memory": 40e6, "files": 4, "threads": 2, "CPU seconds of a job": 0.3 * figures["CPU seconds of a job"][0]}
    grown = [key for key, (before, after) in figures.items() if after > before + allowed[key]]
    tally(f"A long sweep stays as it was after 60 jobs (wandb {mode})", JOBS, len(grown), seen)
    assert not grown, seen
