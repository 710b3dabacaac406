"""A job in its folder: what it writes, that it resumes exactly, and how it fails."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch

import learning_to_learn.jobs.train as training
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.job import run_job
from learning_to_learn.jobs.measuring import measure
from learning_to_learn.jobs.metrics_log import METRICS
from learning_to_learn.jobs.sweeps import resume
from learning_to_learn.runs.checkpoint import CHECKPOINT, PREVIOUS, load_checkpoint
from learning_to_learn.runs.run_folder import RunFolder, Status, get_status
from learning_to_learn.runs.trained import load_run
from learning_to_learn.training import sequences
from tests.helpers import job


def rows(path):
    """Without the times, which no two runs share."""
    with path.open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("time")} for row in csv.DictReader(file)]


def result(folder):
    found = json.loads((folder / "result.json").read_text())
    return {k: v for k, v in found.items() if k not in ("seconds", "sha256")}


def interrupt_after(monkeypatch, epochs):
    """As if the user pressed Ctrl-C while that epoch was trained."""

    class Checkpointing(training.Checkpointing):
        def on_train_batch_end(self, trainer, pl_module, *more):
            if pl_module.epochs_done >= epochs:
                signal.raise_signal(signal.SIGINT)
            super().on_train_batch_end(trainer, pl_module, *more)

    monkeypatch.setattr(training, "Checkpointing", Checkpointing)
    monkeypatch.setattr(sequences, "AT_A_TIME", 0)  # epochs one by one, so that one in the middle can be the last


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
    monkeypatch.setattr(training, "MetaLearner", lambda config: 1 / 0)
    assert run_job(job(), tmp_path).status == "failed"
    assert "Traceback" in (tmp_path / "train.log").read_text()
    assert json.loads((tmp_path / "status.json").read_text())["error"] == "ZeroDivisionError: division by zero"
    said = capsys.readouterr().err
    assert "division by zero" in said
    assert "Traceback" not in said


def test_a_bad_value_is_one_line_without_a_traceback(tmp_path, capsys):
    assert run_job(job("optimizer.lr=-1"), tmp_path / "run").refused
    assert not (tmp_path / "run").exists()
    assert capsys.readouterr().err == "error: optimizer.lr=-1.0: it must be a number above 0\n"


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
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(b"PK")
    status = (tmp_path / "status.json").read_bytes()
    outcome = run_job(config, tmp_path)
    assert (outcome.status, outcome.refused) == ("failed", True)
    assert (tmp_path / METRICS).read_bytes() == metrics
    assert (tmp_path / "status.json").read_bytes() == status


@pytest.mark.parametrize("kind", ["plain", "carried"])
def test_a_run_resumed_from_the_checkpoint_before_the_last_is_an_unbroken_one(tmp_path, monkeypatch, capsys, kind):
    """The rows of metrics.csv past the older checkpoint are written anew."""
    config = job(*MORE[kind], "trainer.checkpoint_seconds=0")
    run_job(config, tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run_job(config, tmp_path / "broken")
    assert [row["epoch"] for row in rows(tmp_path / "broken" / METRICS)] == ["2", "4"]
    checkpoint = tmp_path / "broken" / CHECKPOINT
    raw = bytearray(checkpoint.read_bytes())
    weights = load_checkpoint(tmp_path / "broken")["state_dict"]["weights"].numpy().tobytes()
    raw[raw.index(weights)] ^= 1
    checkpoint.write_bytes(raw)
    capsys.readouterr()
    assert run_job(config, tmp_path / "broken").status == "finished"
    said = "the checkpoint before it is used, of epoch 3"
    assert said in capsys.readouterr().err
    assert said in (tmp_path / "broken" / "train.log").read_text()
    one, other = (load_checkpoint(tmp_path / name)["state_dict"]["weights"] for name in ("unbroken", "broken"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert rows(tmp_path / "unbroken" / METRICS) == rows(tmp_path / "broken" / METRICS)
    assert result(tmp_path / "unbroken") == result(tmp_path / "broken")


READERS = (load_run, lambda folder: measure(folder, {}))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "train.log"}


def test_a_damaged_checkpoint_falls_back_wherever_a_run_is_read(tmp_path, caplog):
    run_job(job("trainer.checkpoint_seconds=0"), tmp_path)
    expected, before = result(tmp_path), load_run(tmp_path).weights
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:-100])
    caplog.clear()
    torch.testing.assert_close(load_run(tmp_path).weights, before, rtol=0, atol=0)
    measure(tmp_path, {})
    assert result(tmp_path / "evaluations" / "as_trained") == expected
    assert caplog.text.count("last.ckpt is damaged or not ours") == 2
    assert caplog.text.count("the checkpoint before it is used, of epoch 6") == 2
    (tmp_path / PREVIOUS).write_bytes(b"")
    files = contents(tmp_path)
    for read in READERS:
        with pytest.raises(UserError, match="the one before it, cannot be used either"):
            read(tmp_path)
    assert contents(tmp_path) == files


def test_a_run_whose_config_was_changed_is_refused_and_left_alone(tmp_path):
    run_job(job(), tmp_path)
    path = tmp_path / "config.yaml"
    text = path.read_text()
    for old, new in [("epochs: 6", "epochs: 7"), ("seed: 0", "seed: 1"), ("replicas: 2\n", ""), ("seed", "{")]:
        path.write_text(text.replace(old, new))
        files = contents(tmp_path)
        assert run_job(job(), tmp_path).refused
        for read in (*READERS, resume):
            with pytest.raises(UserError, match=r"config\.yaml .*(was changed|lacks|is damaged)"):
                read(tmp_path)
        assert contents(tmp_path) == files


def test_what_changes_no_number_may_be_changed_by_hand(tmp_path):
    run_job(job(), tmp_path)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(
        text.replace("threads: null", "threads: 1").replace("mode: disabled", "mode: offline")
    )
    assert load_run(tmp_path).config.threads == 1


def test_replicas_that_end_worse_than_no_learning_are_named(tmp_path, capsys):
    """A rate that throws the weights about: no error stays below that of a constant guess."""
    config = job("optimizer=sgd", "optimizer.lr=1000", "optimizer.clip=null", "seed=7")
    run_job(config, tmp_path)
    found = RunFolder(tmp_path)
    bad = [str(row.seed) for row in found.replicas() if not row.score >= 0]
    assert bad
    assert found.result()["worse_than_no_learning"] == len(bad)
    said = f"worse than no learning (score < 0): seed {', '.join(bad)}"
    assert said in capsys.readouterr().err
    assert said in (tmp_path / "train.log").read_text()


def test_wandb_failing_does_not_stop_a_run(tmp_path, monkeypatch):
    import wandb

    def refuse(**_):
        raise wandb.errors.CommError("no server")

    monkeypatch.setattr(wandb, "init", refuse)
    assert run_job(job("logger.mode=online"), tmp_path).status == "finished"
    assert "wandb cannot start" in (tmp_path / "train.log").read_text()
