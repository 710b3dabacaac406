"""The report of Table 1: reports/table1.md, .html and .csv."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learning_to_learn.config import Config
from learning_to_learn.results.markdown import markdown_table, short, to_html
from learning_to_learn.runs.run_folder import write_atomically
from learning_to_learn.training.metrics import LEARNT, SUCCESS, Metrics

BUDGET, FIFTH, BEST = "paper's budget", "a fifth of it", "best"
COLUMNS = (
    "row", "variant", "replicas", "epochs", "mse_median", "mse_min", "mse_max", "no_learning", "floor", "score_median",
    "success_rate", "mse_after_learning", "cycles_to_learn", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A row of Table 1."""

    mappings: str
    length: int
    epochs: int
    mse: float
    cycles: int


@dataclass(frozen=True)
class Row:
    """One experiment of Table 1."""

    name: str
    variant: str
    published: Published
    config: Config
    network: str
    result: dict[str, Any]
    picture: str
    references: dict[str, Metrics]
    """What other learners reach on the same test data, by their name."""
    reached: int | None
    """Epochs after which the median replica was as good as the paper's MSE."""
    late: float
    """MSE over the last half of the cycles."""

    @property
    def title(self) -> str:
        reading = ", per mapping" if self.name.endswith("per_mapping") else ""
        return f"{self.published.mappings} {self.published.length}{reading}"

    @property
    def score_of_the_paper(self) -> float:
        return (self.result["no_learning"] - self.published.mse) / (self.result["no_learning"] - self.result["floor"])


@dataclass(frozen=True)
class Ablation:
    """What one help is worth: the same experiment with one thing changed."""

    experiment: str
    change: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Probed:
    """What a row's network keeps in its cells, with pictures of it."""

    row: str
    found: dict[str, Any]
    pictures: tuple[str, ...]


@dataclass
class Table1:
    """What has been measured so far."""

    rows: list[Row] = field(default_factory=list)
    ablations: list[Ablation] = field(default_factory=list)
    probes: list[Probed] = field(default_factory=list)
    seconds: float = 0.0
    """Spent in training, all rows together."""

    def of(self, variant: str) -> dict[str, Row]:
        return {row.name: row for row in self.rows if row.variant == variant}


def write_table1(table: Table1, folder: Path) -> None:
    """table1.md, table1.html and table1.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = (
        _introduction,
        _beside_the_paper,
        _beside_the_floor,
        _below_the_floor,
        _scalings,
        _others,
        _ablation,
        _probes,
        _curves,
    )
    text = "\n".join(line for section in sections for line in section(table)) + "\n"
    write_atomically(folder / "table1.md", text)
    write_atomically(folder / "table1.html", to_html(text, folder, title="Table 1, reproduced"))
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for row in table.rows:
        values = {**row.result, "row": row.name, "variant": row.variant, "seconds": round(row.result["seconds"], 1)}
        writer.writerow([values[column] for column in COLUMNS])
    write_atomically(folder / "table1.csv", file.getvalue())


def _introduction(table: Table1) -> list[str]:
    return f"""\
# Table 1 of Younger, Hochreiter & Conwell (2001), reproduced

Written by `make reproduce-table1`; {table.seconds / 60:.0f} minutes of training in all. Ours are medians over independent replicas,
measured on test functions that no training seed can touch; hyperparameters were chosen with other seeds and other test data
(`sweeps/tune_*.yaml`).

