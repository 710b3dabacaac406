"""The Python API: its page runs, calls are independent of each other and of the process they are made in."""

import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import learning_to_learn
from learning_to_learn import compose, load_run, results, train
from learning_to_learn.config import Config
from learning_to_learn.errors import UserError
from learning_to_learn.randomness import Stream
from learning_to_learn.training.sequences import held_out
from tests.commands.test_train import SMALL

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/python.md"


def test_the_page_runs(tmp_path):
    """In a process of its own, since it registers a unit; as a notebook would, with arguments that are not for us."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)))
    done = subprocess.run([sys.executable, script, "-f", "kernel.json"], cwd=tmp_path, capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lstm ")
    assert "(4, 5, 30) (4, 5, 30, 6)" in done.stdout
    assert len(list((tmp_path / "runs").rglob("result.json"))) == 3


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, learning_to_learn; print([m for m in ('torch', 'hydra', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "[]\n"


def test_every_name_is_there():
    assert all(getattr(learning_to_learn, name) for name in learning_to_learn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        learning_to_learn.nothing  # noqa: B018


def state():
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    root = logging.getLogger()
    logs = list(root.handlers), root.level, logging.getLogger("pytorch_lightning").level
    hydra = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    return list(sys.argv), dict(os.environ), Path.cwd(), list(sys.path), list(warnings.filters), logs, hydra


def test_two_calls_are_two_runs_and_change_nothing_outside(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kernel", "-f", "kernel.json", "seed=5"])
    train(compose("arch=elman", *SMALL), "warm")  # imports
    before = state()
    runs = [train(compose("arch=elman", f"optimizer.lr={lr}", *SMALL)) for lr in (0.01, 0.1)]
    assert state() == before
    assert runs[0].folder != runs[1].folder
    assert [run.config.optimizer.lr for run in runs] == [0.01, 0.1]
    assert runs[0].metrics["mse_median"] != runs[1].metrics["mse_median"]
    assert runs[0].config.seed == 0
    assert sorted(set(results("runs")["optimizer.lr"])) == [0.01, 0.1]


def test_the_command_called_twice_in_one_process_is_two_runs(monkeypatch):
    from learning_to_learn.commands.train import main

    monkeypatch.setattr(sys, "argv", ["script"])
    for lr in (0.01, 0.1):
        with pytest.raises(SystemExit) as ended:
            main("arch=elman", f"optimizer.lr={lr}", *SMALL)
        assert ended.value.code == 0
        assert sys.argv == ["script"]
    assert sorted(set(results("runs")["optimizer.lr"])) == [0.01, 0.1]


def test_predictions_are_what_the_learner_says_of_its_own_test_data():
    run = train(compose("arch=lstm", "arch.layers=[{memory_cell: 2}, {forget_cell: 1, neuron: 2}]", *SMALL), "run")
    data = held_out(run.config, Stream.TEST)
    x, y = data.x[0].numpy(), data.targets[0, ..., 0].numpy()
    outputs = run.predict(x, y)
    assert outputs.shape == (2, 16, 20)
    np.testing.assert_array_equal(outputs, run.learner.outputs(data)[..., 0].numpy())
    states = load_run("run").states(x, y)
    assert states.shape == (2, 16, 20, 3)
    np.testing.assert_array_equal(states[:, :, :10], run.states(x[:, :10], y[:, :10]))
    longer = run.predict(np.tile(x, (1, 2, 1)), np.tile(y, (1, 2)))
    np.testing.assert_allclose(longer[:, :, :20], outputs, atol=1e-6)


def test_mistakes_are_one_line():
    run = train(compose("arch=elman", *SMALL), "run")
    with pytest.raises(UserError, match=r"they must be \[N, T, 2\] and \[N, T, 1\] or \[N, T\]"):
        run.predict(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(UserError, match="no cells"):
        run.states(np.zeros((2, 3, 2)), np.zeros((2, 3)))
    with pytest.raises(UserError, match="unknown arch 'foo'"):
        compose("arch=foo")
    with pytest.raises(UserError, match="holds a run of another configuration"):
        train(compose("arch=elman", "seed=1", *SMALL), "run")
    with pytest.raises(UserError, match="no such file"):
        load_run("nothing")
    with pytest.raises(UserError, match="no such folder"):
        results("nothing")
    with pytest.raises(UserError, match=r"optimizer.lr=-1"):
        train(compose("optimizer.lr=-1", *SMALL))


def test_a_finished_run_is_read_and_not_run_again():
    config = compose("arch=elman", *SMALL)
    assert isinstance(config, Config)
    first = train(config, "run")
    written = Path("run/checkpoints/last.ckpt").stat().st_mtime_ns
    assert train(config, "run").metrics == first.metrics
    assert Path("run/checkpoints/last.ckpt").stat().st_mtime_ns == written
