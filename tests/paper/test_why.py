"""The report on section 5, from a tiny study of two cells, and as it is committed."""

import json
from pathlib import Path

from learning_to_learn.composing import CONF, compose_config
from learning_to_learn.jobs.sweeps import start
from learning_to_learn.paper import why
from learning_to_learn.results.studies import load_study

ROOT = Path(__file__).parents[2]
TINY = [
    "arch=why/whole_cell,why/no_input_gate", "family=boolean,quadratic", "optimizer.lr=0.02", "optimizer.clip=1", "replicas=2",
    "trainer.epochs=2", "trainer.evaluate_every=2", "family.sequence_length=12", "evaluation.mappings=16",
    "logger.mode=disabled", "threads=1",
]  # fmt: skip


def test_the_study_is_run_read_out_and_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(why, "STUDIES", ("why",))
    reports = tmp_path / "reports"
    assert why.why(start, reports, TINY) == []
    text = (reports / "why.md").read_text(encoding="utf-8")
    assert (
        "The input gate, which the paper calls necessary (`no_input_gate`): **the whole fails itself** on boolean, quadratic"
        in text
    )
    assert set(json.loads((reports / "why.json").read_text(encoding="utf-8"))) == {"boolean", "quadratic", "sha256"}
    assert (reports / "why.html").read_text(encoding="utf-8").count("data:image/png;base64,") == 4
    assert why.report(reports, title="Why can the LSTM learn to learn?") == text


def test_every_variant_is_the_whole_cell_with_one_feature_taken_out():
    named = {path.stem for path in (CONF / "arch" / "why").glob("*.yaml")}
    assert named == {why.WHOLE, *why.FEATURES}
    for study, folder in zip(why.STUDIES, ("why", "why/large"), strict=True):
        assert load_study(study).params["arch"].split(",") == [f"{folder}/{name}" for name in (why.WHOLE, *why.FEATURES)]
    whole, lstm = compose_config(f"arch=why/{why.WHOLE}").arch, compose_config("arch=lstm").arch
    assert (whole.layers, whole.gradient) == (lstm.layers, "truncated")
    for name in (why.WHOLE, *why.FEATURES):
        arch, large = (compose_config(f"arch={folder}/{name}").arch for folder in ("why", "why/large"))
        assert large.layers == [{unit: 2 * count for unit, count in layer.items()} for layer in arch.layers]
        assert (large.name, large.hold, large.gradient) == (arch.name, arch.hold, "bptt")
        assert arch.name == name
        assert [sum(layer.values()) for layer in arch.layers] == [12]
        cell = {"leaky_loop_0.9": "forget_cell", "leaky_loop_0.99": "forget_cell", "squashed_loop": "squashed_loop_cell",
                "no_squashing": "unsquashed_cell"}.get(name, "memory_cell")  # fmt: skip
        assert cell in arch.layers[0]
        assert (arch.hold is not None) == (name.startswith(("leaky", "no_input", "no_output")))
    assert whole.hold is None


def test_the_committed_report_is_that_of_the_committed_table():
    text = (ROOT / "reports" / "why.md").read_text(encoding="utf-8")
    assert why.report(ROOT / "reports", title=text.splitlines()[0].removeprefix("# ")) == text
