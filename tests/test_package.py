"""The package as a user installs it: a wheel in a new environment, used from an empty folder."""

import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={"HOME": str(Path.home()), "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    into = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(into),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    return next(into.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` of a new environment that has the wheel, and the dependencies of this environment but not its checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    # A .pth file of this environment is not read from there, so that the checkout is not on the path.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return folder / "bin"


def test_configurations_and_studies_travel_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "sweeps"):
        files = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.yaml")]
        assert {f"learning_to_learn/{file}" for file in files} <= names
    assert not any(name.startswith(("src/", "tests/")) for name in names)


def test_the_installed_package_is_the_wheel(installed, tmp_path):
    said = run([installed / "python", "-c", "import learning_to_learn; print(learning_to_learn.__file__)"], tmp_path)
    assert str(installed.parent) in said


def test_a_job_trains_from_an_empty_folder(installed, tmp_path):
    job = ["arch=lstm", "trainer=quick", "trainer.epochs=2", "replicas=1", "logger.mode=disabled", "hydra.run.dir=run"]
    assert "lstm" in run([installed / "learning-to-learn", "train", *job], tmp_path)
    assert (tmp_path / "run" / "result.json").is_file()


def test_a_study_is_found_from_an_empty_folder(installed, tmp_path):
    assert "sweep: topologies" in run([installed / "learning-to-learn", "train", "sweep=topologies", "--cfg", "job"], tmp_path)
