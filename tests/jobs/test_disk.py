"""A disk that is full, a folder that vanishes or is of the wrong kind: one line, and a run that resumes once there is room."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import learning_to_learn.jobs.job as jobs
import learning_to_learn.jobs.train as training
from learning_to_learn.commands import train
from learning_to_learn.errors import UserError
from learning_to_learn.jobs import evaluation_files, metrics_log
from learning_to_learn.jobs.job import run_job
from learning_to_learn.runs.checkpoint import load_checkpoint
from learning_to_learn.runs.run_folder import get_status
from tests.helpers import job

ROOT = Path(__file__).parents[2]
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert run_job(job(), folder).status == "finished"
    return results(folder)


def results(folder):
    found = json.loads((folder / "result.json").read_text())
    return load_checkpoint(folder)["state_dict"]["weights"].tolist(), {
        k: v for k, v in found.items() if k not in ("seconds", "sha256")
    }


def full_after(patch, writes):
    """Let the disk be full after so many files, and count those that are tried."""
    tried = []

    def limited(original):
        def write(*arguments, **options):
            tried.append(arguments)
            if len(tried) > writes:
                raise FULL
            return original(*arguments, **options)

        return write

    for place, name in ((Path, "write_text"), (torch, "save"), (metrics_log, "append_row"), (evaluation_files, "save")):
        patch.setattr(place, name, limited(getattr(place, name)))
    return tried


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_at_any_write(tmp_path, monkeypatch, capsys, unbroken, every):
    with monkeypatch.context() as patch:
        tried = full_after(patch, 1000)
        assert run_job(job(), tmp_path / "whole").status == "finished"
        count = len(tried)
    assert count >= 10
    for writes in range(0, count, every):
        folder = tmp_path / f"full{writes}"
        with monkeypatch.context() as patch:
            full_after(patch, writes)
            outcome = run_job(job(), folder)
        said = capsys.readouterr().err
        assert outcome.status == "failed"
        assert "No space left on device" in said
        assert len([line for line in said.splitlines() if ": epoch " not in line]) == 1  # a slow disk lets a look be shown
        assert get_status(folder) in (None, "running", "failed")  # what could still be written
        assert not list(folder.rglob(".*.json.*"))
        assert run_job(job(), folder).status == "finished"
        assert results(folder) == unbroken


@pytest.mark.parametrize("step", ["save_checkpoint", "evaluate", "write_evaluation", "draw_pictures"])
def test_a_folder_that_is_removed_while_the_job_runs_is_not_made_again(tmp_path, monkeypatch, capsys, step):
    place = jobs if hasattr(jobs, step) else training
    original = getattr(place, step)

    def removing(*arguments, **options):
        shutil.rmtree(tmp_path / "run")
        return original(*arguments, **options)

    monkeypatch.setattr(place, step, removing)
    assert run_job(job(), tmp_path / "run").status == "failed"
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run" / "status.json").exists()


@pytest.mark.parametrize("name", ["status.json", ".lock", "train.log", "metrics.csv", "result.json", "config.yaml"])
def test_a_folder_named_as_a_file_of_ours_is_refused(tmp_path, capsys, name):
    (tmp_path / "run" / name).mkdir(parents=True)
    assert run_job(job(), tmp_path / "run").refused
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


@pytest.mark.parametrize(
    "words", [[], ["hydra.run.dir=runs/x"], ["-m", "seed=0,1"], ["-m", "seed=0,1", "hydra.sweep.dir=runs"]]
)
def test_a_file_in_the_place_of_the_runs_is_refused(words):
    Path("runs").write_text("mine")
    with pytest.raises(UserError, match=r"cannot use .*runs") as error:
        train._main(["trainer=quick", *words])
    assert "\n" not in str(error.value)
    assert Path("runs").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("size", ["16k", "40k", "64k", "96k", "160k"])
def test_a_small_disk(tmp_path, size):
    """A real one, which fills up wherever it does; it is made larger, and the run goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root may mount")
    try:
        words = ["trainer=quick", "replicas=2", "evaluation.mappings=16", f"hydra.run.dir={disk / 'run'}"]

        def start(*more):
            return subprocess.run(
                [sys.executable, "-m", "src.train", *more], cwd=ROOT, capture_output=True, text=True, check=False
            )

        done = start(*words)
        assert done.returncode == 1, done.stderr
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        assert start(*words).returncode == 0
        assert get_status(disk / "run") == "finished"
    finally:
        subprocess.run(["umount", disk], check=True)
