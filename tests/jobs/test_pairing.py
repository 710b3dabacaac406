"""`zip=[arch,optimizer.lr]`: the values of a sweep's keys are paired and not crossed, whatever launches the jobs."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from learning_to_learn.commands import sweep, train
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.pairing import words_of_jobs
from learning_to_learn.jobs.sweeps import start
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.runs.sweep_folder import survey
from tests.commands.test_train import SMALL


def jobs(words: str, *paired: str) -> list[str]:
    overrides = OverridesParser.create().parse_overrides(words.split())
    return [" ".join(job) for job in words_of_jobs(overrides, paired)]


def test_unpaired_values_are_crossed_as_by_hydra():
    assert jobs("a=1,2 b=3 a=4,5 c=x,y") == ["a=4 b=3 c=x", "a=4 b=3 c=y", "a=5 b=3 c=x", "a=5 b=3 c=y"]


def test_paired_values_go_together_and_the_others_are_crossed():
    assert jobs("a=1,2 seed=0,9 b.lr=3,4", "a", "lr") == [
        "a=1 seed=0 b.lr=3",
        "a=1 seed=9 b.lr=3",
        "a=2 seed=0 b.lr=4",
        "a=2 seed=9 b.lr=4",
    ]
    assert jobs("+a=1,2 b=range(0,2) c='x',y", "c", "b", "a") == ["+a=1 b=0 c='x'", "+a=2 b=1 c=y"]


@pytest.mark.parametrize(
    ("paired", "says"),
    [
        (["a", "c"], "zip=[a,c]: paired keys have equally many values, and a has 2, c has 3"),
        (["a", "d"], "zip=[a,d]: paired keys have equally many values, and a has 2, d has 1"),
        (["a"], "zip=[a]: name two keys"),
        (["a", "b", "a"], "name two keys of the sweep or more, each once"),
        (["a", "seed"], "unknown key 'seed': choose one of a, b, c, d"),
    ],
)
def test_what_cannot_be_paired_is_refused_in_one_line(paired, says):
    with pytest.raises(UserError) as error:
        jobs("a=1,2 b=3,4 c=5,6,7 d=8", *paired)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


PAIRS = ["-m", "arch=lstm,elman", "optimizer.lr=0.01,0.03", "zip=[arch,lr]", *SMALL]


@pytest.mark.parametrize("launcher", ["basic", "packed", "joblib"])
def test_a_paired_sweep_runs_and_is_resumed_by_every_launcher(launcher, tmp_path):
    folder = tmp_path / "s"
    assert train._main([*PAIRS, f"launcher={launcher}", f"hydra.sweep.dir={folder}"]) == 0
    before = [(job.settings["arch.name"], job.settings["optimizer.lr"]) for job in survey(folder)]
    assert before == [("lstm", 0.01), ("elman", 0.03)]
    asked = read_json(folder / "sweep.json") or {}
    assert [job[:2] for job in asked["jobs"]] == [
        ["arch=lstm", "optimizer.lr=0.01"],
        ["arch=elman", "optimizer.lr=0.03"],
    ]
    (folder / "1_elman_boolean" / "status.json").unlink()
    assert sweep._main(["resume", str(folder)]) == 0
    assert [job.status for job in survey(folder)] == ["finished"] * 2
    assert (read_json(folder / "sweep.json") or {})["jobs"] == asked["jobs"]


def test_a_study_pairs_with_a_key_beside_its_params(tmp_path):
    study = tmp_path / "conf" / "sweep" / "mine.yaml"
    study.parent.mkdir(parents=True)
    study.write_text(
        "# @package _global_\nsweep: mine\nhydra:\n  sweeper:\n    zip: [arch, lr]\n"
        "    params:\n      arch: lstm,elman\n      optimizer.lr: 0.01,0.03\n",
        encoding="utf-8",
    )
    start([f"--config-dir={tmp_path / 'conf'}", "sweep=mine", f"hydra.sweep.dir={tmp_path / 's'}", *SMALL])
    found = [(job.settings["arch.name"], job.settings["optimizer.lr"]) for job in survey(tmp_path / "s")]
    assert found == [("lstm", 0.01), ("elman", 0.03)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-m", "arch=lstm,elman", "seed=1,2,3", "zip=[arch,seed]"], "arch has 2, seed has 3"),
        (["zip=[arch,seed]"], "zip=[arch,seed] pairs the values of a sweep's keys: add -m"),
        (["sweep=optuna", "zip=[arch,seed]"], "zip"),
        (["-m", "arch=lstm,elman", "zip=3"], "zip"),
    ],
)
def test_a_command_that_cannot_pair_starts_nothing(words, says):
    with pytest.raises(UserError) as error:
        train._main(words)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(Path().rglob("*.json"))
