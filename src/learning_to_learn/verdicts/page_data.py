"""What the dashboard shows of a verdict, as plain values in one file: `verdict_page.json`.

It lies beside the report's record, and in runs/verdict/, so that the dashboard of either folder shows it.
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learning_to_learn.verdicts.analysis import Findings

PAGE = "verdict_page.json"
COSTS = ("parameters", "state_size", "multiplications")
"""What a contender costs, besides seconds: the axes of the frontiers."""
CONTENDER = ("contender", "mean_score", "score", "score_low", "score_high", "successes", "replicas", *COSTS, "seconds")
CONTRAST = (
    "contender", "against", "difference", "p", "p_holm", "better", "better_low", "better_high",
    "sooner_p_holm", "better_redrawn",
)  # fmt: skip


def page_of(found: "Findings", answer: str) -> dict[str, Any]:
    """Return the verdict as the dashboard reads it: tables as lists of rows, curves by contender and problem."""
    from learning_to_learn.verdicts.cells import FRESH

    fresh = found.rows[found.rows["phase"] == FRESH]
    scores = {
        (str(contender), str(problem)): [_number(v) for v in rows["score"]]
        for (contender, problem), rows in fresh.groupby(["contender", "problem"], sort=False)
    }
    return {
        "title": found.protocol.question or "Verdict",
        "answer": answer,
        "warning": found.warning,
        "problems": [str(name) for name in found.cells["problem"].unique()],
        "costs": [*COSTS, "seconds"],
        "contenders": _rows(found.contenders, CONTENDER),
        "contrasts": _rows(found.contrasts, CONTRAST) if len(found.contrasts) else [],
        "scores": [
            {"contender": contender, "problem": problem, "values": values} for (contender, problem), values in scores.items()
        ],
        "tuning": [
            {"contender": contender, "problem": problem, "expected": [_number(v) for v in curve.expected],
             "low": [_number(v) for v in curve.low], "high": [_number(v) for v in curve.high]}
            for (contender, problem), curve in found.curves.items()
        ],
    }  # fmt: skip


def _rows(table: Any, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{key: _plain(row[key]) for key in columns} for row in table.to_dict("records")]


def _plain(value: Any) -> str | float | None:
    return value if isinstance(value, str) else _number(value)


def _number(value: Any) -> float | None:
    number = float(value)
    return float(f"{number:.4g}") if math.isfinite(number) else None
