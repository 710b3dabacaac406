"""The commands as a user types them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from learning_to_learn.commands import evaluate, train
from learning_to_learn.composing import new_folder
from learning_to_learn.errors import UserError
from learning_to_learn.results.table import find_jobs, tabulate
from learning_to_learn.runs.run_folder import get_status, read_json

ROOT = Path(__file__).parents[2]
SMALL = ["trainer=quick", "trainer.epochs=4", "trainer.evaluate_every=2", "replicas=2", "family.sequence_length=20",
         "evaluation.mappings=16", "logger.mode=disabled"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["arch=foo"], "unknown arch 'foo': choose one of bptt, cifg, ctrnn"),
        (["archx=lstm"], "unknown key archx: choose one of arch, family"),
        (["arch.foo=1"], "unknown key arch.foo: choose one of name, layers, parameters, gradient"),
        (["experiment=nope"], "unknown experiment 'nope': choose one of figure3, held_out"),
        (["trainer.epochs=abc"], "trainer.epochs: Value 'abc'"),
        (["arch.layers=[{neuron: x}]"], "arch.layers"),
        (["replicas=null"], "replicas: field 'replicas' is not Optional"),
        (["x"], "cannot read 'x': write key=value"),
        (["arch=lstm=2"], "cannot read"),
        (["arch.layers=[{neuron: 3}"], "cannot read"),
        (["trainer=null"], "override must be"),
        (["-m", "arch=lstm,foo"], "unknown arch 'foo'"),
        (["resume=nothing"], "nothing: no such folder"),
        (["resume=nothing", "seed=1"], "give nothing else"),
    ],
)
def test_a_typo_is_one_line_that_lists_what_is_allowed(arguments, says, tmp_path):
    with pytest.raises(UserError) as error:
        train._main(arguments)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.yaml"))


@pytest.mark.parametrize(("arguments", "says"), [([*SMALL, "+foo=1"], "unknown key foo"), (["~family"], "there is no family")])
def test_what_hydra_lets_through_is_refused_all_the_same(arguments, says):
    with pytest.raises(UserError, match=re.escape(says)):
        train._main(arguments)
    assert not list(Path().rglob("*.yaml"))


def test_folders_never_collide():
    assert len({new_folder() for _ in range(20)}) == 20


def test_a_sweep_with_a_failing_job(capsys):
    """The others go on, the failure is named at once and at the end, and the exit code is not 0."""
    assert train._main(["-m", "arch=lstm,elman,rtrl", "optimizer.lr=0.03,-1", *SMALL]) == 1
    said = capsys.readouterr()
    assert said.err.count("optimizer.lr=-1.0: it must be a number above 0") == 6
    jobs = find_jobs(Path("runs"))
    assert [job.status for job in jobs] == ["finished", "failed"] * 3
    assert "it must be a number above 0" in (jobs[1].folder / "train.log").read_text()
    _, heading, *rows, best, again = said.out.splitlines()
    assert heading.split()[0] == "arch"
    assert sorted(line.split()[0] for line in rows[:3]) == ["elman", "lstm", "rtrl"]
    assert rows[3:] in ([], ["worse: replicas that end worse than no learning (score < 0)"])
    assert best.startswith(f"best: {rows[0].split()[0]} boolean: score ")
    assert again.startswith(f"again on fresh seeds: python -m src.train arch={rows[0].split()[0]} ")
    assert max(map(len, [heading, *rows])) <= 80


def test_the_table_pools_seeds_and_shows_what_varies():
    assert train._main(["-m", "arch=elman", "seed=0,2", "optimizer.lr=0.01,0.1", *SMALL]) == 0
    rows = tabulate(find_jobs(Path("runs")))
    assert sorted((r["optimizer.lr"], r["replicas"]) for r in rows) == [("0.01", 4), ("0.1", 4)]
    assert rows[0]["score_median"] >= rows[1]["score_median"]


def test_replicas_of_one_job_and_jobs_of_one_replica_give_one_row():
    train._main(["-m", "arch=elman", "replicas=4,1", *SMALL[:3], *SMALL[4:]])
    whole, single = [read_json(job.folder / "result.json") for job in find_jobs(Path("runs"))]
    assert whole["replicas"] == 4
    assert single["mse_median"] == pytest.approx(
        float((find_jobs(Path("runs"))[0].folder / "replicas.csv").read_text().splitlines()[1].split(",")[1]), rel=1e-4
    )


def test_evaluate_recomputes_what_training_measured(capsys):
    train._main(SMALL)
    (job,) = find_jobs(Path("runs"))
    assert evaluate._main([f"run={job.folder}"]) == 0
    assert read_json(job.folder / "evaluations/as_trained/result.json") == read_json(job.folder / "result.json")
    for more in (["family=semilinear"], ["sequence_length=50"], ["carry_state=true"], ["functions=[6,9]", "mappings=64"]):
        assert evaluate._main([f"run={job.folder}", *more]) == 0
    found = {p.parent.name: read_json(p) for p in (job.folder / "evaluations").glob("*/result.json")}
    assert found["family=semilinear"]["floor"] == pytest.approx(0.00209, rel=0.01)
    assert found["sequence_length=50"]["floor"] == pytest.approx((1 - 0.75**50) / 50)
    assert found["carry_state=true"]["carry_state"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give run=<folder>"),
        (["run=nothing"], "no such file"),
        (["nothing"], "not of the form key=value"),
        (["run=.", "lr=3"], "no such file"),
    ],
)
def test_evaluate_says_what_is_wrong(arguments, says):
    with pytest.raises(UserError, match=says):
        evaluate._main(arguments)


@pytest.mark.parametrize(
    ("argument", "says"),
    [("lr=3", "unknown key 'lr'"), ("family=cubic", "choose one of"), ("sequence_length=abc", "sequence_length")],
)
def test_evaluate_lists_what_is_allowed(argument, says):
    train._main(SMALL)
    (job,) = find_jobs(Path("runs"))
    with pytest.raises(UserError, match=says):
        evaluate._main([f"run={job.folder}", argument])


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path):
    command = [sys.executable, "-m", "src.train", *SMALL, "trainer.epochs=100000", f"hydra.run.dir={tmp_path / 'run'}"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "metrics.csv").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"resume={tmp_path / 'run'}" in said
    assert "Traceback" not in said
    assert get_status(tmp_path / "run") == "interrupted"


def test_a_script_of_ones_own_ends_as_the_command_does(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "src.train", "arch=foo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown arch 'foo': choose one of bptt, cifg, ctrnn")
    assert done.stderr.count("\n") == 1
