"""The paper's section 5, put to the test: which features of the memory cell are necessary, and what do the cells keep?

The studies sweeps/why.yaml and why_quadratic.yaml train the memory cell whole and with one feature taken out, on the three
families. The report is made from their tables and from the read-outs of the whole cell, which stand beside it.

reports/why.md, .html         the report
reports/why.json              the read-outs of the whole cell's median replica, by family
reports/why_<family>_*.png    their pictures
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from learning_to_learn.results.markdown import markdown_table, to_html
from learning_to_learn.results.studies import FRESH, Start, load_study
from learning_to_learn.results.study_report import RUNS, Cell, answer_studies, cells, read_table, section, verdict
from learning_to_learn.results.table import Job, find_jobs
from learning_to_learn.runs.run_folder import Status, read_json, write_atomically, write_json

STUDIES = ("why", "why_quadratic")
WHOLE = "whole_cell"
FEATURES = {
    "leaky_loop_0.9": ("a loop of weight 1", True, "weight 0.9: a forget gate held at log(0.9 / 0.1)"),
    "leaky_loop_0.99": ("a loop of weight 1", True, "weight 0.99: a forget gate held at log(0.99 / 0.01)"),
    "squashed_loop": ("a linear loop", True, "the loop squashes its sum with tanh: a unit of its own"),
    "no_input_gate": ("the input gate", True, "held at 10, which is open"),
    "no_output_gate": ("the output gate", False, "held at 10, which is open"),
    "no_squashing": ("the squashed output", False, "the output gate scales the state itself: a unit of its own"),
}
"""Variant: the feature it lacks, whether the paper calls that feature necessary, and how it is taken out."""

INTRODUCTION = """\
# {title}

Written by `make reproduce-why` from the studies [sweeps/why.yaml](../sweeps/why.yaml) and
[sweeps/why_quadratic.yaml](../sweeps/why_quadratic.yaml), whose tables are in [studies](studies). The paper's section 5:
"there were two necessary features": the loop of a memory cell has weight 1 and is linear, and input gates "control the input
to the loop cell". Here the memory cell is trained whole and with one feature taken out: on Boolean and semi-linear functions
six cells and six neurons by the paper's truncated gradient; on quadratic functions, which these do not learn in this budget,
twelve and twelve by the full gradient. Each variant on each family chooses its learning rate and clipping on tuning seeds,
from as many settings as the whole cell does; what is reported are fresh seeds.

