"""A user's own unit and family, as plugins: in workers, after a kill, in every command, and never imported from a folder."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from learning_to_learn import plugins
from learning_to_learn.commands import evaluate, sweep, train
from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import get_status, read_json
from learning_to_learn.runs.sweep_folder import survey
from tests.commands.test_train import SMALL

ROOT = Path(__file__).parents[2]
UNIT = """
import torch
from learning_to_learn import unit

@unit(states=1)
def leaky_test_neuron(z, v):
    v = 0.9 * v + 0.1 * z
    return torch.tanh(v), v
"""
FAMILY = """
from dataclasses import dataclass
from pathlib import Path

Path("imported").touch()
from learning_to_learn import FamilyConfig
from learning_to_learn.families.boolean import Boolean

@dataclass
class ParityConfig(FamilyConfig):
    name: str = "parity"
    sequence_length: int = 20
    level: int = 1
    '''How hard it is.'''

class Parity(Boolean):
    '''Both parities.'''

    config = ParityConfig

    @classmethod
    def from_config(cls, config, *, test=False):
        return cls([6, 9])
"""
PLUGINS = "plugins=[parity.py,my_units]"


@pytest.fixture
def mine(tmp_path):
    """A folder with a plugin that is a file and one that is a module; what this process learns of them is forgotten again."""
    (tmp_path / "my_units.py").write_text(UNIT)
    (tmp_path / "parity.py").write_text(FAMILY)
    before = dict(plugins.LOADED)
    yield tmp_path
    plugins.LOADED.clear()
    plugins.LOADED.update(before)
    sys.modules.pop("my_units", None)


def run(*arguments, folder, wait=True):
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    if not wait:
        return process
    said, complained = process.communicate(timeout=300)
    return process.returncode, said, complained


def test_a_unit_and_a_family_survive_workers_a_kill_and_new_processes(mine):
    job = ["arch.layers=[{leaky_test_neuron: 4}]", "arch.name=leaky", "family=parity", PLUGINS, *SMALL[2:4], *SMALL[5:],
           "trainer=quick", "trainer.epochs=3000", "trainer.evaluate_every=100", "trainer.checkpoint_seconds=0.1"]  # fmt: skip
    process = run("src.train", *job, "seed=0,10", "-m", "launcher=joblib", "launcher.jobs=2", "hydra.sweep.dir=s",
                  folder=mine, wait=False)  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list(mine.glob("s/*/checkpoints/last.ckpt"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (mine / "imported").unlink()
    code, _, said = run("src.sweep", "resume", "s", folder=mine)
    assert code == 2
    assert said == "error: this run needs plugins=[parity.py,my_units]: give it again, it is not imported from a folder\n"
    assert not (mine / "imported").exists()
    code, _, said = run("src.sweep", "resume", "s", PLUGINS, folder=mine)
    assert code == 0, said
    assert [s.status for s in survey(mine / "s")] == ["finished", "finished"]
    one = "s/0_leaky_parity"
    assert (mine / one / "plugins/my_units.py").read_text() == UNIT
    assert (mine / one / "plugins/parity.py").read_text() == FAMILY
    assert set(read_json(mine / one / "status.json")["plugins"]) == {"my_units", "parity"}
    for command in ("src.evaluate", "src.probe"):
        code, _, said = run(command, f"run={one}", folder=mine)
        assert (code, said.count("\n")) == (2, 1), said
        assert "this run needs plugins=[parity.py,my_units]" in said
    code, _, said = run("src.evaluate", f"run={one}", PLUGINS, "sequence_length=30", folder=mine)
    assert code == 0, said
    code, _, said = run("src.probe", f"run={one}", PLUGINS, folder=mine)
    assert code == 0, said


def test_a_run_folder_alone_imports_nothing(mine):
    assert train._main([PLUGINS, "family=parity", *SMALL, "hydra.run.dir=run"]) == 0
    plugins.LOADED.clear()
    for command in (
        lambda: train._main(["resume=run"]), lambda: sweep._main(["resume", "run"]), lambda: evaluate._main(["run=run"]),
    ):  # fmt: skip
        with pytest.raises(UserError, match=re.escape("this run needs plugins=[parity.py,my_units]: give it again")):
            command()
    assert train._main(["resume=run", PLUGINS]) == 0
    assert evaluate._main(["run=run", PLUGINS]) == 0
    assert get_status(Path("run")) == "finished"


def test_plugins_named_in_a_file_of_conf(mine, capsys):
    (mine / "D/experiment").mkdir(parents=True)
    (mine / "D/experiment/mine.yaml").write_text("# @package _global_\nplugins: [parity.py]\n")
    assert train._main(["experiment=mine", "--config-dir=D", "family=parity", "--cfg", "job"]) == 0
    assert "name: parity" in capsys.readouterr().out


def test_the_keys_of_a_plugin_are_explained(mine, capsys):
    assert train._main(["--explain", "family.level", PLUGINS]) == 0
    assert "[1] How hard it is. (parity only)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("plugins=[nothing.py]", "nothing.py: no such file"),
        ("plugins=[nothing]", "nothing cannot be imported: ModuleNotFoundError"),
        ("plugins=parity.py", "give a list"),
        ("plugins=[broken.py]", "broken.py cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_mistake_is_one_line(mine, given, says):
    (mine / "broken.py").write_text("1 / 0")
    path = list(sys.path)
    with pytest.raises(UserError, match=re.escape(says)) as error:
        train._main([given, *SMALL])
    assert "\n" not in str(error.value)
    assert sys.path == path
