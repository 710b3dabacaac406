"""Sweeps: their launchers, state, resume, duplicates and reports, as a user meets them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from learning_to_learn.commands import sweep, train
from learning_to_learn.composing import compose_config, usable_cores
from learning_to_learn.config import fingerprint
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.results.table import find_jobs, tabulate
from learning_to_learn.runs.run_folder import get_status, held, is_held, read_json, set_status
from learning_to_learn.runs.sweep_folder import arguments_of, run_folders, survey
from tests.commands.test_train import SMALL
from tests.helpers import job

ROOT = Path(__file__).parents[2]
AT = "hydra.sweep.dir=s"
TWO = ["-m", "arch=elman", "seed=0,10", *SMALL, AT]


def table(folder):
    """The final table, without the times, which no two sweeps share."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in tabulate(find_jobs(folder))]


def statuses(folder):
    return [state.status for state in survey(folder)]


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", pytest.param("ray", marks=pytest.mark.slow)])
def test_two_jobs_of_which_one_fails(launcher, tmp_path):
    """For real, in processes of the launcher's: the other finishes, the failure is named, the exit code is not 0."""
    command = [sys.executable, "-m", "src.train", "-m", "arch=elman", "optimizer.lr=-1,0.03", *SMALL, f"launcher={launcher}",
               "launcher.jobs=2", f"hydra.sweep.dir={tmp_path / 's'}"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error: 0_elman_boolean: optimizer.lr=-1.0: it must be a number above 0") == 1
    assert "Traceback" not in done.stderr
    assert statuses(tmp_path / "s") == ["failed", "finished"]
    assert "it must be a number above 0" in (tmp_path / "s/0_elman_boolean/train.log").read_text()
    assert "elman" in done.stdout
    config = (tmp_path / "s/1_elman_boolean/config.yaml").read_text()
    assert f"name: {launcher}" in config


@pytest.mark.parametrize(
    ("overrides", "threads"),
    [
        ([], usable_cores()),
        (["threads=3"], 3),
        (["launcher=joblib"], 1),
        (["launcher=joblib", "launcher.jobs=1"], usable_cores()),
        (["launcher=joblib", "launcher.jobs=1000"], 1),
        (["launcher=submitit_slurm"], 4),
        (["launcher=submitit_slurm", "launcher.cores=2"], 2),
        (["launcher=ray", "launcher.address=auto"], 1),
        (["launcher=ray", "launcher.address=auto", "launcher.cores=8"], 8),
    ],
)
def test_jobs_side_by_side_share_the_cores(overrides, threads):
    assert threads_of_a_job(compose_config(*overrides)) == threads


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ("launcher=slurm", "choose one of basic, joblib, packed, ray, submitit_local, submitit_slurm"),
        ("sweep=nothing", "unknown sweep 'nothing': choose one of defaults, feedback, fixed_weight"),
    ],
)
def test_unknown_names_are_one_line(overrides, says):
    with pytest.raises(UserError, match=says):
        train._main(["-m", overrides])


def test_a_fingerprint_is_of_what_a_job_computes():
    assert fingerprint(job()) == fingerprint(job("launcher=joblib", "threads=1", "logger.project=x"))
    different = [job(), job("seed=1"), job("replicas=3"), job("optimizer.lr=0.01"), job("evaluation.seed=1")]
    assert len({fingerprint(c) for c in different}) == len(different)


def test_status_while_nothing_half_and_all_is_done(capsys):
    train._main(TWO)
    shutil.rmtree("s/1_elman_boolean")
    assert statuses(Path("s")) == ["finished", "not started"]
    assert sweep._main(["status", "s"]) == 1
    said = capsys.readouterr().out
    assert "not started" in said
    assert "seed=10" in said
    assert max(map(len, said.splitlines())) <= 80
    assert sweep._main(["resume", "s"]) == 0
    assert statuses(Path("s")) == ["finished", "finished"]
    assert sweep._main(["status", "s"]) == 0


def test_a_running_job_is_told_from_a_killed_one(tmp_path):
    set_status(tmp_path, "running", overrides=["seed=1"], epochs=10)
    (tmp_path / "metrics.csv").write_text("epoch,time/seconds\n4,2.5\n")
    (state,) = survey(tmp_path)
    assert (state.status, state.done, state.seconds) == ("killed", 0.4, 2.5)
    with held(tmp_path, lambda: None):
        assert survey(tmp_path)[0].status == "running"
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_resume_runs_only_what_is_not_done():
    train._main(TWO)
    before = {p: p.stat().st_mtime_ns for p in Path("s").rglob("last.ckpt")}
    assert len(before) == 2
    (Path("s/1_elman_boolean/status.json")).write_text(json.dumps({"status": "running"}))
    assert sweep._main(["resume", "s"]) == 0
    after = {p: p.stat().st_mtime_ns for p in Path("s").rglob("last.ckpt")}
    assert after[Path("s/0_elman_boolean/checkpoints/last.ckpt")] == before[Path("s/0_elman_boolean/checkpoints/last.ckpt")]
    assert train._main(["resume=s"]) == 0


