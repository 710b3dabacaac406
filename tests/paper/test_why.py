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


def test_the_study_is_run_read_out_and_reported(tmp_path):
    reports = tmp_path / "reports"
    assert why.why(start, reports, TINY) == []
    text = (reports / "why.md").read_text(encoding="utf-8")
    assert (
        "The input gate, which the paper calls necessary (`no_input_gate`): **the whole fails itself** on boolean, quadratic"
        in text
    )
    assert set(json.loads((reports / "why.json").read_text(encoding="utf-8"))) == {"boolean", "quadratic"}
    assert (reports / "why.html").read_text(encoding="utf-8").count("data:image/png;base64,") == 4
    assert why.report(reports, title="Why can the LSTM learn to learn?") == text


def test_every_variant_is_the_whole_cell_with_one_feature_taken_out():
    named = {path.stem for path in (CONF / "arch" / "why").glob("*.yaml")}
    assert named == {why.WHOLE, *why.FEATURES}
    assert load_study("why").params["arch"].split(",") == [f"why/{name}" for name in (why.WHOLE, *why.FEATURES)]
    whole, lstm = compose_config(f"arch=why/{why.WHOLE}").arch, compose_config("arch=lstm").arch
    assert (whole.layers, whole.gradient, whole.hold) == (lstm.layers, "truncated", None)
    for name in why.FEATURES:
        arch = compose_config(f"arch=why/{name}").arch
        assert arch.name == name
        assert [sum(layer.values()) for layer in arch.layers] == [12]
        assert (arch.layers == whole.layers) == (arch.hold is not None and "forget_gate" not in arch.hold)


def test_the_committed_report_is_that_of_the_committed_table():
    text = (ROOT / "reports" / "why.md").read_text(encoding="utf-8")
    assert why.report(ROOT / "reports", title=text.splitlines()[0].removeprefix("# ")) == text