A feature is **necessary** where without it success is rarer: Wilson's 95 % interval of the success rate lies below that of the
whole cell. It **helps** where the variant succeeds as often, as far as can be told, and its score's 95 % bootstrap interval
lies below the whole cell's. Otherwise it is **not necessary**, as far as so many replicas can tell. All of this is said of the
epochs and settings of these studies: a longer training may do without more.
"""


def why(start: Start, reports: Path, words: Sequence[str] = (), *, quick: bool = False) -> list[Job]:
    """Run the studies, or what is left of them, read out the whole cell, and write the report.

    `start` runs the sweep that command-line arguments say, `words` are further overrides of all jobs. Returns the jobs that are
    not in the report.
    """
    unfinished = answer_studies(map(load_study, STUDIES), start, words, quick=quick)
    probes, runs = {}, RUNS / "quick" if quick else RUNS
    for job in (job for name in STUDIES for job in find_jobs(runs / name / FRESH)):
        if job.status is Status.FINISHED and job.settings["arch.name"] == WHOLE:
            family = str(job.settings["family.name"])
            probes[family] = _probe(job, family, reports)
    write_json(reports / "why.json", probes)
    text = report(reports, title="Why can the LSTM learn to learn?" + (" (QUICK: small, and says nothing)" if quick else ""))
    write_atomically(reports / "why.md", text)
    write_atomically(reports / "why.html", to_html(text, reports, title="Why can the LSTM learn to learn?"))
    return unfinished


def _probe(job: Job, family: str, reports: Path) -> dict[str, Any]:
    from learning_to_learn.results.probe import probe
    from learning_to_learn.runs.trained import load_run

    found = probe(load_run(job.folder), job.folder / "probe")
    for path in (job.folder / "probe").glob("*.png"):
        shutil.copy(path, reports / f"why_{family}_{path.name}")
    return found


def report(reports: Path, *, title: str) -> str:
    """Return the Markdown of the report, from the tables that lie in a folder of reports."""
    by_family: dict[str, dict[str, Cell]] = {}
    sections: list[str] = []
    at_the_edge, count = 0, 0
    for study in map(load_study, STUDIES):
        frame = read_table(reports, study)
        sections += [line.replace("## ", "### ") for line in section(study, frame)]
        largest = max(study.params["optimizer.lr"].split(","), key=float)
        for cell in cells(frame):
            by_family.setdefault(cell.group, {})[cell.name] = cell
            at_the_edge, count = at_the_edge + cell.setting.startswith(f"lr={float(largest):g},"), count + 1
    lines = [
        *INTRODUCTION.format(title=title).splitlines(), "",
        "## Which features are necessary, where", "",
        *(f"- {_sentence(name, by_family)}" for name in FEATURES), "",
        *_verdicts(by_family), "",
        f"{at_the_edge} of the {count} cells chose the largest learning rate of the search: larger ones might do better still.",
        "",
        "How a feature is taken out:", "",
        *(f"- `arch=why/{name}`: {how}" for name, (_, _, how) in FEATURES.items()), "",
        "## All figures",
        *sections,
    ]  # fmt: skip
    return "\n".join([*lines, *_read_outs(read_json(reports / "why.json") or {})]) + "\n"


def _sentence(name: str, by_family: dict[str, dict[str, Cell]]) -> str:
    """What was found of a feature, in a sentence."""
    feature, claimed, _ = FEATURES[name]
    kinds: dict[str, list[str]] = {}
    for family, found in by_family.items():
        if name in found:
            kinds.setdefault(verdict(found[WHOLE], found[name]), []).append(family)
    what = "; ".join(f"**{kind}** on {', '.join(families)}" for kind, families in kinds.items())
    return f"{feature[0].upper()}{feature[1:]}{', which the paper calls necessary' if claimed else ''} (`{name}`): {what}."


def _verdicts(by_family: dict[str, dict[str, Cell]]) -> list[str]:
    rows = [["whole cell", *(_figures(found[WHOLE]) for found in by_family.values())]]
    for name in FEATURES:
        found_cells = [
            f"{verdict(found[WHOLE], found[name])}: {_figures(found[name])}" if name in found else "–"
            for found in by_family.values()
        ]
        rows.append([f"without {FEATURES[name][0]} (`{name}`)", *found_cells])
    return markdown_table(["cell", *by_family], rows)


def _figures(cell: Cell) -> str:
    return f"{cell.successes}/{cell.replicas} ({cell.rate[0]:.0%} – {cell.rate[1]:.0%}), {cell.score:.3f}"


def _read_outs(probes: dict[str, Any]) -> list[str]:
    lines = READ_OUTS.splitlines()
    for family, found in probes.items():
        lines += ["", f"### {family}", "", *(_boolean(found) if "accuracy" in found else _continuous(found)), ""]
        if "accuracy" in found:
            lines += [f"![cells](why_{family}_cells.png)", ""]
        lines.append(f"![read-out](why_{family}_readout.png)")
    return lines


READ_OUTS = """
## What the cells keep

Of the median replica of the whole cell on each family: linear read-outs of the cells' states, fitted on one half of the
sequences and measured on the other. Beside each stands the same read-out of shuffled mappings, which tells what the estimate
finds where there is nothing.
"""


def _boolean(found: dict[str, Any]) -> list[str]:
    bits, chance = (", ".join(f"{b:.2f}" for b in found[f"bits_of_each_cell{of}"]) for of in ("", "_shuffled"))
    both = {key: (found[key], found[f"{key}_shuffled"]) for key in found if f"{key}_shuffled" in found}
    return [
        "The paper found \"a four-neuron binary encoding scheme\".", "",
        *markdown_table(["read from the cells after the last cycle", "the function", "shuffled"], [
            ["names the right one of the functions", *(f"{share:.1%}" for share in both["accuracy"])],
            ["gets the whole truth table", *(f"{share:.1%}" for share in both["accuracy_of_all_outputs"])],
            ["bits of the function in the signs of all cells", *(f"{b:.2f}" for b in both["bits_of_all_signs"])],
            ["bits in the sign of each cell", bits, chance],
        ]), "",
        f"{found['sequences']} sequences, {found['cells']} cells.",
    ]  # fmt: skip


def _continuous(found: dict[str, Any]) -> list[str]:
    names = list(found["r2_at_the_end"])
    told = {key.removeprefix("r2_after_"): value for key, value in found.items() if key.startswith("r2_after_")}
    told |= {"last": found["r2_at_the_end"], "last, shuffled": found["r2_at_the_end_shuffled"]}
    correlation = ", ".join(f"{c:.2f}" for c in found["correlation_of_each_cell_with_1_over_t"])
    return [
        "The paper found \"continuous values\", and for quadratic functions a signal \"approximately inversely proportional to",
        "the cycle step number\". R² of the function's parameters, read from the cells:", "",
        *markdown_table(["cycle", *names], [[t, *(f"{row[n]:.3f}" for n in names)] for t, row in told.items()]), "",
        f"The correlation of the cells' mean states with 1/t: {correlation}.", "",
        f"{found['sequences']} sequences, {found['cells']} cells.",
    ]  # fmt: skip