def test_a_job_that_is_done_already_is_not_run_again():
    """Within one sweep, and when a second command adds jobs to the same folder."""
    assert train._main(["-m", "arch=elman", "seed=0,0", *SMALL, AT]) == 0
    assert statuses(Path("s")) == ["finished", "duplicate"]
    assert read_json(Path("s/1_elman_boolean/status.json"))["of"] == "../0_elman_boolean"
    assert train._main(["-m", "arch=elman", "seed=7,0,9", *SMALL, AT]) == 0
    done = [path.name for path in run_folders(Path("s")) if get_status(path) == "finished"]
    assert done == ["0_elman_boolean", "0_elman_boolean-2", "2_elman_boolean"]
    (row,) = tabulate(find_jobs(Path("s")))
    assert row["replicas"] == 6


def test_replicas_that_two_jobs_share_count_once():
    train._main(["-m", "arch=elman", "seed=0,1", *SMALL, AT])
    (row,) = tabulate(find_jobs(Path("s")))
    assert row["replicas"] == 3
    sweep._main(["report", "s"])
    assert sorted(pd.read_csv("s/report/replicas.csv")["seed"]) == [0, 1, 2]


def test_the_report_is_one_tidy_table_of_any_folders(capsys):
    train._main(["-m", "arch=elman,lstm", *SMALL, AT])
    train._main(["arch=elman", "optimizer.lr=0.1", *SMALL, "hydra.run.dir=other"])
    assert sweep._main(["report", "s", "other"]) == 0
    frame = pd.read_csv("s/report/replicas.csv")
    assert len(frame) == 6
    assert set(frame["arch.name"]) == {"elman", "lstm"}
    single = pd.read_csv("other/replicas.csv")
    mine = frame[frame["optimizer.lr"] == 0.1]
    assert mine["score"].tolist() == pytest.approx(single["score"].tolist())
    whole = pd.read_parquet("s/report/replicas.parquet")
    assert whole["mse"].tolist() == pytest.approx(frame["mse"].tolist())
    assert Path("s/report/report.html").stat().st_size > 1_000_000  # the page and its plotting library
    assert "| elman | boolean | 0.1 |" in Path("s/report/report.md").read_text()
    assert len(pd.read_csv("s/report/summary.csv")) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "choose one of compare, report, resume, status, table"),
        (["stop", "s"], "unknown what to do with a sweep 'stop'"),
        (["status"], "which one"),
        (["status", "nothing"], "nothing: no such folder"),
        (["resume", "."], "no sweep.json"),
        (["report", "."], "no finished run"),
        (["table", "."], "no finished run"),
        (["compare", ".", "by=lr"], "no finished run"),
        (["status", "."], "holds no sweep"),
        (["status", ".", "."], "takes one folder"),
    ],
)
def test_a_mistake_is_one_line(arguments, says):
    with pytest.raises(UserError, match=says):
        sweep._main(arguments)


def test_a_sweep_remembers_what_was_asked():
    train._main(TWO)
    assert arguments_of(Path("s")) == ["arch=elman", "seed=0,10", *SMALL]
    assert arguments_of(Path("s/0_elman_boolean")) is None


def test_a_copied_run_folder_is_complete(tmp_path):
    """It can be moved to another machine, evaluated there, and pooled."""
    train._main(TWO)
    shutil.copytree("s/0_elman_boolean", "elsewhere/run")
    shutil.rmtree("s")
    from learning_to_learn.commands import evaluate

    assert evaluate._main(["run=elsewhere/run"]) == 0
    (only,) = find_jobs(Path("elsewhere"))
    assert (only.status, only.settings["seed"]) == ("finished", 0)


def kill_and_resume(folder, delay):
    """Start or resume the sweep in a process of its own and kill all of it after `delay` seconds."""
    more = ["-m", "src.sweep", "resume", str(folder)]
    if not (folder / "sweep.json").exists():
        more = ["-m", "src.train", "-m", "arch=elman,lstm", "seed=0,10", *SMALL[1:], "trainer.epochs=400",
                "trainer.evaluate_every=20", "trainer.checkpoint_seconds=0.1", f"hydra.sweep.dir={folder}"]  # fmt: skip
    process = subprocess.Popen([sys.executable, *more], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    try:
        return process.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 20])
def test_a_sweep_killed_at_any_time_and_resumed_gives_the_same_table(tmp_path, times):
    began = time.monotonic()
    assert kill_and_resume(tmp_path / "unbroken", 300) == 0
    whole = time.monotonic() - began
    expected = table(tmp_path / "unbroken")
    assert len(expected) == 2
    chance = random.Random(times)
    same = 0
    for number in range(times):
        folder = tmp_path / f"broken{number}"
        kill_and_resume(folder, chance.uniform(0.3, 1.0) * whole)
        assert kill_and_resume(folder, 300) == 0
        same += table(folder) == expected
    print(f"{same} of {times} same")
    assert same == times


def test_a_job_in_a_folder_beside_another_one_stays_finished():
    """Two jobs that are given one folder: the second goes beside the first, and is not taken for its own duplicate."""
    words = ["-m", "arch=elman", "seed=0,10", *SMALL, AT, "hydra.sweep.subdir=same"]
    for _ in range(2):
        assert train._main(words) == 0
        assert statuses(Path("s")) == ["finished", "finished"]
        assert sorted(p.name for p in Path("s").iterdir() if p.is_dir()) == ["same", "same-2"]
