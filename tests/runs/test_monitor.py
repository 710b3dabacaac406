"""What a sweep says of itself while it runs."""

import io
import json
import time

import pytest
from rich.console import Console

from learning_to_learn.commands import sweep
from learning_to_learn.runs.monitor import Monitor, summary
from learning_to_learn.runs.run_folder import PROGRESS, Status, held, set_status
from learning_to_learn.runs.sweep_folder import SWEEP, Job, name_in_sweep, survey


def begun(folder, name, epoch, *, epochs=150, status="running", **more):
    run = folder / name
    run.mkdir(parents=True)
    set_status(run, status, overrides=["arch=lstm", f"seed={name}"], epochs=epochs, **more)
    (run / PROGRESS).write_text(json.dumps({"epoch": epoch, "seconds": 2.5, "score": 0.25}))
    return run


def test_the_part_that_is_done_is_true_between_two_looks(tmp_path, capsys):
    begun(tmp_path, "0", 12, status="interrupted")
    (job,) = survey(tmp_path)
    assert (job.epochs_done, job.done, job.seconds, job.score) == (12, 12 / 150, 2.5, 0.25)
    assert sweep._main(["status", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "job  status       done  score  time  what",
        "0    interrupted    8%  0.250   2 s  lstm seed=0",
        "1 job: 1 interrupted, best score 0.250",
    ]
    sweep._main(["status", str(tmp_path), "--json"])
    (told,) = json.loads(capsys.readouterr().out)["jobs"]
    assert (told["epochs_done"], told["epochs"], told["done"], told["name"]) == (12, 150, 0.08, "lstm seed=0")


@pytest.mark.parametrize("text", ["", "[]", '{"epoch": "x", "seconds": 1}', '{"epoch": 3}', '{"epoch": 1e400, "seconds": 1}'])
def test_damaged_progress_is_no_progress(tmp_path, text):
    (begun(tmp_path, "0", 12) / PROGRESS).write_text(text)
    (job,) = survey(tmp_path)
    assert (job.epochs_done, job.score) == (0, None)


def test_the_time_left_is_that_of_the_jobs_that_this_start_has_run():
    """Half a job of two was done in 60 s, besides one that was done before: one and a half take 180 s."""
    began = time.time() - 60
    finished = Job(Status.FINISHED, None, time=began - 900, score=0.75)
    running = Job(Status.RUNNING, None, epochs_done=1, epochs=2, time=began + 1)
    jobs = [finished, running, Job(Status.NOT_STARTED, None)]
    assert summary(jobs, began) == "3 jobs: 1 finished, 1 running, best score 0.750, 3 min left"
    assert summary(jobs, began, 9).startswith("9 jobs: ")
    assert summary(jobs[2:], began) == "1 job: none begun"


@pytest.mark.parametrize("in_this_process", [True, False])
def test_one_bar_over_the_whole_sweep_with_its_score_from_the_first_look(tmp_path, monkeypatch, in_this_process):
    monkeypatch.setattr("learning_to_learn.runs.monitor.LOOK_SECONDS", 0.02)
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80)
    with Monitor(console) as monitor:
        jobs = [["arch=lstm", f"seed={number}"] for number in range(3)]
        (tmp_path / SWEEP).write_text(
            json.dumps({"arguments": [], "jobs": jobs, "in_this_process": in_this_process, "started": time.time()})
        )
        monitor.watch(tmp_path)
        run = begun(tmp_path, "0", 75)
        with held(run, lambda: None):
            deadline = time.monotonic() + 20
            while "1 running" not in file.getvalue():
                assert time.monotonic() < deadline
                time.sleep(0.02)
    drawn = file.getvalue()
    assert "3 jobs: 1 running, best score 0.250, " in drawn
    assert " left" in drawn
    print("interrupted", file=file)
    assert file.getvalue().endswith("\x1b[?25hinterrupted\n")  # the cursor is back, and nothing is drawn below


def test_without_a_terminal_it_is_plain_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("learning_to_learn.runs.monitor.SAY_SECONDS", 0.0)
    begun(tmp_path, "0", 75, status="failed", error="out of luck", seconds=1.0)
    (tmp_path / SWEEP).write_text(json.dumps({"arguments": [], "jobs": [], "in_this_process": False, "started": time.time()}))
    with Monitor() as monitor:
        monitor._began -= 60
        monitor.watch(tmp_path)
    said = capsys.readouterr().err
    assert said.splitlines() == ["error: 0: out of luck", "1 job: 1 failed, best score 0.250"]


def test_a_job_of_a_running_sweep_is_named_by_what_varies(tmp_path):
    """Also one of a search, whose values nobody knew before."""
    jobs = [[f"arch={arch}", "trainer=quick", f"optimizer.lr={lr}"] for arch in ("lstm", "elman") for lr in (0.1, 1e-05)]
    (tmp_path / SWEEP).write_text(json.dumps({"arguments": [], "jobs": jobs}))
    assert name_in_sweep(tmp_path, jobs[1]) == "lstm lr=1e-05"
    asked = ["arch=lstm", "hydra/sweeper=optuna", "optimizer.lr=interval(0.001,0.1)"]
    (tmp_path / SWEEP).write_text(json.dumps({"jobs": None, "arguments": asked}))
    assert name_in_sweep(tmp_path, ["arch=lstm", "optimizer.lr=0.0123"]) == "lr=0.0123"
