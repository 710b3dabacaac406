"""A job in its folder: what it writes, that it resumes exactly, and how it fails."""

import csv
import json
import os
from pathlib import Path

import pytest
import torch

import learning_to_learn.jobs.job as jobs
from learning_to_learn.jobs.job import run_job
from learning_to_learn.jobs.metrics_log import METRICS
from learning_to_learn.jobs.signals import Interruptible
from learning_to_learn.runs.checkpoint import load_checkpoint
from learning_to_learn.runs.run_folder import Status, get_status
from tests.helpers import job


def rows(path):
    """Without the times, which no two runs share."""
    with path.open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("time")} for row in csv.DictReader(file)]


def result(folder):
    found = json.loads((folder / "result.json").read_text())
    return {k: v for k, v in found.items() if k != "seconds"}


def interrupt_after(monkeypatch, epochs):
    """As if the user pressed Ctrl-C while that epoch was trained."""

    class Pressed(Interruptible):
        @property
        def asked(self):
            return self.learner is not None and self.learner.epochs_done >= epochs

        @asked.setter
        def asked(self, value):
            pass

        learner = None

    class Checkpointing(jobs.Checkpointing):
        def on_train_start(self, trainer, pl_module):
            Pressed.learner = pl_module
            super().on_train_start(trainer, pl_module)

    monkeypatch.setattr(jobs, "Interruptible", Pressed)
    monkeypatch.setattr(jobs, "Checkpointing", Checkpointing)


def test_a_run_folder_holds_everything(tmp_path):
    assert run_job(job("logger.mode=offline"), tmp_path / "run").status == "finished"
    found = {p.relative_to(tmp_path / "run").as_posix() for p in (tmp_path / "run").rglob("*")}
    assert {
        "config.yaml", "provenance.json", "status.json", "train.log", "metrics.csv", "replicas.csv", "curve.csv",
        "result.json", "checkpoints/last.ckpt", "figures/curve.png", "figures/stream.png", "wandb.json",
    } <= found  # fmt: skip
    assert [r["epoch"] for r in rows(tmp_path / "run" / METRICS)] == ["2", "4", "6"]
    start = json.loads((tmp_path / "run" / "provenance.json").read_text())["starts"][0]
    assert {"revision", "versions", "platform"} <= set(start)
    assert any((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


MORE = {
    "plain": [],
    "carried": ["family.carry_state=true", "arch.gradient=rtrl", "arch.layers=[{memory_cell: 2, neuron: 2}]"],
    "rmsprop": ["optimizer=rmsprop", "family.corpus=fixed"],
    "soap": ["optimizer=soap", "optimizer.refresh=3"],
}


@pytest.mark.parametrize("after", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", MORE)
def test_a_resumed_run_is_an_unbroken_one(tmp_path, monkeypatch, kind, after):
    config = job(*MORE[kind])
    run_job(config, tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(KeyboardInterrupt):
            run_job(config, tmp_path / "broken")
    assert get_status(tmp_path / "broken") == "interrupted"
    assert load_checkpoint(tmp_path / "broken")["learning"]["epochs_done"] == after
    assert run_job(config, tmp_path / "broken").status == "finished"
    one, other = (load_checkpoint(tmp_path / name)["state_dict"]["weights"] for name in ("unbroken", "broken"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert rows(tmp_path / "unbroken" / METRICS) == rows(tmp_path / "broken" / METRICS)
    assert result(tmp_path / "unbroken") == result(tmp_path / "broken")


def test_metrics_past_the_checkpoint_are_dropped_on_resume(tmp_path, monkeypatch):
    """A run that was killed may have logged more than its checkpoint knows, and have cut off its last row."""
    config = job()
    run_job(config, tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run_job(config, tmp_path / "broken")
    with (tmp_path / "broken" / METRICS).open("a") as file:
        file.write((tmp_path / "unbroken" / METRICS).read_text().splitlines()[2] + "\n6,0.1")
    run_job(config, tmp_path / "broken")
    assert rows(tmp_path / "unbroken" / METRICS) == rows(tmp_path / "broken" / METRICS)


def test_a_finished_run_is_not_run_again(tmp_path):
    run_job(job(), tmp_path)
    before = (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    assert run_job(job(), tmp_path).status == "finished"
    assert (tmp_path / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_a_folder_of_another_run_is_left_alone(tmp_path, capsys):
    run_job(job(), tmp_path)
    before = (tmp_path / "result.json").read_text()
    assert run_job(job("seed=5"), tmp_path).status == "failed"
    assert "another configuration" in capsys.readouterr().err
    assert (tmp_path / "result.json").read_text() == before
    assert get_status(tmp_path) == "finished"


def test_a_failing_job_writes_its_traceback_to_its_own_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jobs, "MetaLearner", lambda config: 1 / 0)
    assert run_job(job(), tmp_path).status == "failed"
    assert "Traceback" in (tmp_path / "train.log").read_text()
    assert json.loads((tmp_path / "status.json").read_text())["error"] == "ZeroDivisionError: division by zero"
    said = capsys.readouterr().err
    assert "division by zero" in said
    assert "Traceback" not in said


def test_a_bad_value_is_one_line_without_a_traceback(tmp_path, capsys):
    assert run_job(job("optimizer.lr=-1"), tmp_path).status == "failed"
    assert "Traceback" not in (tmp_path / "train.log").read_text()
    assert capsys.readouterr().err.count("\n") == 1


def test_lightning_takes_no_part_in_slurm(tmp_path, monkeypatch, capfd):
    """Where `srun` is installed, and within a job of SLURM, nothing is warned of and no file of Lightning's is loaded."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{srun.parent}:{os.environ['PATH']}")
    for slurm_tasks in (None, "1"):
        if slurm_tasks:
            monkeypatch.setenv("SLURM_NTASKS", slurm_tasks)
            Path("hpc_ckpt_1.ckpt").write_bytes(b"somebody's pickle")
        outcome = run_job(job(), tmp_path / f"run{slurm_tasks}")
        assert outcome.status is Status.FINISHED, outcome.error
    assert capfd.readouterr().err.count("srun") == 0


def test_a_damaged_checkpoint_stops_a_resume_and_loses_nothing(tmp_path, monkeypatch):
    config = job()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run_job(config, tmp_path)
    metrics = (tmp_path / METRICS).read_bytes()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"PK")
    assert run_job(config, tmp_path).status == "failed"
    assert (tmp_path / METRICS).read_bytes() == metrics


def test_wandb_failing_does_not_stop_a_run(tmp_path, monkeypatch):
    import wandb

    def refuse(**_):
        raise wandb.errors.CommError("no server")

    monkeypatch.setattr(wandb, "init", refuse)
    assert run_job(job("logger.mode=online"), tmp_path).status == "finished"
    assert "wandb cannot start" in (tmp_path / "train.log").read_text()
