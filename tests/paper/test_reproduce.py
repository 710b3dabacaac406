"""The reports, from a tiny Table 1 whose rows train in seconds."""

import csv
import re

import pytest

from learning_to_learn.commands import reproduce as command
from learning_to_learn.composing import compose_config
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.job import Outcome
from learning_to_learn.paper import reproduce
from learning_to_learn.results.markdown import to_html

TINY = (
    "trainer.epochs=4", "trainer.evaluate_every=2", "replicas=2", "evaluation.mappings=16", "logger.mode=disabled",
    "family.sequence_length=40", "trainer.curriculum=[]", "arch.layers=[{memory_cell: 2, neuron: 2}]", "trainer.batch=4",
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(reproduce, "QUICK", TINY)
    for changes in ("ABLATIONS", "CORPORA"):  # two of each: all train alike
        monkeypatch.setattr(reproduce, changes, dict(list(getattr(reproduce, changes).items())[:2]))


def some(monkeypatch, count, *more):
    """Let the table have its first rows only, and those that are named."""
    rows = dict(list(reproduce.TABLE1.items())[:count])
    monkeypatch.setattr(reproduce, "TABLE1", rows | {name: reproduce.TABLE1[name] for name in more})


@pytest.mark.parametrize("count", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_table1_is_written_and_resumes(tiny, tmp_path, capsys, monkeypatch, count):
    some(monkeypatch, count)
    assert command._main(["table1"]) == 0
    folder = tmp_path / "reports" / "quick"
    text, page = (folder / "table1.md").read_text(), (folder / "table1.html").read_text()
    with (folder / "table1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["row"] for r in rows} == set(reproduce.TABLE1)
    assert list(rows[0]) == [
        "row", "variant", "replicas", "epochs", "mse_median", "mse_min", "mse_max", "no_learning", "floor", "score_median",
        "success_rate", "mse_after_learning", "cycles_to_learn", "seconds", "excess_median", "excess_error", "train_mse",
        "steps_to_learn", "steps_deviation", "floor_of_training_mappings", "mse_of_memorizing",
    ]  # fmt: skip
    for row in rows:
        assert float(row["mse_min"]) <= float(row["mse_median"]) <= float(row["mse_max"])
        assert float(row["floor"]) < float(row["mse_median"])
    curves = [r for r in rows if r["variant"] != "a fifth of it"]
    pictures = len(list(folder.glob("table1_*.png")))
    assert pictures > len(curves)  # and those of the probes
    assert text.count("![") == page.count("data:image/png;base64,") == pictures
    assert text.startswith("# QUICK: ")
    assert "fits the published numbers better" not in text
    assert {r["variant"] for r in rows} == {"as published", "their gradient", "full gradient", "best"}
    for row in rows:
        assert float(row["excess_median"]) > 0
        assert bool(row["floor_of_training_mappings"]) == (row["variant"] == "as published")
    for words in ("| truncated | sgd, momentum", "100 fixed sequences", "| Bayes-optimal | 0.025 ± 0 | 1.000 |"):
        assert words in text
    assert ("Two readings" in text) == ("quadratic_per_mapping" in reproduce.TABLE1)
    for section in ("Beside the paper", "below the floor", "fast?", "each help", "in their cells"):
        assert section in text
    assert 'src="table1' not in page
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("last.ckpt")}
    assert command._main(["table1"]) == 0  # nothing is trained again
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("last.ckpt")} == before


def test_a_failing_row_is_named_and_the_others_are_reported(tiny, tmp_path, monkeypatch, capsys):
    run = reproduce.run_job

    def some_fail(config, folder):
        return Outcome("failed", folder) if folder.name == "table1_quadratic" else run(config, folder)

    monkeypatch.setattr(reproduce, "run_job", some_fail)
    some(monkeypatch, 1, "quadratic")
    assert command._main(["table1"]) == 1
    assert "table1_quadratic" in capsys.readouterr().err
    assert "Boolean 256" in (tmp_path / "reports" / "quick" / "table1.md").read_text()


def test_figure3_is_drawn(tiny, tmp_path):
    assert command._main(["figure3"]) == 0
    assert (tmp_path / "reports" / "quick" / "figure3.png").stat().st_size > 10_000


def test_an_unknown_report_is_one_line():
    with pytest.raises(UserError, match="choose one of ancestors, families, figure3, readme, table1, texts, why"):
        command._main(["table2"])


@pytest.mark.parametrize(
    ("experiment", "change"), [(name, change) for name, changes in reproduce.ablations().items() for change in changes]
)
def test_every_ablation_composes(experiment, change):
    config = compose_config(f"experiment={experiment}", *reproduce.ABLATION, *reproduce.ablations()[experiment][change])
    check(config)


def test_the_papers_table_is_as_it_is_printed():
    published = [(p.mappings, p.length, p.epochs, p.mse, p.cycles) for p in list(reproduce.TABLE1.values())[:4]]
    assert published == [
        ("Boolean", 256, 800, 0.0058, 10), ("Semi-linear", 64, 10000, 0.0008, 10), ("Semi-linear", 1000, 5000, 0.0025, 50),
        ("Quadratic", 100, 25000, 0.00068, 35),
    ]  # fmt: skip


def test_a_page_needs_no_other_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    page = to_html("# T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![a](a.png)\n", tmp_path, title="T")
    assert "<table>" in page
    assert 'src="data:image/png;base64,iVBORw==' in page
    assert not re.search("https?:", page)
