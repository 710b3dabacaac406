"""The views of a verdict in the browser, in wandb, and what a damaged file does to them."""

import copy
import json

import numpy as np
import pytest

from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import with_data
from learning_to_learn.dashboard.verdict_data import is_verdict, verdicts_under
from learning_to_learn.verdicts.page_data import CONTENDER, CONTRAST, PAGE
from learning_to_learn.verdicts.wandb_views import log_verdict

ARCHS, PROBLEMS = ("lstm", "gru", "<b>own</b>"), ("boolean", "semilinear")


def fabricated():
    contenders = [
        dict.fromkeys(CONTENDER, 0.5) | {"contender": name, "mean_score": 0.9 - 0.2 * i, "parameters": 400.0 - 90 * i}
        for i, name in enumerate(ARCHS)
    ]
    contrasts = [
        dict.fromkeys(CONTRAST, 0.25) | {"contender": name, "against": "lstm", "p_holm": None if name == "gru" else 0.031}
        for name in ARCHS[1:]
    ]
    pairs = [{"contender": a, "problem": p} for a in ARCHS for p in PROBLEMS]
    curve = {"expected": [0.4, 0.6, 0.7], "low": [0.1, 0.3, 0.4], "high": [0.8, 0.9, 0.95]}
    return {
        "title": "Which <i>archs</i>?", "answer": "lstm scores highest.", "warning": "", "problems": list(PROBLEMS),
        "costs": ["parameters", "state_size", "multiplications", "seconds"], "contenders": contenders, "contrasts": contrasts,
        "scores": [{**pair, "values": [0.2, 0.8, 1.0]} for pair in pairs], "tuning": [{**pair, **curve} for pair in pairs],
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "verdict").mkdir()
    (tmp_path / "verdict" / PAGE).write_text(json.dumps(fabricated()))
    return tmp_path


def test_the_page_shows_a_verdict(page, folder):
    file = folder / "page.html"
    file.write_text(with_data({**collect(folder, []), "title": "reports", "base": ""}), encoding="utf-8")
    page.goto(file.as_uri())
    page.wait_for_selector("#verdict-tuning .main-svg")
    assert page.locator("#verdict-title").inner_text() == "Which <i>archs</i>?"
    assert page.locator("#verdict-answer").inner_text() == "lstm scores highest."
    assert not page.locator("#of-runs").is_visible()  # there are none
    assert page.locator("#verdict-contrasts tbody tr").count() == 2
    assert page.locator("#verdict-contrasts tbody tr").nth(1).locator("td").nth(4).inner_text() == "0.031"
    assert page.locator("#verdict-contrasts tbody tr").nth(0).locator("td").nth(4).inner_text() == "–"
    frontiers = "document.getElementById('verdict-frontiers').data.filter((t) => t.mode === 'markers')"
    assert page.evaluate(f"{frontiers}.map((t) => [t.x.length, t.xaxis])") == [[3, "x"], [3, "x2"], [3, "x3"], [3, "x4"]]
    boxes = "document.getElementById('verdict-scores').data"
    assert page.evaluate(f"{boxes}.filter((t) => t.xaxis === 'x2').map((t) => t.y)") == [[0.2, 0.8, 1.0]] * 3
    assert page.locator("#verdict-part b, #verdict-part i").count() == 0  # what the file says is text, never markup


def test_a_page_without_a_verdict_does_not_show_the_part(page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(with_data({**collect(tmp_path, []), "title": "none", "base": ""}), encoding="utf-8")
    page.goto(file.as_uri())
    page.wait_for_selector("#matrix thead", state="attached")
    assert not page.locator("#verdict-part").is_visible()


def damage(change):
    data = copy.deepcopy(fabricated())
    change(data)
    return data


@pytest.mark.parametrize(
    "data",
    [
        [], {}, None, 3,
        damage(lambda d: d.pop("answer")),
        damage(lambda d: d.update(problems="boolean")),
        damage(lambda d: d["contenders"][0].pop("parameters")),
        damage(lambda d: d["tuning"][0].update(expected=["<script>"])),
        damage(lambda d: d["scores"][0].update(values=None)),
        damage(lambda d: d.update(contrasts=[1])),
    ],
)  # fmt: skip
def test_what_is_damaged_is_left_out_and_named(data, folder):
    assert is_verdict(fabricated())
    (folder / "other").mkdir()
    (folder / "other" / PAGE).write_text(json.dumps(data))
    found, notes = verdicts_under(folder)
    assert [one["title"] for one in found] == ["Which <i>archs</i>?"]
    assert len(notes) == 1
    assert "is damaged" in notes[0]


@pytest.mark.slow
def test_wandb_gets_the_tables_and_the_pictures(tmp_path):
    from learning_to_learn.figures import lines_figure, save

    save(lines_figure({"a": np.ones(4)}, ylabel="y", title="t"), tmp_path / "pictures" / "frontiers.png")
    assert log_verdict(fabricated(), tmp_path / "pictures", tmp_path, mode="offline")
    (file,) = tmp_path.rglob("run-*.wandb")
    said = file.read_bytes()
    for key in ("contenders", "contrasts", "tuning", "scores", "frontiers", "Which <i>archs</i>?", "mean_score/lstm"):
        assert key.encode() in said
    (table,) = tmp_path.rglob("contrasts_*.table.json")
    rows = json.loads(table.read_text())
    assert (rows["columns"], len(rows["data"])) == (list(fabricated()["contrasts"][0]), 2)
