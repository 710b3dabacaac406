"""Every command under other locales, in folders with odd names, without git and with nowhere to keep compiled code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from learning_to_learn.commands import dashboard, evaluate, probe, sweep, train
from learning_to_learn.compiled import cache_folder
from learning_to_learn.composing import quoted
from learning_to_learn.runs.run_folder import set_status
from tests.commands.test_train import SMALL

ROOT = Path(__file__).parents[1]
ODD = ["a b", "a=b,c", "x[1]{y}(z)", "größer", "'single' \"double\"", "$HOME %", "-m", "#?&;|"]


def every_command(folder):
    """Train, resume, measure, probe and show a run and a sweep in a folder."""
    arch = ["arch=lstm", "arch.layers=[{memory_cell: 2}]"]
    assert train._main([*arch, *SMALL, f"hydra.run.dir={quoted(folder / 'run')}"]) == 0
    set_status(folder / "run", "interrupted")
    assert train._main([f"resume={folder / 'run'}"]) == 0
    assert evaluate._main([f"run={folder / 'run'}", "sequence_length=10"]) == 0
    assert probe._main([f"run={folder / 'run'}"]) == 0
    assert train._main(["-m", *arch, "seed=0,10", *SMALL, f"hydra.sweep.dir={quoted(folder / 's')}"]) == 0
    shutil.rmtree(folder / "s" / "1_lstm_boolean")
    assert sweep._main(["resume", str(folder / "s")]) == 0
    assert sweep._main(["status", str(folder / "s")]) == 0
    assert sweep._main(["report", str(folder)]) == 0
    assert dashboard._main(["report", str(folder)]) == 0
    assert len(list(folder.rglob("result.json"))) == 4
    assert (folder / "report" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["".join(ODD), *(pytest.param(name, marks=pytest.mark.slow) for name in ODD)])
def test_every_command_takes_a_folder_of_any_name(tmp_path, name):
    every_command(tmp_path / name)


SCRIPT = """
import sys
from pathlib import Path
from learning_to_learn.commands.cli import exit_with
from tests.test_environment import every_command

exit_with(lambda words: every_command(Path(words[0])) or 0)
"""


@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.slow), "größer"])
def test_a_locale_without_utf8_a_home_that_cannot_be_written_and_no_git(tmp_path, name):
    """LEARNING_TO_LEARN_CACHE is all that compiled code needs."""
    kept = ("PYTHONPATH", "LD_LIBRARY_PATH", "PLAYWRIGHT_BROWSERS_PATH")
    environment = {key: os.environ[key] for key in kept if key in os.environ} | {
        "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/proc/no/home", "PATH": "/nothing",
        "TMPDIR": str(tmp_path), "LEARNING_TO_LEARN_CACHE": str(cache_folder()),
    }  # fmt: skip
    folder = tmp_path / name
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said
    assert "Error" not in said
    assert "cannot be written: every process compiles anew" not in said
    assert json.loads((folder / "run" / "provenance.json").read_text())["starts"][0]["revision"] == "unknown"
