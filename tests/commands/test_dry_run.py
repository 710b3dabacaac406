"""`--dry-run` shows the jobs that a command would start, with estimates of their time and memory, and starts nothing."""

import json
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from learning_to_learn.commands import train
from learning_to_learn.errors import UserError
from learning_to_learn.jobs import plan as plans
from learning_to_learn.jobs import rates
from learning_to_learn.jobs.plan import Plan, PlannedJob, plan
from learning_to_learn.jobs.rates import Rates, estimate_seconds, measure_rates, measured_seconds
from learning_to_learn.jobs.sweeps import start
from learning_to_learn.jobs.train import threads
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.memory import estimate_memory
from learning_to_learn.training.sequences import MetaData
from tests.commands.test_train import ROOT, SMALL
from tests.helpers import job

SWEEP = ["-m", "arch=lstm,elman", "optimizer.lr=0.01,0.03", *SMALL]


@pytest.fixture
def _known_rates(monkeypatch):
    monkeypatch.setattr(plans, "machine_rates", lambda: Rates(1e-3, 1e-9))
    plans._Estimates.rates.cache_clear()
    yield
    plans._Estimates.rates.cache_clear()


@pytest.mark.usefixtures("_known_rates")
@pytest.mark.parametrize("launcher", ["basic", "packed", "joblib", "submitit_local", "submitit_slurm", "ray"])
def test_every_launchers_jobs_are_shown_and_nothing_is_written(launcher, capsys, tmp_path):
    assert train._main(["--dry-run", *SWEEP, f"launcher={launcher}", "launcher.jobs=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [re.split(r"  +", line.strip())[:5] for line in lines[1:5]]
    assert shown == [
        ["0", "lstm lr=0.01", "4", "2", "397"],
        ["1", "lstm lr=0.03", "4", "2", "397"],
        ["2", "elman lr=0.01", "4", "2", "205"],
        ["3", "elman lr=0.03", "4", "2", "205"],
    ]
    assert lines[-1].startswith("4 jobs; 16 epochs; ")
    assert "with 3 at a time" in lines[-1]
    assert not list(tmp_path.rglob("*"))


@pytest.mark.usefixtures("_known_rates")
def test_paired_values_and_a_single_job_are_shown(capsys):
    assert train._main(["--dry-run", *SWEEP, "zip=[arch,lr]"]) == 0
    assert re.findall(r"\S+ lr=\S+", capsys.readouterr().out) == ["lstm lr=0.01", "elman lr=0.03"]
    assert train._main([*SMALL, "--dry-run", "hydra.run.dir=there"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 job; 4 epochs; ")
    assert not Path("there").exists()


@pytest.mark.usefixtures("_known_rates")
def test_jobs_that_would_fail_have_their_line(capsys):
    assert train._main(["--dry-run", "-m", "optimizer.lr=0.01,-1", "replicas=2,1000000000", *SMALL[:2]]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "lr=0.01 replicas=1000000000: error: this job needs about" in lines[2]
    assert "lr=-1 replicas=2: error: optimizer.lr=-1.0: it must be a number above 0" in lines[3]
    assert lines[-1].startswith("4 jobs; 4 epochs; ")
    assert "; 3 would fail." in lines[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["arch=foo"], "unknown arch 'foo'"),
        (["optimizer.lr=1,2"], "add -m"),
        (["-m", "arch=lstm,elman", "seed=1,2,3", "zip=[arch,seed]"], "arch has 2, seed has 3"),
        (["resume=there"], "src.sweep status"),
        (["--cfg", "job"], "--cfg"),
    ],
)
def test_what_is_refused_is_refused_here(words, says):
    with pytest.raises(UserError) as error:
        train._main(["--dry-run", *words])
    assert says in str(error.value)


@pytest.mark.usefixtures("_known_rates")
def test_a_search_has_one_line_and_the_totals_of_all_trials(capsys):
    assert train._main(["--dry-run", "sweep=optuna", "hydra.sweeper.n_trials=7", "seed=1000,1004", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "lr=tag(log, interval(0.003, 0.1))" in lines[1]
    assert "seed=1000,1004" in lines[1]
    assert lines[-1].startswith("7 trials, whose values the search draws; 28 epochs; ")


def test_totals_are_those_of_the_jobs_that_run_side_by_side():
    config = job()
    jobs = [PlannedJob(str(s), config, seconds=s, memory=m) for s, m in [(4.0, 5), (1.0, 7), (2.0, 1), (3.0, 6)]]
    found = Plan([*jobs, PlannedJob("wrong", error="it is")], at_a_time=2)
    assert (found.seconds, found.memory, found.epochs) == (10.0, 13, 4 * config.trainer.epochs)
    assert found.elapsed == 6.0  # 4 | 1 2 3
    assert Plan([*jobs, PlannedJob("unknown", config)], at_a_time=2).elapsed is None


def test_estimates_are_those_of_the_shapes(monkeypatch):
    monkeypatch.setattr(plans, "machine_rates", lambda: Rates(0.0, 1e-9))
    plans._Estimates.rates.cache_clear()
    whole = ("threads=1", "trainer.batch=16", "trainer.sequences=16")  # no lane is idle, so that twice the replicas take twice
    one, long, twice = (
        plan(["-m", "trainer.epochs=4,8", *SMALL[2:], "trainer=quick", *whole]).jobs[0:2]
        + plan(["replicas=4", *(w for w in SMALL if "replicas" not in w), *whole]).jobs
    )
    plans._Estimates.rates.cache_clear()
    assert (long.seconds, twice.seconds) == (pytest.approx(2 * one.seconds), pytest.approx(2 * one.seconds))
    assert one.memory == sum(estimate_memory(one.config).values())
    assert estimate_seconds(job("engine=reference"), {}, lambda: Rates(1.0, 1.0)) is None


def test_finished_runs_of_the_same_shape_say_how_long(tmp_path):
    start([*SMALL, "hydra.run.dir=runs/mine"])
    seconds = read_json(Path("runs/mine/result.json"))["seconds"]
    measured = measured_seconds(Path("runs"))
    assert estimate_seconds(job(*SMALL, "trainer.epochs=12", "seed=8", "optimizer.lr=0.3"), measured, None) == pytest.approx(
        3 * seconds
    )
    with pytest.raises(TypeError):  # another shape asks for the rates
        estimate_seconds(job(*SMALL, "replicas=3"), measured, None)
    assert measured_seconds(tmp_path / "nothing") == {}


def test_rates_are_measured_once_on_a_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("LEARNING_TO_LEARN_CACHE", str(tmp_path))
    monkeypatch.setattr(rates, "measure_rates", lambda: Rates(0.25, 0.5))
    assert rates.machine_rates() == Rates(0.25, 0.5)
    monkeypatch.setattr(rates, "measure_rates", lambda: Rates(0.125, 0.5))
    assert rates.machine_rates() == Rates(0.25, 0.5)
    (tmp_path / "rates.json").write_text('{"' + platform.node() + '": {"update": "x"}}', encoding="utf-8")
    assert rates.machine_rates() == Rates(0.125, 0.5)


def test_a_dry_run_imports_neither_lightning_nor_numba(tmp_path):
    kept = {platform.node(): {"update": 1e-3, "multiplication": 1e-9}}
    (tmp_path / "rates.json").write_text(json.dumps(kept), encoding="utf-8")
    code = (
        "import sys; from learning_to_learn.commands import train; "
        f"code = train._main(['--dry-run', *{SWEEP!r}]); "
        "print({'pytorch_lightning', 'numba', 'wandb', 'pandas', 'optuna'} & set(sys.modules)); sys.exit(code)"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "LEARNING_TO_LEARN_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "set()"


@pytest.mark.slow
def test_an_estimate_is_within_a_factor_of_two():
    """In CPU time on one thread, so that what else the machine does counts little."""
    found = measure_rates()
    for words in (["arch=lstm"], ["arch=elman", "replicas=8"], ["arch=rtrl", "replicas=1"]):
        config = job(*words, "trainer.epochs=40", "threads=1", "family.sequence_length=200")
        learner, data = MetaLearner(config), MetaData(config)
        with threads(1, config.engine):
            learner.train_epoch(data.epoch(0))  # compiles
            epochs = [data.epoch(number) for number in range(40)]
            began = time.process_time()
            for epoch in epochs:
                learner.train_epoch(epoch)
            spent = time.process_time() - began
        assert spent / 2 < estimate_seconds(config, {}, lambda: found) < 2 * spent, words
