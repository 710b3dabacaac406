"""The pictures of a verdict: a panel for each problem or cost, small enough to be committed."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from learning_to_learn.figures import AMBER, BLUE, GREY, PALETTE, literal
from learning_to_learn.results.survival import survival
from learning_to_learn.training.metrics import SUCCESS
from learning_to_learn.verdicts.analysis import COSTS, Findings
from learning_to_learn.verdicts.cells import FRESH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 75
WIDE = 4
"""Panels in a row."""
HIGHLIGHTED = 6
"""Contenders with a colour of their own where all share a panel: the best, and the one that others are tested against."""


def draw_pictures(found: Findings, folder: Path) -> dict[str, str]:
    """Write the pictures into a folder; return their captions by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "scores.png": (_scores(found), "Score of every fresh replica; orange: interquartile mean; dotted: success"),
        "success.png": (_success(found), "Part of the replicas that have not succeeded yet, by epoch (Kaplan-Meier)"),
        "tuning.png": (_tuning(found), "Expected best score on validation data after k random settings, with 95 % bands"),
        "frontiers.png": (_frontiers(found), "Mean score against cost; the line joins those that no other one beats"),
    }
    for name, (figure, _) in drawn.items():
        figure.savefig(folder / name, dpi=DPI)
    return {name: caption for name, (_, caption) in drawn.items()}


def _panels(count: int, height: float = 3.0) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    columns = min(count, WIDE)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.4 * columns + 1.0, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).ravel())
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def _scores(found: Findings) -> "Figure":
    problems, names = list(found.cells["problem"].unique()), list(found.contenders["contender"])
    figure, axes = _panels(len(problems), height=1.2 + 0.22 * len(names))
    for panel, problem in zip(axes, problems, strict=True):
        for place, name in enumerate(names):
            scores = _fresh(found, name, problem)["score"].to_numpy()
            if len(scores):
                apart = 0.25 * np.sin(2.4 * np.arange(len(scores)))  # equal scores can be counted
                panel.plot(scores, place + apart, "o", color=BLUE, alpha=0.4, markersize=3)
                middle = found.cells.set_index(["contender", "problem"]).loc[(name, problem), "score"]
                panel.plot([middle] * 2, [place - 0.35, place + 0.35], color=AMBER, linewidth=2)
        panel.axvline(SUCCESS, color=GREY, linestyle=":")
        panel.set(xlim=(-0.03, 1.05), title=literal(problem), xlabel="score")
        panel.set_yticks(range(len(names)), [literal(name) for name in names], fontsize="small")
    axes[0].invert_yaxis()
    return figure


def _success(found: Findings) -> "Figure":
    problems = list(found.cells["problem"].unique())
    figure, axes = _panels(len(problems))
    last = float(found.protocol.plans[-1].epochs)
    for panel, problem in zip(axes, problems, strict=True):
        for name, style in _styles(found).items():
            times = _fresh(found, name, problem)["epochs_to_success"].to_numpy(float)
            if len(times):
                end = max([last if np.isnan(times).all() else 0.0, *times[~np.isnan(times)]])
                panel.step(*survival(times, end), where="post", **style)
        panel.set(ylim=(-0.03, 1.03), title=literal(problem), xlabel="epoch")
    axes[0].set_ylabel("not yet succeeded")
    _legend(figure, axes)
    return figure


def _tuning(found: Findings) -> "Figure":
    problems = list(found.cells["problem"].unique())
    figure, axes = _panels(len(problems))
    for panel, problem in zip(axes, problems, strict=True):
        for name, style in _styles(found).items():
            if curve := found.curves.get((name, problem)):
                ks = np.arange(1, len(curve.expected) + 1)
                panel.plot(ks, curve.expected, **style)
                if style["zorder"] > 1:
                    panel.fill_between(ks, curve.low, curve.high, color=style["color"], alpha=0.08, linewidth=0)
        panel.set(ylim=(-0.03, 1.05), title=literal(problem), xlabel="random settings tried")
    axes[0].set_ylabel("expected best score")
    _legend(figure, axes)
    return figure


def _frontiers(found: Findings) -> "Figure":
    from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

    figure, axes = _panels(len(COSTS) + 1, height=3.6)
    table = found.contenders
    for panel, cost in zip(axes, (*COSTS, "seconds"), strict=True):
        front = table[table[f"frontier_{cost}"]].sort_values(cost)
        panel.plot(front[cost], front["mean_score"], color=AMBER, drawstyle="steps-post", zorder=1)
        panel.plot(table[cost], table["mean_score"], "o", color=BLUE, markersize=4)
        for row in table.to_dict("records"):
            panel.annotate(literal(row["contender"]), (row[cost], row["mean_score"]), fontsize=6, xytext=(3, 3),
                           textcoords="offset points")  # fmt: skip
        label = "seconds of a replica" if cost == "seconds" else cost.replace("_", " ")
        panel.set(xscale="log", xlabel=label, ylim=(-0.03, 1.05))
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("mean score over problems")
    return figure


def _fresh(found: Findings, name: str, problem: str):  # noqa: ANN202 - a data frame
    rows = found.rows
    return rows[(rows["contender"] == name) & (rows["problem"] == problem) & (rows["phase"] == FRESH)]


def _styles(found: Findings) -> dict[str, dict]:
    """A colour for the best contenders and the one that others are tested against; grey for the rest."""
    names = list(found.contenders["contender"])
    against = list(dict.fromkeys(found.contrasts["against"])) if len(found.contrasts) else []
    bright = list(dict.fromkeys([*against[:1], *names]))[:HIGHLIGHTED]
    shown = {name: {"color": GREY, "alpha": 0.4, "linewidth": 0.7, "zorder": 1} for name in names if name not in bright}
    for name, color in zip(bright, PALETTE, strict=False):
        shown[name] = {"color": color, "linewidth": 1.6, "label": literal(name), "zorder": 2}
    return shown


def _legend(figure: "Figure", axes: "list[Axes]") -> None:
    handles = {label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False, fontsize="small")
