"""How words on the command line are read: flags anywhere, help everywhere, one line for every mistake."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from learning_to_learn.commands import dashboard, evaluate, floors, sweep, train, verdict
from learning_to_learn.commands.explain import explain_keys
from learning_to_learn.errors import UserError
from learning_to_learn.results.table import find_jobs
from learning_to_learn.runs.run_folder import get_status, read_json, set_status
from learning_to_learn.runs.sweep_folder import arguments_of, survey
from tests.commands.test_train import SMALL

ROOT = Path(__file__).parents[2]


def settings(folder):
    return [(job.settings["arch.name"], job.settings["seed"]) for job in find_jobs(Path(folder))]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "arch=elman", "seed=0,5"],
        ["arch=elman", "-m", "seed=0,5"],
        ["seed=0,5", "arch=elman", "-m"],
        ["seed=0,5", "--multirun", "arch=elman"],
        ["hydra.mode=MULTIRUN", "seed=0,5", "arch=elman"],
    ],
)
def test_the_place_of_m_does_not_matter(arguments, capsys):
    assert train._main([*arguments[:2], *SMALL, "hydra.sweep.dir=s", *arguments[2:]]) == 0
    assert settings("s") == [("elman", 0), ("elman", 5)]
    assert "elman" in capsys.readouterr().out


@pytest.mark.parametrize("flag", [["--config-dir=D"], ["--config-dir", "D"], ["-cd", "D"]])
def test_the_place_of_config_dir_does_not_matter(flag, capsys):
    Path("D/experiment").mkdir(parents=True)
    Path("D/experiment/mine.yaml").write_text("# @package _global_\nseed: 77\n")
    assert train._main(["experiment=mine", *flag, "arch=elman", "--cfg", "job", "replicas=3"]) == 0
    said = capsys.readouterr().out
    assert "seed: 77" in said
    assert "replicas: 3" in said


def test_a_sweep_with_options_of_ones_own_is_resumed_with_them():
    Path("D/experiment").mkdir(parents=True)
    Path("D/experiment/mine.yaml").write_text("# @package _global_\nseed: 77\n")
    train._main(["experiment=mine", "--config-dir=D", "arch=elman,lstm", "-m", *SMALL, "hydra.sweep.dir=s"])
    (Path("s/1_lstm_boolean/status.json")).unlink()
    with pytest.raises(UserError, match=r"--config-dir=.* is not taken from a folder"):
        sweep._main(["resume", "s"])
    assert sweep._main(["resume", "s", "--", "--config-dir=D"]) == 0
    assert settings("s") == [("elman", 77), ("lstm", 77)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["arch.layers=[{neuron: 4}],[{neuron: 8}]"], "several values make a sweep: add -m"),
        (["-m", "experiment=null,held_out"], "experiment=null,held_out: a group override must be one of figure3"),
        (["optimizer=[0]"], "optimizer=[0]: a group override must be one of adam"),
        (["launcher=[[1]]"], "launcher=[[1]]: a group override must be one of basic"),
        (
            ["-m", "family=boolean,quadratic", "family.scaling=per_mapping"],
            "unknown key family.scaling (only with family=quadratic)",
        ),
        (["+=x"], "cannot read '+=x'"),
        (["~arch.bias", "~arch"], "these words do not go together"),
        (["sweep=[{}]"], "sweep=[{}]: a group override must be one of defaults, feedback"),
        (["sweep=learning_rate,gradients"], "one sweep at a time"),
        (["-m", "launcher=basic,joblib"], "one launcher at a time"),
        (["--frobnicate"], "unknown option '--frobnicate'"),
        (["--cfg", "nothing"], "invalid choice: 'nothing'"),
        (["--config-dir=nothing", "seed=1"], "no such folder"),
        (["resume=~/nothing/at/all"], f"{Path.home()}/nothing/at/all: no such folder"),
        (["--explain", "optimizer.nothing"], "unknown key 'optimizer.nothing': choose one of optimizer.name"),
    ],
)
def test_a_mistake_is_one_line(arguments, says, tmp_path):
    with pytest.raises(UserError) as error:
        train._main(arguments)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["a=1,b", "x(y", "c{d", "ü ß", "it's", "a b", "e[f]", 'q"q'])
def test_a_sweep_whose_folder_has_an_odd_name_is_resumed(name):
    folder = Path("runs") / name
    train._main(["-m", "arch=elman", "seed=0,10", *SMALL, "hydra.sweep.dir=plain"])
    folder.parent.mkdir()
    Path("plain").rename(folder)
    (folder / "1_elman_boolean/status.json").unlink()
    assert sweep._main(["resume", str(folder)]) == 0
    assert [s.status for s in survey(folder)] == ["finished", "finished"]
    assert sorted(p.name for p in Path("runs").iterdir()) == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cfg", "job", "-p", "nothing"], "package 'nothing' not found in config"),
        (["-p", "arch"], "--package and --resolve say what --cfg shows"),
        (["--resolve", "arch=lstm"], "--package and --resolve say what --cfg shows"),
    ],
)
def test_a_part_that_is_not_there_and_a_flag_without_what_it_belongs_to(arguments, message, capsys):
    with pytest.raises(UserError, match=message):
        train._main(arguments)
    assert capsys.readouterr().out == ""


def test_hydra_says_where_it_writes(capsys):
    """A folder with an interpolation, or in quotes, is that folder: the table and the exit code are those of its jobs."""
    assert train._main(["arch=elman", *SMALL, "hydra.run.dir=runs/${arch.name}_good"]) == 0
    assert "runs/elman_good" in capsys.readouterr().out
    with pytest.raises(UserError, match="it must be a number above 0"):
        train._main(["arch=elman", *SMALL, "hydra.run.dir=runs/${arch.name}_bad", "optimizer.lr=-1"])
    assert train._main(["arch=elman", *SMALL, 'hydra.run.dir="runs/my run"']) == 0
    assert train._main(["-m", "arch=elman,lstm", *SMALL, "hydra.sweep.dir=runs/${now:%Y}_s"]) == 0
    assert {p.name[-2:] for p in Path("runs").iterdir()} == {"od", "un", "_s"}


def test_the_folder_of_another_run_is_left_alone(capsys):
    train._main(["seed=0", "arch=elman", *SMALL, "hydra.run.dir=X"])
    before = {p: p.read_bytes() for p in Path("X").rglob("*") if p.is_file()}
    capsys.readouterr()
    assert train._main(["seed=5", "arch=elman", *SMALL, "hydra.run.dir=X"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    with pytest.raises(UserError, match="is no multiple of"):
        train._main(["trainer.batch=3", "arch=elman", *SMALL, "hydra.run.dir=X"])
    with pytest.raises(UserError, match="X holds a run, not a sweep"):
        train._main(["seed=7,8", "-m", "arch=elman", *SMALL, "hydra.sweep.dir=X"])
    assert {p: p.read_bytes() for p in Path("X").rglob("*") if p.is_file()} == before
    assert get_status(Path("X")) == "finished"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["arch.name=../../OUT"], "arch.name=../../OUT: folders are named by it"),
        (["arch.name=.."], "arch.name=..: folders are named by it"),
        (["arch.name='a\nb'"], "arch.name=a\\nb: folders are named by it"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=../x"], "hydra.sweep.subdir=../x: every job's folder must lie in the sweep's"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=/tmp/x"], "hydra.sweep.subdir=/tmp/x: every job's folder"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=."], "hydra.sweep.subdir=.: every job's folder"),
    ],
)
def test_no_name_leads_out_of_the_runs(words, says):
    with pytest.raises(UserError, match=re.escape(says)):
        train._main([*SMALL, *words])
    assert not list(Path().iterdir())


@pytest.mark.parametrize("words", [["arch.name=../../OUT"], ["arch.name=a/../../OUT"], ["+x=1"]])
def test_in_a_sweep_a_name_leads_nowhere_and_is_told(words, capsys):
    Path("here").mkdir()
    os.chdir("here")
    assert train._main(["-m", "arch=elman", "seed=0,10", *words, *SMALL, "hydra.sweep.dir=s"]) == 1
    said = capsys.readouterr().err
    assert words[0] in said or "unknown key x" in said
    assert [p.name for p in Path("..").iterdir()] == ["here"]
    assert {p.name for p in Path().iterdir()} == {"s"}
    assert [job.status for job in survey(Path("s"))] == ["failed"] * 2


def test_a_job_that_cannot_run_leaves_the_finished_ones_of_its_sweep_alone():
    assert train._main(["-m", "trainer.batch=5,10", "arch=elman", *SMALL, "hydra.sweep.dir=D"]) == 0
    assert train._main(["-m", "trainer.batch=3,5", "arch=elman", *SMALL, "hydra.sweep.dir=D"]) == 1
    found = [get_status(p) for p in sorted(Path("D").iterdir()) if p.is_dir()]
    assert sorted(found) == ["duplicate", "failed", "finished", "finished"]


def test_a_job_that_is_asked_for_twice_in_one_folder_is_done():
    words = ["-m", "arch=elman", "seed=0,0", *SMALL, "hydra.sweep.subdir=same", "hydra.sweep.dir=D"]
    assert train._main(words) == 0
    assert [p.name for p in Path("D").iterdir() if p.is_dir()] == ["same"]


def test_a_score_is_what_the_last_row_of_the_metrics_says():
    from learning_to_learn.jobs.job import run_job
    from learning_to_learn.runs.run_folder import read_rows
    from tests.helpers import job

    outcome = run_job(job(), Path("run"))
    assert outcome.score == float(read_rows(Path("run/metrics.csv"))[-1]["score/median"])
    set_status(Path("run"), "interrupted")  # after the last look
    assert run_job(job(), Path("run")).score == outcome.score
    assert run_job(job(), Path("run")).score == outcome.score  # finished
    assert read_json(Path("run/status.json"))["score"] == outcome.score


COMMANDS = [["train"], ["sweep"], ["sweep", "status"], ["sweep", "resume"], ["sweep", "report"], ["evaluate"], ["floors"],
            ["verdict"], ["dashboard"], ["dashboard", "serve"], ["dashboard", "report"], ["dashboard", "push"]]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(words, capsys):
    command = {
        "train": train,
        "sweep": sweep,
        "evaluate": evaluate,
        "floors": floors,
        "verdict": verdict,
        "dashboard": dashboard,
    }[words[0]]
    assert command._main([*words[1:], "--help"]) == 0
    said = capsys.readouterr().out
    assert f"python -m src.{' '.join(words)}" in said
    assert re.search("Examples?:", said)
    assert "schema" not in said
    assert not list(Path.cwd().iterdir())  # it has started nothing


def test_the_help_of_train_lists_the_groups(capsys):
    train._main(["--help"])
    said = capsys.readouterr().out
    archs = sorted(p.stem for p in (ROOT / "conf/arch").glob("*.yaml"))
    assert f"arch: {', '.join(archs)}" in " ".join(said.split())
    studies = sorted(p.stem for p in (ROOT / "sweeps").glob("*.yaml"))
    assert f"sweep: {', '.join(studies)}" in " ".join(said.split())
    assert said.count("python -m src.train ") >= 5


def test_a_key_is_explained_by_the_docstring_under_its_field():
    (line,) = explain_keys("trainer.batch")
    assert line.startswith("trainer.batch  [10] ")
    assert "update" in line
    assert {line.split()[0].split(".")[0] for line in explain_keys("optimizer")} == {"optimizer"}
    every = {line.split()[0] for line in explain_keys()}
    assert {"replicas", "arch.layers", "family.scaling", "launcher.jobs", "plugins"} <= every


def test_the_installed_command(tmp_path):
    code = "import sys; sys.argv[0] = 'learning-to-learn'; from learning_to_learn.commands import main; main()"

    def run(*arguments):
        return subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True,
                              check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})  # fmt: skip

    said = run("--help")
    assert said.returncode == 0
    assert "learning-to-learn train arch=lstm" in said.stdout
    assert run().stdout == said.stdout
    wrong = run("trian")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "choose one of compare, dashboard" in wrong.stderr
    assert "--explain trainer" in run("train", "--help").stdout


def test_a_command_line_is_recorded_as_it_was_meant():
    Path("D").mkdir()
    train._main(["arch=elman,lstm", "--config-dir=D", "-m", *SMALL, "hydra.sweep.dir=s"])
    assert arguments_of(Path("s")) == ["arch=elman,lstm", *SMALL, f"--config-dir={Path('D').resolve()}"]
