"""The report of Table 1: reports/table1.md, .html and .csv."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.config import Config
from src.metrics import SUCCESS
from src.report import short, to_html
from src.runfolder import write_atomically


@dataclass(frozen=True)
class Row:
    """One experiment of Table 1."""

    name: str
    variant: str
    published: Any
    config: Config
    result: dict[str, Any]
    picture: str
    references: dict[str, float]
    """MSE of other learners on the same test data."""
    reached: int | None
    """Epochs after which the median replica was as good as the paper's MSE."""
    late: float
    """MSE over the last half of the cycles."""


def write_table1(rows: list[Row], folder: Path) -> None:
    """table1.md, table1.html and table1.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*_introduction(), *_main_table(rows), *_below_the_floor(rows), *_scalings(rows), *_curves(rows)]) + "\n"
    write_atomically(folder / "table1.md", text)
    write_atomically(folder / "table1.html", to_html(text, folder, title="Table 1, reproduced"))
    with (folder / "table1.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["row", "variant", "replicas", "epochs", "mse_median", "mse_min", "mse_max", "no_learning", "floor", "score_median",
             "success_rate", "mse_after_learning", "cycles_to_learn", "seconds"]
        )  # fmt: skip
        for row in rows:
            r = row.result
            writer.writerow(
                [row.name, row.variant, r["replicas"], r["epochs"], r["mse_median"], r["mse_min"], r["mse_max"], r["no_learning"],
                 r["floor"], r["score_median"], r["success_rate"], r["mse_after_learning"], r["cycles_to_learn"],
                 round(r["seconds"], 1)]
            )  # fmt: skip


def _introduction() -> list[str]:
    return """\
# Table 1 of Younger, Hochreiter & Conwell (2001), reproduced

Written by `make reproduce-table1`. Ours are medians over independent replicas, measured on test functions that no training seed
can touch; hyperparameters were chosen on other seeds. *Floor* is the error of the Bayes-optimal learner, below which nothing can
come; *score* runs from 0, no learning, to 1, the floor. *Cycles* is the first cycle from which the error stays below a tenth of
the no-learning MSE; *MSE after* is over the cycles past the paper's own cycles to learn. *Reached* counts the epochs after which
the median replica was as good as the paper's MSE. The rows "paper's budget" use the paper's network and number of epochs.
""".splitlines()


def _main_table(rows: list[Row]) -> list[str]:
    lines = [
        "", "| row | variant | paper: epochs | MSE | cycles | ours: epochs | MSE (range) | MSE / floor | no learning | floor | score | "
        "success | MSE after | cycles | reached | seconds |", "|" + "---|" * 16,
    ]  # fmt: skip
    for row in rows:
        r, p = row.result, row.published
        low, high = r["success_interval"]
        lines.append(
            "| " + " | ".join([
                f"{p.mappings} {p.length}{', per mapping' if row.name.endswith('per_mapping') else ''}", row.variant, f"{p.epochs}",
                f"{p.mse:g}", f"{p.cycles}", f"{r['epochs']}",
                f"{short(r['mse_median'])} ({short(r['mse_min'])} – {short(r['mse_max'])})", f"{r['mse_median'] / r['floor']:.2f}",
                short(r["no_learning"]), short(r["floor"]), f"{r['score_median']:.3f}",
                f"{r['successes']}/{r['replicas']} ({low:.2f} – {high:.2f})", short(r["mse_after_learning"]),
                "never" if r["cycles_to_learn"] is None else f"{r['cycles_to_learn']:g}",
                "never" if row.reached is None else f"{row.reached}", f"{r['seconds']:.0f}",
            ]) + " |"
        )  # fmt: skip
    return lines


def _below_the_floor(rows: list[Row]) -> list[str]:
    """What is to be said of rows whose published MSE no learner can have as the mean over all cycles."""
    lines = []
    for row in rows:
        r, p = row.result, row.published
        if p.mse < r["floor"] and row.variant == "paper's budget" and not row.name.endswith("per_mapping"):
            lines += [
                "", "## A published error below the floor", "",
                f"The paper's {p.mse:g} for {p.mappings}, T = {p.length}, lies below the Bayes floor of {short(r['floor'])}: as the "
                "mean over all cycles no learner can reach it, for before the first example nothing is known, and the first cycle "
                f"alone costs {short(r['no_learning'])} / {p.length} = {short(r['no_learning'] / p.length)}. Another definition "
                "would: a mean that leaves out the cycles in which the function is being learnt. Over the cycles past the paper's "
                f"own {p.cycles} ours is {short(r['mse_after_learning'])}; over the last half of the sequence, {short(row.late)}.",
            ]  # fmt: skip
    return lines


def _scalings(rows: list[Row]) -> list[str]:
    both = {row.name: row for row in rows if row.variant == "paper's budget" and row.name.startswith("quadratic")}
    if len(both) < 2:
        return []
    whole, per = both["quadratic"], both["quadratic_per_mapping"]
    paper = whole.published.mse
    lines = [
        "", "## Two readings of \"scaled to [0.2, 0.8]\"", "",
        f"With the family's whole range mapped (global), the no-learning error is {short(whole.result['no_learning'])} and the floor "
        f"{short(whole.result['floor'])}; with every mapping's own range mapped, {short(per.result['no_learning'])} and "
        f"{short(per.result['floor'])}. The paper's {paper:g} is a score of {_score(paper, whole):.2f} by the first reading and "
        f"{_score(paper, per):.2f} by the second. ",
    ]  # fmt: skip
    if _score(paper, whole) < SUCCESS <= _score(paper, per):
        lines[-1] += (
            "The paper calls its result a success, which by the first reading it would not be and by the second it is: the second "
            f"fits its words better. Our own networks reach {short(whole.result['mse_median'])} by the first reading and "
            f"{short(per.result['mse_median'])} by the second."
        )
    return lines


def _score(mse: float, row: Row) -> float:
    return (row.result["no_learning"] - mse) / (row.result["no_learning"] - row.result["floor"])


def _curves(rows: list[Row]) -> list[str]:
    lines = ["", "## The error at every cycle", ""]
    for row in rows:
        others = "; ".join(f"{name}: {short(mse)}" for name, mse in row.references.items())
        lines += [f"{row.name}, {row.variant}. MSE of other learners on the same test data: {others}.", "",
                  f"![{row.name}, {row.variant}]({row.picture})", ""]  # fmt: skip
    return lines
