"""The wheel: what is in it, and that it works where it is installed, away from the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from learning_to_learn.composing import CONF, SWEEPS

ROOT = Path(__file__).parents[1]


def run(*command, cwd=None, **environment):
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of commands of a new environment, in which the wheel is; its dependencies are those of this environment."""
    home = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", home)
    site = next(home.glob("lib/python*/site-packages"))
    run(sys.executable, "-m", "pip", "--python", home / "bin/python", "install", "--quiet", "--no-deps", wheel)
    # Only as a path: the .pth files of this environment, which lead to the checkout, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def inside(folder, pattern, place):
    return {f"learning_to_learn/{place}/{path.relative_to(folder)}" for path in folder.rglob(pattern)}


def test_the_wheel_has_the_configurations_and_the_page(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "src" / "learning_to_learn"
    sources = {f"learning_to_learn/{path.relative_to(package)}" for path in package.rglob("*.py")}
    wanted = inside(CONF, "*.yaml", "conf") | inside(SWEEPS, "*.yaml", "sweeps") | sources
    assert wanted | {"hydra_plugins/learning_to_learn_optuna.py"} <= names
    assert {f"learning_to_learn/dashboard/page.{kind}" for kind in ("html", "css", "js")} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_it_imports_from_where_it_is_installed(installed, tmp_path):
    where = run(
        installed / "python", "-c", "import learning_to_learn; print(learning_to_learn.__file__)", cwd=tmp_path, PYTHONPATH=""
    )
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_it_trains_from_an_empty_folder(installed, tmp_path):
    settings = ["arch=lstm", "trainer=quick", "trainer.epochs=2", "replicas=1", "logger.mode=disabled", "hydra.run.dir=here"]
    run(installed / "learning-to-learn", "train", *settings, cwd=tmp_path, PYTHONPATH="")
    assert (tmp_path / "here" / "result.json").exists()


def test_it_finds_its_studies(installed, tmp_path):
    composed = run(installed / "learning-to-learn", "train", "sweep=topologies", "--cfg", "job", cwd=tmp_path, PYTHONPATH="")
    assert "sweep: topologies" in composed
    assert list(tmp_path.iterdir()) == []
