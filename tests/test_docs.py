"""What the documents promise: their examples run, their commands compose, their targets exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from learning_to_learn.commands import train
from learning_to_learn.results.table import find_jobs
from learning_to_learn.runs.run_folder import read_json

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_the_examples_in_contributing_run(tmp_path):
    """In a process of their own: they register units and families."""
    script = tmp_path / "examples.py"
    script.write_text("\n".join(blocks(ROOT / "CONTRIBUTING.md", "python")))
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(Path.home())},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "constants" in done.stdout
    (job,) = find_jobs(tmp_path / "runs")
    result = read_json(job.folder / "result.json")
    assert result["engine"] == "fused"
    assert result["floor"] == pytest.approx(1 / 12 / 20)


def test_the_example_unit_trains_fused(tmp_path):
    command = [sys.executable, "-m", "src.train", "plugins=[examples/leaky_neuron.py]", "arch=bptt",
               "arch.layers=[{leaky_neuron: 12}]", "trainer=quick", "family.sequence_length=20",
               "logger.mode=disabled", f"hydra.run.dir={tmp_path / 'run'}"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "run" / "result.json")["engine"] == "fused"


def commands():
    for document in DOCUMENTS:
        for block in blocks(document, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                yield document.name, line.split(" #")[0].strip()


TRAIN = [(name, line) for name, line in commands() if "src.train" in line and "resume=" not in line]


@pytest.mark.parametrize(("document", "line"), TRAIN)
def test_every_training_command_composes(document, line, capsys):
    arguments = [a for a in shlex.split(line.split("src.train", 1)[1]) if a != "-m"]
    first = [re.sub(r"=([^\[,]+),.*", r"=\1", a) for a in arguments]  # of a sweep, the first job
    assert train._main([*first, "--cfg", "job"]) == 0
    assert "arch:" in capsys.readouterr().out


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for d in DOCUMENTS for t in re.findall(r"\bmake ([a-z0-9-]+)", "\n".join(blocks(d, "sh")))}
    assert named <= targets
    assert {"train", "test", "lint", "help"} <= targets


def test_make_help_lists_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"make {target}" in said


def test_every_link_to_a_file_leads_somewhere():
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
