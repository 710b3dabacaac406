"""reports/families.md: every family has a row, and the regret is counted from the source."""

import csv

import numpy as np
import pytest

from learning_to_learn.composing import compose_config
from learning_to_learn.families import FAMILIES
from learning_to_learn.paper import families as report

SMALL = ("trainer.epochs=4", "trainer.evaluate_every=2", "trainer.sequences=10", "evaluation.mappings=400")


def test_every_family_that_ships_is_in_the_report():
    ships = {name for name, family in FAMILIES.items() if family.__module__.startswith("learning_to_learn.")}
    assert set(report.FAMILIES) == ships


@pytest.mark.slow
def test_a_small_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "FAMILIES", {"switching_bernoulli": SMALL, "linear_regression": SMALL})
    monkeypatch.setattr(report, "REGRESSION", "in_context_regression")

    def compose(*words):
        return compose_config(*words, "trainer.curriculum=[]", *SMALL)

    assert report.families(compose, tmp_path / "reports") == []
    rows = list(csv.DictReader((tmp_path / "reports" / "families.csv").open()))
    assert {row["learner"] for row in rows} >= {"lstm_forget", "gru", "recursive least squares", "counts of all tosses"}
    text = (tmp_path / "reports" / "families.md").read_text()
    assert "**not** within a tenth" in text  # after four epochs
    assert all((tmp_path / "reports" / f"families_{name}.png").stat().st_size > 10_000 for name in ("regret", "regression"))


@pytest.mark.slow
def test_the_regret_is_what_is_lost_to_the_source(tmp_path, monkeypatch):
    """An untrained network loses more than the exact predictor, which loses more than the source, and less than counts."""
    monkeypatch.setattr(report, "RUNS", tmp_path)
    words = ("family=switching_bernoulli", "arch=gru", "trainer.curriculum=[]", *SMALL)
    folder = report._train(compose_config, tmp_path / "gru", False, *words)
    found = report.regret({"gru": folder}, tmp_path)
    assert 0 < found["exact predictor"] < found["counts of all tosses"] < found["gru"] < np.inf
