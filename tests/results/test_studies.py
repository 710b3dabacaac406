"""Studies: how cells are made of replicas, how settings are chosen, what the answers say; and a tiny one, run and resumed."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from learning_to_learn import composing
from learning_to_learn.commands import studies as command
from learning_to_learn.errors import UserError
from learning_to_learn.results import studies as module
from learning_to_learn.results import study_report
from learning_to_learn.results.studies import COLUMNS, FRESH, TUNING, Study, choose_settings, studies
from learning_to_learn.results.study_report import Cell, answer, cells, read_table, report, verdict
from learning_to_learn.training.metrics import success_interval

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"


def rows(cell, scores, *, phase=FRESH, group="boolean", setting=""):
    return [
        dict(zip(COLUMNS, ("s", phase, group, cell, setting, seed, score >= 0.9, score, 0.1, 2.0), strict=True))
        for seed, score in enumerate(scores)
    ]


def study(kind="best"):
    return Study("s", "Is it so?", {}, ("arch",), ("family",), answer=kind)


def test_a_cell_is_its_fresh_replicas():
    frame = pd.DataFrame([*rows("a", [0.95] * 12 + [0.5] * 4), *rows("a", [0.1] * 4, phase=TUNING, setting="lr=1")])
    (cell,) = cells(frame)
    assert (cell.successes, cell.replicas, cell.setting) == (12, 16, "lr=1")
    assert cell.rate == success_interval(12, 16)
    assert cell.score == pytest.approx(0.95)  # the middle eight
    assert 0.5 <= cell.low <= cell.score <= cell.high == pytest.approx(0.95)


def test_cells_stand_in_the_order_of_the_sweep():
    tuned = [row for name in ("whole", "a", "b") for row in rows(name, [0.5], phase=TUNING)]
    frame = pd.DataFrame([*tuned, *rows("b", [0.5]), *rows("whole", [0.5]), *rows("a", [0.5])])
    assert [cell.name for cell in cells(frame)] == ["whole", "a", "b"]


def test_a_replica_that_diverged_scores_nothing():
    (cell,) = cells(pd.DataFrame(rows("a", [float("nan")] * 4)))
    assert (cell.successes, cell.score) == (0, 0.0)


def test_the_setting_with_the_most_successes_is_chosen_then_the_highest_mean():
    frame = pd.DataFrame([
        *rows("a", [0.99, 0.99, 0.3, 0.3], phase=TUNING, setting="lr=1"),
        *rows("a", [0.91, 0.91, 0.91, 0.2], phase=TUNING, setting="lr=2"),
        *rows("a", [0.91, 0.91, 0.91, 0.6], phase=TUNING, setting="lr=3"),
        *rows("a", [0.999] * 4, setting=""),
        *rows("b", [float("nan"), -9.0], phase=TUNING, setting="lr=1"),
        *rows("b", [0.2, 0.1], phase=TUNING, setting="lr=2"),
    ])  # fmt: skip
    assert choose_settings(frame) == {("boolean", "a"): "lr=3", ("boolean", "b"): "lr=2"}


def test_the_best_is_told_apart_where_intervals_do_not_overlap():
    frame = pd.DataFrame([*rows("a", [0.95, 0.96] * 4), *rows("b", [0.951, 0.959] * 4), *rows("c", [0.2, 0.3] * 4)])
    said = answer(study(), cells(frame))
    assert "scores highest, not told apart from" in said
    assert "above c (0/8, 0.250)" in said


def test_the_least_is_the_first_of_which_most_succeed():
    some = [*rows("6", [0.1] * 4), *rows("12", [0.95, 0.95, 0.1, 0.1])]
    assert "of none do most replicas succeed, at best of 12 (2/4" in answer(study("least"), cells(pd.DataFrame(some)))
    said = answer(study("least"), cells(pd.DataFrame([*some, *rows("24", [0.95] * 4), *rows("48", [0.99] * 4)])))
    assert said.startswith("Boolean: 24 (4/4, 0.950) is the least")


@pytest.mark.parametrize(
    ("successes", "score", "says"),
    [(16, 0.99, "not necessary"), (16, 0.93, "helps"), (12, 0.93, "helps"), (8, 0.5, "necessary"), (0, 0.1, "necessary")],
)
def test_a_feature_is_necessary_where_success_is_rarer_without_it(successes, score, says):
    whole = Cell("boolean", "whole", "", 16, 16, 0.99, 0.98, 0.995)
    assert verdict(whole, Cell("boolean", "variant", "", successes, 16, score, score - 0.02, score + 0.01)) == says


def test_nothing_is_necessary_for_what_the_whole_cannot_do():
    whole = Cell("quadratic", "whole", "", 2, 16, 0.7, 0.6, 0.8)
    assert verdict(whole, Cell("quadratic", "variant", "", 0, 16, 0.1, 0.0, 0.2)) == "the whole fails itself"


def test_every_study_says_how_it_is_answered_and_no_tuning_seed_is_reported():
    found = studies()
    assert set(found) >= {
        "feedback",
        "gradients",
        "held_out",
        "hidden_size",
        "learning_rate",
        "sequence_length",
        "own_rates",
        "why",
    }
    for one in found.values():
        assert "?" in one.question
        swept = {*one.compare, *one.for_each, *one.tune}
        assert swept == set(one.params), one.name
        if one.tune:
            config = composing.compose_config(f"sweep={one.name}", *(f"{k}={v.split(',')[0]}" for k, v in one.params.items()
                                                                    if "[" not in v))  # fmt: skip
            assert config.seed >= 1000
            assert config.evaluation.seed != 0
            assert {"seed=0", "evaluation.seed=0"} <= set(one.fresh)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder of sweeps with one small tuned study."""
    folder = tmp_path / "sweeps"
    folder.mkdir()
    content = {
        "sweep": "tiny", "seed": 1000, "replicas": 2, "evaluation": {"seed": 1, "mappings": 16}, "logger": {"mode": "disabled"},
        "family": {"sequence_length": 12}, "trainer": {"epochs": 2, "evaluate_every": 2},
        "study": {"compare": ["arch.layers"], "for_each": ["family"], "tune": ["optimizer.lr"],
                  "fresh": ["seed=0", "evaluation.seed=0", "replicas=3"]},
        "hydra": {"sweeper": {"params": {"family": "boolean", "arch.layers": "[{neuron: 2}],[{memory_cell: 1}]",
                                         "optimizer.lr": "0.01,0.1"}}},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(f"# @package _global_\n# Is it\n# so?\n{yaml.safe_dump(content)}", encoding="utf-8")
    for one in (composing, module):
        monkeypatch.setattr(one, "SWEEPS", folder)
    return studies()["tiny"]


def test_a_tuned_study_is_run_answered_and_resumed(tiny, tmp_path, capsys):
    assert tiny.question == "Is it so?"
    assert command._main(["tiny", "threads=1"]) == 0
    frame = read_table(tmp_path / "reports", tiny)
    tuned, fresh = frame[frame["phase"] == TUNING], frame[frame["phase"] == FRESH]
    assert set(frame["cell"]) == {"2 neuron", "1 memory_cell"}
    assert set(frame["group"]) == {"boolean"}
    assert (len(tuned), set(tuned["seed"]), set(tuned["setting"])) == (8, {1000, 1001}, {"lr=0.01", "lr=0.1"})
    assert (len(fresh), set(fresh["seed"])) == (6, {0, 1, 2})
    best = choose_settings(frame)
    assert {(row.cell, row.setting) for row in fresh.itertuples()} == {(cell, setting) for (_, cell), setting in best.items()}
    text = (tmp_path / "reports/studies.md").read_text(encoding="utf-8")
    assert "Is it so?" in text
    assert "6 replicas and 8 of tuning" in text
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("last.ckpt")}
    assert len(before) == 6
    assert command._main(["tiny"]) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("last.ckpt")} == before
    assert (tmp_path / "reports/studies.md").read_text(encoding="utf-8") == text


