"""What is left out of Lightning's and wandb's imports is not there afterwards, and the real thing comes when asked for."""

import subprocess
import sys

import pytest

from learning_to_learn.stand_ins import _module, standing_in, without_launch_agent

LIGHTNING = """
import sys
from learning_to_learn.lightning import pl
assert not {"torch._dynamo", "scipy.signal"} & set(sys.modules), "imported after all, or what stood in is still there"
import scipy.signal
assert callable(scipy.signal.lfilter)
import torch
assert torch._dynamo.OptimizedModule is not None
doubled = torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(3))
assert doubled.tolist() == [2.0, 2.0, 2.0]
pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False)
"""


def test_lightning_is_imported_without_a_compiler_and_leaves_the_real_one_alone():
    subprocess.run([sys.executable, "-c", LIGHTNING], check=True)


def test_a_module_that_is_there_stays():
    import json

    with standing_in(_module("json", loads=None)):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json


def test_what_stands_in_is_gone_also_after_an_error():
    def use():
        with standing_in(_module("no_such_module_at_all", answer=42)):
            import no_such_module_at_all

            assert no_such_module_at_all.answer == 42
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert "no_such_module_at_all" not in sys.modules


WANDB = """
import sys, wandb
from learning_to_learn.stand_ins import without_launch_agent
with without_launch_agent():
    run = wandb.init(mode="offline", dir=sys.argv[1], settings=wandb.Settings(silent=True))
run.finish()
assert "wandb.sdk.launch" not in sys.modules
from wandb.sdk.launch.inputs.internal import StagedLaunchInputs
assert hasattr(StagedLaunchInputs(), "add_staged_input")
with without_launch_agent():  # it is there now, and stays
    assert sys.modules["wandb.sdk.launch.inputs.internal"].StagedLaunchInputs is StagedLaunchInputs
"""


@pytest.mark.slow
def test_wandb_starts_without_its_launch_agent(tmp_path):
    subprocess.run([sys.executable, "-c", WANDB, str(tmp_path)], check=True)
    assert callable(without_launch_agent)


LOGGED = """
import sys
from pathlib import Path
from learning_to_learn.composing import compose_config
from learning_to_learn.jobs.job import run_job
words = ("trainer=quick", "trainer.epochs=2", "trainer.evaluate_every=1", "replicas=2", "logger.mode=offline")
outcome = run_job(compose_config(*words), Path(sys.argv[1]) / "run")
assert outcome.status == "finished"
assert any((Path(sys.argv[1]) / "run" / "wandb").glob("offline-run-*/*.wandb"))
assert "wandb" in sys.modules
assert "pandas" not in sys.modules, "wandb has imported pandas to log a number"
import wandb
assert wandb.util.pd_available
import pandas
assert wandb.util.is_pandas_data_frame(pandas.DataFrame())
"""


def test_a_job_is_logged_to_wandb_without_pandas(tmp_path):
    done = subprocess.run([sys.executable, "-c", LOGGED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
