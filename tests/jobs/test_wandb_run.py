"""wandb: what a run sends to a server, and that no server can harm a run."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wandb

from learning_to_learn.dashboard import workspace
from learning_to_learn.jobs.job import run_job
from learning_to_learn.jobs.wandb_run import answers, group_of, name_of, thinned, wandb_mode
from learning_to_learn.runs.run_folder import get_status, read_json, set_status, write_json
from tests.commands.test_train import SMALL
from tests.helpers import job
from tests.jobs.test_job import interrupt_after
from tests.jobs.wandb_server import WandbServer

ROOT = Path(__file__).parents[2]
ONLINE = [*SMALL[:-1], "logger.mode=online"]


def environment(server):
    return {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "a" * 40}


def command(folder, *more):
    return [sys.executable, "-m", "src.train", *ONLINE, f"hydra.run.dir={folder}", *more]


def epochs_logged(folder):
    with (folder / "metrics.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def test_history_config_plots_and_files_arrive(tmp_path):
    with WandbServer() as server:
        done = subprocess.run(command(tmp_path / "run", "logger.artifact=true", "logger.group=mine"), cwd=ROOT,
                              env=environment(server), capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [row for row in server.history.values() if "train/mse" in row]
    assert [row["epoch"] for row in rows] == epochs_logged(tmp_path / "run")
    logged = {key for row in server.history.values() for key in row}
    assert workspace.metrics_named() <= logged
    assert {"test/curve_table", "test/stream_table", "score/replicas"} <= logged
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert server.summary["test/score_median"] == pytest.approx(result["score_median"])
    assert server.config["optimizer"]["value"]["lr"] == 0.02
    assert server.config["topology"]["value"] == "H1: 6 memory_cell + 6 neuron"
    assert "mine" in server.groups
    assert {"lstm", "boolean"} <= server.tags
    assert server.uploads["artifact/best.ckpt"] == (tmp_path / "run/checkpoints/best.ckpt").read_bytes()
    assert server.completed
    assert not [u for u in server.unknown if "otel" not in u]


@pytest.mark.slow
def test_a_server_that_dies_loses_nothing(tmp_path):
    """The run goes on and ends, and what was not sent can be synced to another server."""
    folder = tmp_path / "run"
    more = ["trainer.epochs=1500", "trainer.evaluate_every=50", "family.sequence_length=64", "trainer.sequences=200"]
    with WandbServer() as server:
        process = subprocess.Popen(command(folder, *more), cwd=ROOT, env=environment(server), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not server.runs:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
    said = process.communicate(timeout=200)[1]
    assert process.returncode == 0, said
    assert "wandb sync --no-skip-online" in said
    assert get_status(folder) == "finished"
    rows = epochs_logged(folder)
    assert rows[-1] == 1500
    assert len([r for r in server.history.values() if "train/mse" in r]) < len(rows)
    (kept,) = (folder / "wandb").glob("run-*")
    with WandbServer() as other:
        sync = [str(Path(sys.executable).parent / "wandb"), "sync", "--no-skip-online", str(kept)]
        synced = subprocess.run(
            sync, cwd=tmp_path, env=environment(other), capture_output=True, text=True, check=False, timeout=120
        )
    assert synced.returncode == 0, synced.stderr
    assert [row["epoch"] for row in other.history.values() if "train/mse" in row] == rows


@pytest.mark.parametrize("what", ["nobody listens", "no key"])
def test_without_a_server_or_key_the_run_is_logged_offline(tmp_path, what):
    with WandbServer() as server:
        env = environment(server)
        if what == "no key":
            del env["WANDB_API_KEY"]
            env["HOME"] = env["WANDB_CONFIG_DIR"] = str(tmp_path)
            env["NETRC"] = str(tmp_path / "netrc")
        else:
            env["WANDB_BASE_URL"] = "http://127.0.0.1:9"
        began = time.monotonic()
        done = subprocess.run(command(tmp_path / "run"), cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    assert done.stderr.count("wandb") >= 1
    assert "Traceback" not in done.stderr
    assert not server.runs


def test_a_port_that_answers_is_told_from_one_that_does_not():
    with WandbServer() as server:
        assert answers(server.url)
    assert not answers("http://127.0.0.1:9")
    assert not answers("http://nowhere.invalid")


def test_the_workspace_and_the_report_serialise_and_name_only_what_is_logged(tmp_path):
    found = json.loads(json.dumps(workspace.specifications("someone", "project")))
    text = json.dumps(found)
    for metric in workspace.metrics_named():
        assert metric in text
    panels = json.dumps(found["workspace"]["spec"])
    assert found["workspace"]["entity"] == "someone"
    assert '"viewType": "Run History Line Plot"' in panels
    assert "Success by topology and family" in text
    charts = [panel for section in found["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
              for panel in section["panels"] if panel["viewType"] == "Vega2"]  # fmt: skip
    curve = wandb.plot.line_series([1], [[0.5]], keys=["seed_0"])
    curve.set_key(workspace.CURVES)
    of_wandb, mine = curve.spec.config_value["panel_config"], charts[0]["config"]
    assert mine["panelDefId"] == of_wandb["panelDefId"]
    assert mine["fieldSettings"] == of_wandb["fieldSettings"]
    assert curve.spec.table_key in json.dumps(mine)
    assert workspace.push([], {"into": str(tmp_path / "d.json")}) == 0
    assert set(json.loads((tmp_path / "d.json").read_text())) == {"workspace", "report"}


@pytest.mark.parametrize(("length", "points"), [(1280, 128), (128, 128), (129, 65), (5, 5)])
def test_a_thinned_stream_keeps_its_peaks(length, points):
    curve = np.random.default_rng(0).uniform(size=length)
    times, (kept,) = thinned([curve])
    assert len(times) == len(kept) == points
    assert max(kept) == curve.max()
    assert set(kept) <= set(curve.tolist())
    assert times == sorted(set(times))


@pytest.fixture
def no_wandb_variables(monkeypatch):
    for key in [key for key in os.environ if key.startswith("WANDB_")]:
        monkeypatch.delenv(key)


@pytest.mark.usefixtures("no_wandb_variables")
@pytest.mark.parametrize(
    ("key", "environment", "mode"),
    [
        ("null", {}, "offline"),
        ("null", {"WANDB_MODE": "online"}, "online"),
        ("null", {"WANDB_MODE": "disabled"}, "disabled"),
        ("null", {"WANDB_MODE": "dryrun"}, "offline"),
        ("null", {"WANDB_DISABLED": "true", "WANDB_MODE": "online"}, "disabled"),
        ("offline", {"WANDB_MODE": "disabled"}, "offline"),
        ("online", {"WANDB_DISABLED": "true"}, "online"),
        ("disabled", {"WANDB_MODE": "online"}, "disabled"),
    ],
)
def test_a_key_wins_over_the_environment_and_that_over_offline(monkeypatch, key, environment, mode):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(job(f"logger.mode={key}")) == mode


@pytest.mark.parametrize(
    ("jobs", "mine", "name"),
    [
        ([["arch=lstm", "seed=0"], ["arch=elman", "seed=0"]], 0, "lstm boolean seed=0"),
        ([["optimizer.lr=0.01", "trainer=quick"], ["optimizer.lr=0.1", "trainer=quick"]], 1, "lstm boolean lr=0.1 seed=8"),
        ([["optimizer.lr=0.01", "seed=8"], ["optimizer.lr=0.01", "seed=9"]], 0, "lstm boolean seed=8"),
        (None, 0, "lstm boolean seed=8"),
    ],
)
def test_a_run_is_named_by_what_its_sweep_varies(tmp_path, jobs, mine, name):
    folder = tmp_path / "2026-01-31" / "12-00-00" / "0_lstm_boolean"
    folder.mkdir(parents=True)
    words = jobs[mine] if jobs else ["seed=8", "trainer=quick"]
    if jobs:
        write_json(folder.parent / "sweep.json", {"arguments": [], "jobs": jobs, "started": 1.0})
    set_status(folder, "running", overrides=words)
    config = job(
        *[word for word in words if "trainer" not in word], *([] if "seed=0" in words or "seed=8" in words else ["seed=8"])
    )
    assert name_of(config, folder) == name
    assert group_of(config, folder, "12-00-00") == "2026-01-31 12-00-00"
    assert group_of(config, folder, None) == "lstm"


@pytest.mark.usefixtures("no_wandb_variables")
def test_wandb_sync_keeps_the_whole_history_of_a_resumed_run(tmp_path, monkeypatch):
    variables = {"WANDB_PROJECT": "mine", "WANDB_ENTITY": "us", "WANDB_TAGS": "a,b", "WANDB_DIR": str(tmp_path / "elsewhere")}
    (tmp_path / "elsewhere").mkdir()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config, folder = (
        job("logger.mode=null", "logger.notes=my notes", "logger.tags=[draft]", "trainer.epochs=12"),
        tmp_path / "run",
    )
    before = dict(os.environ)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run_job(config, folder)
    said = read_json(folder / "wandb.json")
    assert (said["project"], said["entity"], said["group"], said["mode"]) == ("mine", "us", "lstm", "offline")
    monkeypatch.setenv("WANDB_PROJECT", "another")
    time.sleep(1.0)  # wandb names its folders by the second
    assert run_job(config, folder).status == "finished"
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"} == before  # that is wandb's own
    assert read_json(folder / "wandb.json") == said
    folders = sorted((tmp_path / "elsewhere" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert not (folder / "wandb").exists()
    with WandbServer() as server:
        sync = [str(Path(sys.executable).parent / "wandb"), "sync", *map(str, folders)]
        done = subprocess.run(
            sync, cwd=tmp_path, env=environment(server), capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 0, done.stderr
    epochs = epochs_logged(folder)
    assert [row["epoch"] for _, row in sorted(server.history.items()) if "train/mse" in row] == epochs == [2, 4, 6, 8, 10, 12]
    scores = [row["score/median"] for row in server.history.values() if "score/median" in row]
    assert server.summary["score/median"]["max"] == pytest.approx(max(scores))
    assert {"mine"} <= {project.split("/")[1] for project in server.projects}
    assert "lstm boolean seed=0" in server.names
    assert "my notes" in server.notes
    assert {"draft", "a", "b", "lstm", "boolean"} <= server.tags
    (table,) = [
        json.loads(content) for name, content in server.uploads.items() if "score/curves_table" in name and "media" in name
    ]
    assert {row[table["columns"].index("lineKey")] for row in table["data"]} == {"seed_0", "seed_1"}
    assert {row[table["columns"].index("step")] for row in table["data"]} == set(epochs)