def test_quick_says_quick_and_writes_elsewhere(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(study_report, "QUICK", ("trainer.epochs=1",))
    assert command._main([]) == 0
    assert (tmp_path / "reports/quick/studies.md").read_text(encoding="utf-8").startswith("# What the studies find (QUICK")
    assert not (tmp_path / "reports/studies.md").exists()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (
            "{compare: [arch.layers], by: [family], tune: [optimizer.lr]}",
            "key of study in .*'by': choose one of answer",
        ),
        ("{compare: [arch.layers], for_each: [family]}", "name arch.layers, family; the sweep is over .*optimizer.lr"),
        ("{for_each: [family, arch.layers], tune: [optimizer.lr]}", "compare, for_each and tune name"),
    ],
)
def test_a_study_that_does_not_fit_its_sweep_is_one_line(tiny, tmp_path, said, says):
    path = tmp_path / "sweeps" / "tiny.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | {"study": yaml.safe_load(said)}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=says) as error:
        command._main([])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "says"), [(["nonsense"], "unknown study"), (["replicas=3"], "choose one of launcher, logger")]
)
def test_what_cannot_be_asked_is_one_line(words, says):
    with pytest.raises(UserError, match=says):
        command._main(words)


def test_the_committed_answers_are_those_of_the_committed_tables():
    text = (REPORTS / "studies.md").read_text(encoding="utf-8")
    assert report(REPORTS, title=text.splitlines()[0].removeprefix("# ")) == text