The rows "{BUDGET}" have the paper's network and at most its epochs, of which the first are on shorter sequences (a curriculum);
"{FIFTH}" is the same in a fifth of the paper's epochs; "{BEST}" is free in everything but 15 minutes on two cores.
""".splitlines()


def _beside_the_paper(table: Table1) -> list[str]:
    headings = ["row", "variant", "network", "epochs: paper", "ours", "MSE: paper", "ours: median (range)", "cycles: paper", "ours",
                "as good as the paper after"]  # fmt: skip
    rows = []
    for row in table.rows:
        r, p = row.result, row.published
        reached = "–" if p.mse < r["floor"] else "never" if row.reached is None else f"{row.reached} epochs"
        rows.append([
            row.title, row.variant, row.network, p.epochs, r["epochs"], f"{p.mse:g}",
            f"**{short(r['mse_median'])}** ({short(r['mse_min'])} – {short(r['mse_max'])})", p.cycles, _cycles(r["cycles_to_learn"]),
            reached,
        ])  # fmt: skip
    return [
        "", "## Beside the paper", "", "*Cycles* to learn: the first cycle from which the error stays below a tenth of the no-learning "
        "error.", "", *markdown_table(headings, rows),
    ]  # fmt: skip


def _beside_the_floor(table: Table1) -> list[str]:
    headings = [
        "row",
        "variant",
        "no learning",
        "floor",
        "MSE / floor",
        "score",
        "success (interval)",
        "MSE after learning",
        "seconds",
    ]
    rows = []
    for row in table.rows:
        r = row.result
        low, high = r["success_interval"]
        rows.append([
            row.title, row.variant, short(r["no_learning"]), f"{short(r['floor'])} ± {r['floor_error']:.1g}",
            f"**{r['mse_median'] / r['floor']:.3f}**", f"{r['score_median']:.4f}",
            f"{r['successes']}/{r['replicas']} ({low:.2f} – {high:.2f})", short(r["mse_after_learning"]), f"{r['seconds']:.0f}",
        ])  # fmt: skip
    return [
        "", "## Beside the best that can be", "", "*No learning*: the error of the best fixed function. *Floor*: that of the Bayes-optimal "
        f"learner, below which nothing can come. *Score*: 0 is no learning, 1 the floor; a replica succeeds from {SUCCESS}. *MSE after "
        "learning*: over the cycles past the paper's own cycles to learn. *Seconds*: of training, all replicas together.", "",
        *markdown_table(headings, rows),
    ]  # fmt: skip


def _below_the_floor(table: Table1) -> list[str]:
    """What is to be said of rows whose published MSE no learner can have as the mean over all cycles."""
    lines = []
    for row in table.of(BUDGET).values():
        r, p = row.result, row.published
        if p.mse < r["floor"]:
            lines += [
                "", f"## A published error below the floor: {row.title}", "",
                f"The paper's {p.mse:g} lies below the Bayes floor of {short(r['floor'])}: as the mean over all cycles no learner can "
                f"reach it, for before the first example nothing is known, and the first cycle alone costs {short(r['no_learning'])} "
                f"/ {p.length} = {short(r['no_learning'] / p.length)}. Another definition would: a mean that leaves out the cycles in "
                f"which the function is being learnt. Over the cycles past the paper's own {p.cycles} ours is "
                f"{short(r['mse_after_learning'])}; over the last half of the sequence, {short(row.late)}.",
            ]  # fmt: skip
    return lines


def _scalings(table: Table1) -> list[str]:
    both = table.of(BUDGET)
    if not {"quadratic", "quadratic_per_mapping"} <= set(both):
        return []
    whole, per = both["quadratic"], both["quadratic_per_mapping"]
    p = whole.published
    lines = [
        "", "## Two readings of \"scaled to [0.2, 0.8]\"", "",
        "| reading | no learning | floor | our MSE | / floor | the paper's MSE as a score | the least MSE with the paper's cycles |",
        "|" + "---|" * 7,
    ]  # fmt: skip
    least = {}
    for name, row in (("global: the family's whole range is mapped", whole), ("per mapping: each mapping's own range is", per)):
        r = row.result
        # An error that falls steadily and is still above a tenth of the no-learning error in the cycle before.
        least[row.name] = max((p.cycles - 1) / p.length * LEARNT * r["no_learning"], r["floor"])
        lines.append(
            f"| {name} | {short(r['no_learning'])} | {short(r['floor'])} ± {r['floor_error']:.1g} | {short(r['mse_median'])} | "
            f"{r['mse_median'] / r['floor']:.2f} | {row.score_of_the_paper:.2f} | {short(least[row.name])} |"
        )
    lines.append("")
    fits = {name: bound <= p.mse for name, bound in least.items()}
    lines.append(
        f"The paper gives two numbers for one network: an MSE of {p.mse:g} and {p.cycles} cycles to learn. An error that falls steadily "
        f"and has not fallen below a tenth of the no-learning error before cycle {p.cycles} has at least the mean in the last column."
    )
    if fits["quadratic"] and not fits["quadratic_per_mapping"]:
        lines[-1] += (
            " By the global reading the two numbers go together; by the per-mapping reading they do not, for so small a mean would need "
            "a learner that is nearly Bayes-optimal and done long before. So **the global reading fits the published numbers better**, "
            f"although by it the MSE is a score of only {whole.score_of_the_paper:.2f}: slow learning, to a small error in the end."
        )
    elif fits["quadratic_per_mapping"] and not fits["quadratic"]:
        lines[-1] += " By the per-mapping reading the two numbers go together, by the global one they do not: it fits better."
    else:
        lines[-1] += " By this the two readings cannot be told apart."
    lines[-1] += (
        f" Ours learn in {_cycles(whole.result['cycles_to_learn'])} and {_cycles(per.result['cycles_to_learn'])} cycles."
    )
    return lines


def _others(table: Table1) -> list[str]:
    """The derived algorithms beside known ones."""
    rows = []
    for row in table.rows:
        if row.variant == FIFTH:
            continue
        r = row.result
        rows.append(
            [row.title, f"network, {row.variant}", f"**{short(r['mse_median'])}**", f"**{_cycles(r['cycles_to_learn'])}**"]
        )
        if row.variant == BUDGET:
            rows += [[row.title, name, short(m.mse), _cycles(m.cycles_to_learn)] for name, m in row.references.items()]
    return [
        "", "## Is the derived algorithm fast?", "", "The networks beside other learners on the same test data. Recursive least squares "
        "knows the family's features; a neuron's gradient descent has the rate that is best on the validation data; the Bayes-optimal "
        "learner knows the family's prior, and its figures are expectations.", "",
        *markdown_table(["row", "learner", "MSE", "cycles to learn"], rows),
    ]  # fmt: skip


def _ablation(table: Table1) -> list[str]:
    if not table.ablations:
        return []
    rows = []
    for a in table.ablations:
        r = a.result
        rows.append([a.experiment, a.change, f"{r['mse_median'] / r['floor']:.3f} ({r['mse_min'] / r['floor']:.2f} – "
                     f"{r['mse_max'] / r['floor']:.2f})", f"{r['successes']}/{r['replicas']}", _cycles(r["cycles_to_learn"]),
                     f"{r['seconds']:.0f}"])  # fmt: skip
    return [
        "", "## What each help is worth", "", "The experiments of a fifth of the paper's epochs, on other seeds, with one thing changed.", "",
        *markdown_table(["experiment", "change", "MSE / floor (range)", "success", "cycles", "seconds"], rows),
    ]  # fmt: skip


def _probes(table: Table1) -> list[str]:
    if not table.probes:
        return []
    lines = [
        "", "## What the networks keep in their cells (the paper's section 5)", "",
        "Of the median replica of each row (`python -m src.probe run=<folder>`); read-outs are linear, fitted on one half of the test "
        "sequences and measured on the other.",
    ]  # fmt: skip
    for probed in table.probes:
        f = probed.found
        lines += ["", f"### {probed.row}", ""]
        if "accuracy" in f:
            lines += [
                f"From the states of the {f['cells']} cells after the last cycle a linear read-out of the four outputs gets the whole "
                f"truth table right in {f['accuracy_of_all_outputs']:.1%} of the sequences; one of sixteen classes names the right one "
                f"in {f['accuracy']:.1%} ({f['accuracy_shuffled']:.1%} of shuffled functions). The signs of all cells together carry "
                f"{f['bits_of_all_signs']:.2f} of the function's 4 bits ({f['bits_of_all_signs_shuffled']:.2f} of shuffled functions); "
                f"{f['binary_cells']} cells carry more than half a bit each "
                f"({', '.join(f'{b:.2f}' for b in f['bits_of_each_cell'])}). The paper found \"a four-neuron binary encoding\".",
            ]  # fmt: skip
        else:
            names = list(f["r2_at_the_end"])
            cycles = [key.removeprefix("r2_after_") for key in f if key.startswith("r2_after_")]
            body = [[t, *(f"{f[f'r2_after_{t}'][n]:.3f}" for n in names)] for t in cycles]
            body.append(["last", *(f"{f['r2_at_the_end'][n]:.3f}" for n in names)])
            body.append(["last, shuffled", *(f"{f['r2_at_the_end_shuffled'][n]:.3f}" for n in names)])
            lines += [
                "R² of the parameters, read from the cells, after so many cycles:", "", *markdown_table(["cycle", *names], body), "",
                f"The correlation of the cells' mean states with 1/t: "
                f"{', '.join(f'{c:.2f}' for c in f['correlation_of_each_cell_with_1_over_t'])}.",
            ]  # fmt: skip
        lines += [line for picture in probed.pictures for line in ("", f"![{probed.row}]({picture})")]
    return lines


def _curves(table: Table1) -> list[str]:
    lines = ["", "## The error at every cycle", ""]
    for row in table.rows:
        if row.variant != FIFTH:
            lines += [f"![{row.title}, {row.variant}]({row.picture})", ""]
    return lines


def _cycles(value: float | None) -> str:
    return "never" if value is None else f"{value:g}"
