"""What the report of Table 1 says of rows that stay above the paper's error."""

from types import SimpleNamespace

import pytest

from learning_to_learn.paper.reproduce import TABLE1
from learning_to_learn.paper.table1 import PUBLISHED, Ablation, Row, Table1, _not_reached


def row(median: float, train: float | None, *, floor: float = 0.0039, epochs: int = 800) -> Row:
    result = {"floor": floor, "mse_median": median, "no_learning": 0.25, "epochs": epochs}
    return Row(
        name="boolean", variant=PUBLISHED, published=TABLE1["boolean"], config=SimpleNamespace(), network="", result=result,
        picture="", references={}, reached=None, late=0.0, train_mse=train,
    )  # fmt: skip


def said(*rows: Row, quick: bool = False) -> str:
    return "\n".join(_not_reached(Table1(rows=list(rows), quick=quick)))


def test_a_row_that_is_reached_is_not_named():
    assert said(row(0.0050, 0.0049)) == ""


def test_a_published_error_below_the_floor_is_no_failure_of_the_network():
    assert said(row(0.0070, 0.0069, floor=0.0060)) == ""


def test_quick_claims_nothing():
    assert said(row(0.0160, 0.0100), quick=True) == ""


@pytest.mark.parametrize(
    ("train", "words"),
    [(0.0100, "the network learnt part of them by heart."), (0.0155, "hardly less: it was not learnt by heart")],
)
def test_the_training_error_decides_which_reason_is_likely(train, words):
    text = said(row(0.0160, train))
    assert "0.016 instead of 0.0058" in text
    assert words in text


def test_a_shorter_training_is_a_reason_too():
    assert "It was trained for 300 of the paper's 800 epochs." in said(row(0.0160, None, epochs=300))
    assert "It was trained for" not in said(row(0.0160, None))


def test_the_published_errors_stand_beside_those_on_the_training_sequences():
    near, far = row(0.0160, 0.0050), row(0.0160, 0.0155)
    assert "lie nearer to them" in said(near)
    assert "Boolean 256: 0.0058, ours 0.005." in said(near)
    assert "lie nearer to them" not in said(far, near)


def test_the_other_corpora_stand_below():
    other = Ablation("table1_boolean_published", "16 sequences", {"mse_median": 0.2}, 0.01)
    text = "\n".join(_not_reached(Table1(rows=[row(0.016, 0.010)], ablations=[other])))
    assert "16 sequences: 0.01 and 0.2" in text
