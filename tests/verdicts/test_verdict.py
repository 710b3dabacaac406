"""A small verdict from end to end: run, stopped, resumed, used again, checked, and asked for from Python."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from learning_to_learn import unit, verdict
from learning_to_learn.commands import verdict as command
from learning_to_learn.errors import UserError
from learning_to_learn.results.statistics import interquartile_mean, seed_p
from learning_to_learn.runs.run_folder import read_json, write_json
from learning_to_learn.training.metrics import success_interval
from learning_to_learn.verdicts.store import read_replicas

ROOT = Path(__file__).parents[2]
PLAN = ["settings=2", "replicas=2", "fresh=3", "epochs=2", "family.sequence_length=12"]
WORDS = ["arch=lstm,elman", "family=boolean", *PLAN]
REPORT = Path("reports/verdict.md")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verdict")
    with contextlib.chdir(folder):
        assert command._main(WORDS) == 0
    return folder


@pytest.fixture
def here(done, tmp_path):
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    return tmp_path


def found(folder):
    """The results of a report, without times."""
    rows = read_replicas(folder / "reports/verdict").drop(columns="seconds")
    return rows.sort_values(["cell", "phase", "setting", "seed"]).reset_index(drop=True)


def test_the_report_is_what_its_replicas_say(done):
    rows, cells = found(done), pd.read_csv(done / "reports/verdict.csv").set_index("contender")
    record = read_json(done / "reports/verdict/record.json")
    names = {digest: one["contender"] for digest, one in record["cells"].items()}
    rows = rows.assign(contender=[names[one] for one in rows["cell"]])
    tuning, fresh = (rows[rows["phase"] == phase] for phase in ("tuning", "fresh"))
    assert set(names.values()) == {"lstm", "elman"}
    assert (set(tuning["seed"]), set(fresh["seed"])) == ({1000, 1001}, {0, 1, 2})
    for name in ("lstm", "elman"):
        mine = fresh[fresh["contender"] == name]
        means = (
            tuning[tuning["contender"] == name].assign(v=lambda f: f["validation"].clip(lower=0)).groupby("setting")["v"].mean()
        )
        assert set(mine["setting"]) == {means.idxmax()}
        scores = mine["score"].to_numpy()[:, None]
        assert cells.loc[name, "score"] == pytest.approx(interquartile_mean(np.maximum(scores, 0)), rel=1e-4)
        assert cells.loc[name, ["success_low", "success_high"]].tolist() == pytest.approx(success_interval(0, 3), rel=1e-4)
    text = (done / REPORT).read_text(encoding="utf-8")
    difference = (fresh[fresh["contender"] == "elman"]["score"].clip(lower=0).to_numpy()
                  - fresh[fresh["contender"] == "lstm"]["score"].clip(lower=0).to_numpy())  # fmt: skip
    assert f"| elman | {difference.mean():+.3f} | {seed_p(difference):.2g} |" in text
    assert "with 3 fresh seeds no contrast can reach p < 0.05" in text
    for picture in ("scores", "success", "tuning", "frontiers"):
        assert (done / f"reports/verdict/{picture}.png").stat().st_size > 1000


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_more_settings_keep_it(here, capsys):
    before = {path: path.stat().st_mtime_ns for path in here.rglob("last.ckpt")}
    expected = found(here)
    assert command._main(WORDS) == 0
    assert "about 0 s of work left (0 of 2 cells)" in capsys.readouterr().err
    pd.testing.assert_frame_equal(found(here), expected)
    assert command._main(["arch=elman", "family=boolean", *PLAN[1:], "settings=3"]) == 0
    after = {path: path.stat().st_mtime_ns for path in here.rglob("last.ckpt")}
    assert before.items() <= after.items()
    assert 1 <= len(after) - len(before) <= 2  # the third setting, and fresh seeds at it where it is the best


def test_a_report_that_is_written_again_still_says_what_training_took(here):
    record = here / "reports/verdict/record.json"
    calls = read_json(record)["calls"]
    assert len(calls) == 1
    assert calls[0]["took"] > 0
    assert calls[0]["estimated"] > 0
    assert command._main(WORDS) == 0
    assert read_json(record)["calls"] == calls
    assert "- a call that trained: " in (here / REPORT).read_text(encoding="utf-8")
    for damaged in (7, [7], [{"took": "long", "estimated": 1}], [{"took": float("inf"), "estimated": 1}]):
        write_json(record, {**read_json(record), "calls": damaged})
        assert command._main(WORDS) == 0
        assert read_json(record)["calls"] == []


def test_without_its_runs_a_report_is_enough(here, capsys):
    expected = found(here)
    shutil.rmtree(here / "runs")
    assert command._main(WORDS) == 0
    assert not list(here.rglob("last.ckpt"))
    pd.testing.assert_frame_equal(found(here), expected)


def test_one_that_is_stopped_says_how_to_go_on_and_is_the_same_in_the_end(done, tmp_path, monkeypatch, capsys):
    from learning_to_learn.jobs import sweeps

    real, calls = sweeps.start, []

    def start(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(sweeps, "start", start)
    with pytest.raises(KeyboardInterrupt):
        command._main(WORDS)
    assert f"interrupted; resume it with: python -m src.verdict {' '.join(WORDS)}\n" in capsys.readouterr().err
    assert not (tmp_path / REPORT).exists()
    assert command._main(WORDS) == 0
    assert len(calls) == 5  # the first tuning was done
    pd.testing.assert_frame_equal(found(tmp_path), found(done))


def test_a_replica_is_trained_again_to_the_bit(here, capsys):
    assert command._main(["check", str(REPORT), "seed=1"]) == 0
    assert capsys.readouterr().out.endswith("equal to the bit\n")
    path = here / "reports/verdict/replicas.csv.gz"
    rows = read_replicas(path.parent)
    rows.assign(mse=np.nextafter(rows["mse"], 1)).to_csv(path, index=False)
    assert command._main(["check", str(REPORT), "seed=1"]) == 1
    assert "not equal, although versions, processor and the first epoch are" in capsys.readouterr().out
    record = read_json(path.parent / "record.json")
    for one in record["cells"].values():  # as if the default were another one when the report was made
        one["shared"]["trainer.curriculum_part"] = 0.1
    write_json(path.parent / "record.json", record)
    assert command._main(["check", str(REPORT), "seed=1"]) == 1
    assert "cannot be expected to be: a default of this checkout, which the report does not record" in capsys.readouterr().out
    record["machine"]["processor"] = "abacus"
    write_json(path.parent / "record.json", record)
    assert command._main(["check", str(REPORT), "seed=1"]) == 1
    assert "cannot be expected to be: processor is" in capsys.readouterr().out


def test_a_record_from_elsewhere_cannot_command(here):
    path = here / "reports/verdict/record.json"
    record = read_json(path)
    for one in record["cells"].values():
        one["words"]["+hydra.callbacks.x"] = "{_target_: os.getcwd}"
    write_json(path, record)
    with pytest.raises(UserError, match="not taken from a file: it adds or removes a key"):
        command._main(["check", str(REPORT)])


@pytest.mark.slow
def test_a_cell_of_ones_own_is_placed_among_those_that_were_measured(here):
    import torch

    @unit(states=1)
    def my_unit(z, gate, v):
        v = torch.sigmoid(gate) * v + torch.tanh(z)
        return torch.tanh(v), v

    table = verdict(my_unit, families=["boolean"], budget="1h", settings=PLAN)
    assert set(table.index.get_level_values("contender")) == {"my_unit", "lstm", "elman"}
    parameters = table["parameters"].droplevel("problem")
    assert abs(parameters["my_unit"] - parameters["lstm"]) < 40
    text = (here / "reports/verdict_my_unit.md").read_text(encoding="utf-8")
    assert "| my_unit |" in text
    again = {path: path.stat().st_mtime_ns for path in here.rglob("last.ckpt")}
    verdict(my_unit, families=["boolean"], budget="1h", settings=PLAN)
    assert {path: path.stat().st_mtime_ns for path in here.rglob("last.ckpt")} == again
    with pytest.raises(UserError, match="unknown arch or unit 'nothing'"):
        verdict("nothing")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_every_launcher_gives_the_same_verdict(done, tmp_path, launcher):
    assert command._main([*WORDS, f"launcher={launcher}"]) == 0
    pd.testing.assert_frame_equal(found(tmp_path), found(done))


@pytest.mark.slow
def test_one_that_is_killed_goes_on(done, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-m", "src.verdict", *WORDS], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
        )
        count = len(list(tmp_path.rglob("result.json")))
        while process.poll() is None and len(list(tmp_path.rglob("result.json"))) <= count:
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=300)[1].decode()
        if number == signal.SIGINT and process.returncode:
            assert process.returncode == 130
            assert "resume it with: python -m src.verdict arch=lstm,elman" in said
    assert command._main(WORDS) == 0
    pd.testing.assert_frame_equal(found(tmp_path), found(done))
