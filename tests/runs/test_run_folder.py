"""Reading run folders: typed rows, and damaged files, which are named and leave the other runs alone."""

import json
import math
import subprocess
import sys

import pytest

from learning_to_learn.commands import sweep
from learning_to_learn.config import fingerprint, to_yaml
from learning_to_learn.dashboard.data import collect
from learning_to_learn.results.sweep_report import write_tables
from learning_to_learn.results.table import find_jobs, print_table, tabulate
from learning_to_learn.runs.run_folder import (
    CONFIG,
    METRICS,
    REPLICAS,
    RESULT,
    STATUS,
    DamagedRun,
    Replica,
    RunFolder,
    Status,
    held,
    set_status,
    write_json,
    write_rows,
)
from learning_to_learn.runs.sweep_folder import survey
from tests.helpers import job

COLUMNS = ("epoch", "score/median", "score/lower_quartile", "score/upper_quartile", "time/seconds")


def make_run(folder, name="0_lstm_boolean"):
    run = folder / name
    run.mkdir(parents=True)
    config = job(f"seed={int(name[0]) * 2}")
    (run / "config.yaml").write_text(to_yaml(config))
    write_rows(run / METRICS, [dict(zip(COLUMNS, (4, 0.5, 0.25, 0.75, 2.5), strict=True))])
    row = {"seed": 3, "mse": 0.125, "score": 0.5, "success": False, "cycles_to_learn": None, "mse_after_learning": 0.25}
    write_rows(run / REPLICAS, [row, {**row, "seed": 4, "success": True, "cycles_to_learn": 7}])
    numbers = dict.fromkeys(("no_learning", "no_learning_error", "floor", "floor_error", "score_median", "mse_median"), 0.25)
    (run / RESULT).write_text(json.dumps({**numbers, "seconds": 2.5, "epochs": 4, "replicas": 2, "successes": 1}))
    set_status(run, "finished", overrides=[name], fingerprint=fingerprint(config), epochs=4, seconds=2.5)
    return run


def test_rows_are_typed(tmp_path):
    run = RunFolder(make_run(tmp_path))
    assert run.status() is Status.FINISHED
    assert run.replicas() == [Replica(3, 0.125, 0.5, False, None, 0.25, None), Replica(4, 0.125, 0.5, True, 7, 0.25, None)]
    assert run.metrics() == [dict(zip(COLUMNS, (4, 0.5, 0.25, 0.75, 2.5), strict=True))]
    assert isinstance(run.metrics()[0]["epoch"], int)
    assert run.result()["successes"] == 1
    assert (run.curve(), run.stream(), run.damage()) == ([], [], "")


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    run = RunFolder(tmp_path / "nothing")
    assert run.status() is Status.NOT_STARTED
    assert (run.metrics(), run.replicas(), run.result()) == ([], [], None)


def test_running_without_a_process_is_killed(tmp_path):
    set_status(tmp_path, "running")
    assert RunFolder(tmp_path).status() is Status.KILLED
    with held(tmp_path, lambda: None):
        assert RunFolder(tmp_path).status() is Status.RUNNING


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("epochs: 6", "epochs: 7"),
        lambda text: text.replace("seed: 0", "seed: 1"),
        lambda text: text.replace("replicas: 2\n", ""),
        lambda text: text.replace("threads: null\n", ""),
        lambda text: text.replace("artifact: false\n", ""),
        lambda text: text + "seed.x: 1\n",
        lambda text: text.replace("seed: 0", "seed: 2026-01-31"),
        lambda text: "",
        lambda text: "{",
    ],
)
def test_a_config_that_is_not_what_the_run_began_with_is_damage(tmp_path, change):
    run = make_run(tmp_path)
    (run / CONFIG).write_text(change((run / CONFIG).read_text()))
    assert CONFIG in RunFolder(run).damage()
    assert tabulate(find_jobs(tmp_path)) == []


def test_a_result_of_replicas_that_diverged_is_null_on_disk_and_nan_in_memory(tmp_path):
    run = make_run(tmp_path)
    write_json(run / RESULT, {**RunFolder(run).result(), "score_median": float("nan"), "list": [float("inf"), 1.5]})
    assert json.loads((run / RESULT).read_text(), parse_constant=pytest.fail)["list"] == [None, 1.5]
    assert math.isnan(RunFolder(run).result()["score_median"])
    assert RunFolder(run).damage() == ""
    write_json(run / RESULT, {**RunFolder(run).result(), "floor": None})
    assert RESULT in RunFolder(run).damage()


DAMAGE = [
    (STATUS, '{"status": 5}'),
    (STATUS, '{"status": "finished", "epochs": "x"}'),
    (STATUS, "{"),
    (RESULT, '{"seconds": "x"}'),
    (RESULT, "[]"),
    (REPLICAS, "seed,mse\n1,2\n"),
    (REPLICAS, "seed,mse,score,success,cycles_to_learn,mse_after_learning\n1,x,0.5,True,,\n"),
    (METRICS, "epoch,score/median\nx,0.5\n"),
]


@pytest.mark.parametrize(("name", "text"), DAMAGE)
def test_a_damaged_run_is_left_out_and_named(tmp_path, capsys, name, text):
    make_run(tmp_path)
    broken = make_run(tmp_path, "1_lstm_boolean")
    (broken / name).write_text(text)
    read = {STATUS: RunFolder.status, RESULT: RunFolder.result, REPLICAS: RunFolder.replicas, METRICS: RunFolder.metrics}[name]
    with pytest.raises(DamagedRun, match=name):
        read(RunFolder(broken))
    jobs = find_jobs(tmp_path)
    (row,) = tabulate(jobs)
    assert row["replicas"] == 2
    assert print_table(tmp_path) == 1
    said = capsys.readouterr().err
    assert "1_lstm_boolean" in said
    assert name in said
    assert len(survey(tmp_path)) == 2
    sweep._main(["status", str(tmp_path)])
    assert "1_lstm_boolean" in capsys.readouterr().out
    whole, damaged = collect(tmp_path)["runs"]
    assert whole["successes"] == 1
    assert "successes" not in damaged
    assert name in damaged["error"]


def test_a_report_leaves_a_damaged_run_out(tmp_path, capsys):
    make_run(tmp_path)
    (make_run(tmp_path, "1_lstm_boolean") / REPLICAS).write_text("seed\n1\n")
    write_tables(find_jobs(tmp_path), tmp_path / "report", title="x")
    assert len((tmp_path / "report" / REPLICAS).read_text().splitlines()) == 3
    assert "left out" in capsys.readouterr().err


def test_looking_at_runs_imports_nothing_heavy():
    heavy = {"torch", "pytorch_lightning", "pandas", "matplotlib", "wandb", "numba", "hydra", "omegaconf", "rich"}
    code = (
        "import sys, learning_to_learn.results.table, learning_to_learn.runs.monitor;"
        f"print(sorted(set(sys.modules) & set({sorted(heavy)!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
