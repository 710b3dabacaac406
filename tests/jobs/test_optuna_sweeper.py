"""Searches by Optuna: what is proposed, what the study is told, and that stopping and resuming loses and overwrites nothing.

What a study holds is read with Optuna itself.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from learning_to_learn.commands import train
from learning_to_learn.errors import UserError
from learning_to_learn.jobs import job
from learning_to_learn.jobs.job import run_job
from learning_to_learn.jobs.optuna_sweeper import _consecutive, as_override, read_space
from learning_to_learn.runs.run_folder import get_status, read_rows
from learning_to_learn.runs.sweep_folder import survey
from tests.commands.test_train import SMALL

AT = "hydra.sweep.dir=s"
SMALL_JOB = ["arch=elman", *SMALL, AT, "replicas=1"]
FREE = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.sampler.seed=1", *SMALL_JOB]
FINISHED, FAILED = TrialState.COMPLETE, TrialState.FAIL


def trials(folder="s"):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna.db").trials


def states(folder="s"):
    return [trial.state for trial in trials(folder)]


def score(folder):
    return float(read_rows(folder / "metrics.csv")[-1]["score/median"])


def run_folder(number):
    (folder,) = Path("s").glob(f"{number}_*")
    return folder


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("a=interval(0,1.5)", FloatDistribution(0, 1.5)),
        ("a=interval(1,8)", FloatDistribution(1, 8)),  # an interval is of real numbers, unless it is cast
        ("a=int(interval(1,8))", IntDistribution(1, 8)),
        ("a=tag(log,interval(0.003,0.1))", FloatDistribution(0.003, 0.1, log=True)),
        ("a=tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
        ("a=range(1,9)", IntDistribution(1, 8)),
        ("a=range(1,9,3)", IntDistribution(1, 7, step=3)),
        ("a=range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("a=shuffle(range(1,4))", CategoricalDistribution([1, 2, 3])),
        ("a=choice(5,4,3)", CategoricalDistribution([5, 4, 3])),
        ("a=choice(adam,0.1,true)", CategoricalDistribution(["adam", 0.1, True])),
        ("a=5,10,x", CategoricalDistribution([5, 10, "x"])),
    ],
)
def test_every_kind_of_sweep_is_a_distribution(override, distribution):
    space, fixed = read_space(OverridesParser.create().parse_overrides([override]))
    if "shuffle" in override:
        assert sorted(space["a"].choices) == sorted(distribution.choices)
    else:
        assert space == {"a": distribution}
    assert fixed == {}


def test_a_later_override_replaces_an_earlier_one():
    space, fixed = read_space(OverridesParser.create().parse_overrides(["a=choice(1,2)", "b=3", "a=4", "b=5,6"]))
    assert (space, fixed) == ({"b": CategoricalDistribution([5, 6])}, {"a": "4"})


@pytest.mark.parametrize("value", [None, True, 3, 1e30, 1e-7, 0.1, "adam"])
def test_hydra_reads_back_what_was_proposed(value):
    (override,) = OverridesParser.create().parse_overrides([f"a={as_override(value)}"])
    assert override.value() == value


def test_batches_are_of_consecutive_numbers():
    assert list(_consecutive([7, 1, 2, 3, 5], 2)) == [[1, 2], [3], [5], [7]]


def test_a_failing_trial_is_told_as_failed_and_the_others_go_on():
    code = train._main([*FREE, "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2", "optimizer.lr=choice(-1,0.01)"])
    assert code == 1  # a job failed
    for trial in trials():
        folder = run_folder(trial.number)
        bad = trial.params["optimizer.lr"] < 0
        assert (trial.state, get_status(folder)) == ((FAILED, "failed") if bad else (FINISHED, get_status(folder)))
    assert set(states()) == {FAILED, FINISHED}
    assert len(trials()) == 4
    best = OmegaConf.load("s/optimization_results.yaml")
    assert best["best_params"] == {"optimizer.lr": 0.01}
    assert best["best_value"] == score(run_folder(next(t.number for t in trials() if t.state == FINISHED)))


def test_a_diverging_trial_is_told_as_failed_and_the_others_go_on():
    train._main([*FREE, "hydra.sweeper.n_trials=4", "optimizer=sgd", "optimizer.clip=null", "optimizer.lr=choice(0.01,1e30)"])
    assert {trial.params["optimizer.lr"]: trial.state for trial in trials()} == {0.01: FINISHED, 1e30: FAILED}
    assert len(trials()) == 4


def test_a_search_of_which_every_trial_fails_ends_without_a_best():
    assert train._main([*FREE, "hydra.sweeper.n_trials=2", "optimizer.lr=choice(-1,-2)"]) == 1
    assert states() == [FAILED] * 2
    assert OmegaConf.load("s/optimization_results.yaml")["best_params"] is None


def test_the_study_of_the_sweeps_makes_its_trials_and_no_more():
    search = ["sweep=optuna", "hydra.sweeper.n_trials=3", *SMALL_JOB]
    train._main(search)
    assert Path("s/optimization_results.yaml").exists()
    shutil.rmtree("s/2_elman_boolean")
    train._main(["resume=s"])
    jobs = [s for s in survey(Path("s")) if s.status == "finished"]
    assert len(jobs) == 3
    assert len({s.fingerprint for s in jobs}) == 3  # it proposed something new
    assert {score(s.folder) for s in jobs} <= {trial.value for trial in trials()}
    assert {"optimizer.lr", "optimizer.clip", "trainer.batch", "arch.init_scale"} == set(trials()[0].params)
    train._main(["resume=s"])
    assert len(survey(Path("s"))) == 3


def test_a_stopped_search_is_resumed_with_the_trial_that_was_under_way(monkeypatch):
    """Stopped in its second trial; nothing that had finished is run or written again, the second trial keeps its settings."""
    begun = []

    def stop_in_the_second(config, folder, **more):
        begun.append(folder)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run_job(config, folder, **more)

    monkeypatch.setattr(job, "run_job", stop_in_the_second)
    search = [*FREE, "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=1", "optimizer.lr=tag(log,interval(0.001,0.1))"]
    with pytest.raises(KeyboardInterrupt):
        train._main(search)
    assert states() == [FINISHED, TrialState.RUNNING]
    first, second = trials()
    before = {path: path.stat().st_mtime_ns for path in run_folder(0).rglob("*") if path.is_file()}
    train._main(["resume=s"])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert states() == [FINISHED] * 4
    assert (trials()[0].value, trials()[1].params) == (first.value, second.params)
    assert [trial.value for trial in trials()] == [score(run_folder(number)) for number in range(4)]
    assert len(survey(Path("s"))) == 4


def test_resuming_after_a_failure_leaves_what_finished_alone():
    """The first trial failed and its folder is lost: the new one gets a number of its own."""
    search = [*FREE, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1", "optimizer.lr=choice(-1,0.01)", "seed=range(0,1000)"]
    train._main(search)
    told = trials()
    shutil.rmtree(run_folder(0))
    train._main(["resume=s"])
    assert [(t.state, t.value) for t in trials()[:2]] == [(t.state, t.value) for t in told]
    assert sorted(int(path.name.split("_")[0]) for path in Path("s").glob("*_elman_boolean")) == [1, 2]


def test_a_batch_runs_in_the_launchers_processes():
    search = [*FREE, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2", "launcher=joblib", "launcher.jobs=2",
              "optimizer.lr=choice(-1,0.01)", "trainer.batch=choice(5,4)"]  # fmt: skip
    train._main(search)
    assert len(trials()) == 2
    assert all(trial.state == (FAILED if trial.params["optimizer.lr"] < 0 else FINISHED) for trial in trials())


def test_a_wrong_direction_is_named_in_a_line():
    with pytest.raises(UserError, match="choose one of maximize, minimize"):
        train._main([*FREE, "hydra.sweeper.direction=up"])


def test_optuna_is_imported_only_when_a_search_runs():
    """Hydra knows the sweeper, and none of the other commands waits for Optuna."""
    code = (
        "import sys; from hydra.core.plugins import Plugins; from learning_to_learn.jobs import optuna_sweeper; "
        "optuna_sweeper.register(); "
        "assert 'hydra_plugins.learning_to_learn_optuna.OptunaSweeper' in Plugins.instance().class_name_to_class; "
        "sys.exit('optuna' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
