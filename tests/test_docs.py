"""What the documents promise: their examples run, their commands compose, their targets exist."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from learning_to_learn.commands import train
from learning_to_learn.composing import compose_config
from learning_to_learn.errors import UserError
from learning_to_learn.results.figures_in_text import DOCUMENTS as FILLED
from learning_to_learn.results.figures_in_text import SWEEP, figures, fill, host_cpu, marks
from learning_to_learn.results.figures_in_text import TRAIN as FLAGSHIP
from learning_to_learn.results.table import find_jobs
from learning_to_learn.runs.run_folder import read_json, read_rows

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
THIS_CHECKOUT = os.pathsep.join([str(ROOT / "src"), str(ROOT)])


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def run(arguments, folder):
    environment = {**os.environ, "PYTHONPATH": THIS_CHECKOUT}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_examples_in_contributing_run(tmp_path):
    """In a process of their own: they register units, gradients, families and optimizers."""
    script = tmp_path / "examples.py"
    script.write_text("\n".join(blocks(ROOT / "CONTRIBUTING.md", "python")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env={"PYTHONPATH": THIS_CHECKOUT, "PATH": "", "HOME": str(Path.home())},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "constants" in done.stdout
    (job,) = find_jobs(tmp_path / "runs")
    result = read_json(job.folder / "result.json")
    assert (result["family"], result["engine"]) == ("constants", "fused")
    assert result["floor"] == pytest.approx(1 / 12 / 20)
    assert job.settings["optimizer.name"] == "sign_descent"


def test_contributing_has_an_example_of_everything_that_one_can_add():
    python, yaml = (" ".join(blocks(ROOT / "CONTRIBUTING.md", language)) for language in ("python", "yaml"))
    for base in ("@unit(", "(Gradient)", "(Family)", "(FamilyConfig)", "(Optimizer)", "(OptimizerConfig)"):
        assert base in python
    assert "hydra:" in yaml


def test_the_study_in_contributing_composes(capsys):
    (text,) = blocks(ROOT / "CONTRIBUTING.md", "yaml")
    name = re.match(r"# sweeps/(\w+)\.yaml\n", text)[1]
    study = OmegaConf.create(text)
    assert study.pop("study")  # no setting of a job: composing leaves it out of every study of sweeps/
    assert study.sweep == name
    ConfigStore.instance().store(group="sweep", name=name, node=study, package="_global_")
    try:
        first = [f"{key}={values.split(',')[0]}" for key, values in study.hydra.sweeper.params.items()]
        assert train._main([f"sweep={name}", *first, "--cfg", "job"]) == 0
    finally:
        del ConfigStore.instance().repo["sweep"][f"{name}.yaml"]
    said = OmegaConf.create(capsys.readouterr().out)
    assert (said.sweep, said.replicas, said.arch.name) == (name, 8, "forget_lstm")
    assert said.arch.bias == {"forget_gate": 0.0}


def test_the_example_unit_trains_fused(tmp_path):
    done = run(
        ["-m", "src.train", "plugins=[examples/leaky_neuron.py]", "arch.layers=[{leaky_neuron: 4}]", "trainer=quick",
         "family.sequence_length=20", "logger.mode=disabled", f"hydra.run.dir={tmp_path / 'run'}"], ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "run" / "result.json")["engine"] == "fused"


def commands():
    for document in DOCUMENTS:
        for block in blocks(document, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                yield document.name, line.split(" #")[0].strip()


TRAINER = r"(?:src\.train|learning-to-learn train)\b"
TELLING = ("--help", "--explain")
LINES = list(commands())
TRAIN = [
    (name, line)
    for name, line in LINES
    if re.search(TRAINER, line) and "resume=" not in line and not any(flag in line for flag in TELLING)
]


@pytest.mark.parametrize(("document", "line"), TRAIN)
def test_every_training_command_composes(document, line, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)  # plugins are paths in the checkout
    words = shlex.split(re.split(TRAINER, line, maxsplit=1)[1])
    arguments = [a for a in words if a not in ("-m", "--cfg", "job", "--dry-run") and not a.startswith("zip=")]
    first = [re.sub(r"=([^\[,]+),.*", r"=\1", a) for a in arguments]  # of a sweep, the first job
    assert train._main([*first, "--cfg", "job"]) == 0
    assert "arch:" in capsys.readouterr().out


OTHERS = sorted({
    " ".join([found[1], *re.findall(r"^ ([a-z]\w*)(?= |$)", line[found.end() :])])
    for _, line in LINES
    if (found := re.search(r"(?:-m src\.|learning-to-learn )(\w+)", line))
} - {"train"})  # fmt: skip


@pytest.mark.parametrize("command", OTHERS)
def test_every_other_command_exists_and_explains_itself(command, tmp_path):
    """`sweep status`, `dashboard serve`, `kernel`, ...: as modules of src/, which is all that a checkout promises."""
    module, *words = command.split()
    done = run(["-m", f"src.{module}", *words, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sage" in done.stdout


def test_the_keys_are_explained_as_the_documents_say(tmp_path):
    for _, line in LINES:
        if re.search(TRAINER, line) and any(flag in line for flag in TELLING):
            done = run(["-m", "src.train", *shlex.split(re.split(TRAINER, line, maxsplit=1)[1])], tmp_path)
            assert done.returncode == 0, done.stderr
            assert ("epochs" if "--explain" in line else "--explain") in done.stdout


def test_every_command_has_its_line_in_the_table_of_commands():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for path in (ROOT / "src").glob("*.py"):
        if path.stem != "__init__":
            assert f"| `src.{path.stem}` |" in text


def test_the_layout_names_every_folder_of_the_package_and_no_other():
    (tree,) = re.findall(r"```\n(src/.*?)```", (ROOT / "docs" / "layout.md").read_text(encoding="utf-8"), re.DOTALL)
    inside = tree[tree.index("learning_to_learn/") : tree.index("\nconf/")]
    folders = {p.parent.name for p in (ROOT / "src" / "learning_to_learn").glob("*/__init__.py")}
    assert set(re.findall(r"^    (\w+)/", inside, re.MULTILINE)) == folders


def test_readme_sets_up_in_two_commands_then_trains_and_tests():
    first, train_it, test_it, *_ = blocks(ROOT / "README.md", "sh")
    assert len(first.splitlines()) == 2
    assert first.splitlines()[1] == "make setup"
    assert (train_it, test_it) == ("make train\n", "make test\n")


def test_the_figures_of_the_study_are_those_of_its_committed_table():
    cluster = " ".join((ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split())
    for row in csv.DictReader((ROOT / "reports" / "topologies.csv").read_text(encoding="utf-8").splitlines()):
        if row["family"] == "boolean" and row["arch"] in ("lstm", "rtrl"):
            assert f"took {float(row['seconds']):.0f} s" in cluster


def test_readme_has_the_best_archs_of_the_committed_verdict_and_those_of_the_paper():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = list(csv.DictReader((ROOT / "reports" / "verdict.csv").read_text(encoding="utf-8").splitlines()))
    mean = {row["contender"]: 0.0 for row in rows}
    for row in rows:
        mean[row["contender"]] += float(row["mean_score"])
    best = sorted(mean, key=mean.__getitem__)[-5:]
    for row in rows:
        said = re.search(rf"^\| {row['contender']} \|(.*)$", readme.partition("figure: verdict")[2], re.MULTILINE)
        assert (said is not None) == (row["contender"] in {*best, "lstm", "elman", "bptt"})
        if said:
            assert f"{row['successes']}/{row['seeds']}, {float(row['score']):.2f}" in said[1]


def test_every_figure_in_a_text_is_that_of_its_committed_file():
    known = figures(ROOT / "reports")
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert fill(text, known) == text, f"{document.name}: `make readme` fills in its figures"
        assert not marks(text) or str(document.relative_to(ROOT)) in FILLED, f"`make readme` does not fill in {document.name}"


def test_a_text_that_states_another_figure_is_found():
    text = "It <!-- figure: took -->took 3 s<!-- /figure -->."
    assert fill(text, {"took": "took 4 s"}) == text.replace("3", "4")
    with pytest.raises(UserError, match="unknown figure 'took': choose one of cpu"):
        fill(text, {"cpu": "znver3"})


def test_the_figures_of_readme_are_of_what_it_tells_its_reader_to_run():
    """The commands in its text are those that `make train`, `make sweep` and `make readme` run."""
    makefile, readme = (ROOT / "Makefile").read_text(encoding="utf-8"), (ROOT / "README.md").read_text(encoding="utf-8")
    for words in (FLAGSHIP, SWEEP):
        assert f"$(RUN) -m src.train {' '.join(words)}\n" in makefile
    assert f"python -m src.train {' '.join(SWEEP)}\n" in readme
    rows = read_rows(ROOT / "reports" / "readme.csv")
    for words, name in ((FLAGSHIP, "train"), (SWEEP, "sweep")):
        found = [row for row in rows if row["command"] == name]
        archs = words[-2].removeprefix("arch=").split(",")
        assert {row["arch"] for row in found} == set(archs)  # the best first, as the table has them
        assert {int(row["replicas"]) for row in found} == {compose_config(f"arch={archs[0]}").replicas}


@pytest.mark.slow
def test_make_train_says_what_readme_says(tmp_path):
    """To the last digit, on a processor of the same type."""
    (row,) = (row for row in read_rows(ROOT / "reports" / "readme.csv") if row["command"] == "train")
    if row["cpu"] != host_cpu():
        pytest.skip(f"reports/readme.csv is of a {row['cpu']}")
    done = run(["-m", "src.train", *FLAGSHIP, "logger.mode=disabled", f"hydra.run.dir={tmp_path / 'run'}"], ROOT)
    assert done.returncode == 0, done.stderr
    result = read_json(tmp_path / "run" / "result.json")
    for key in ("successes", "score_median", "mse_median", "excess_median", "cycles_to_learn"):
        assert result[key] == float(row[key])


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {t for d in DOCUMENTS for t in re.findall(r"\bmake ([a-z0-9-]+)", "\n".join(blocks(d, "sh")))}
    assert named <= targets
    assert {"train", "test", "lint", "help"} <= targets


def test_make_help_lists_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
        assert f"make {target}" in said


def test_every_link_to_a_file_leads_somewhere():
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
