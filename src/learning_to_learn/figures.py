"""Pictures: the error at every cycle beside the best possible, and the error over a stream of mappings (Figure 3)."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color: colours that readers with any colour vision tell apart.
BLUE, GREEN, PURPLE, SKY, AMBER, GREY = "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777"
BAYES = "#d55e00"
"""The Bayes-optimal learner's colour, in every picture and on the dashboard; nothing else has it."""
PALETTE = (BLUE, AMBER, GREEN, PURPLE, SKY, GREY)
OTHERS = (GREEN, PURPLE)
LONGEST_LABEL, LABEL_WIDTH = 200, 60
FAINTEST = 1e-4
"""Losses below this part of the no-learning loss are off the picture."""
NOISE = 0.02
"""Where the best learner's loss stays above this part of its first, the picture ends a little below it."""


LOSS_TITLES = {"squared": "mean squared error", "log": "log loss (nats a cycle)"}


def curve_figure(
    curves: np.ndarray,
    best: np.ndarray,
    *,
    title: str,
    others: dict[str, np.ndarray] | None = None,
    loss: str = "squared",
    no_learning: float | None = None,
) -> "Figure":
    """The loss by cycle: the median and range of replicas `curves` [R, T], and the Bayes-optimal `best` [T].

    `no_learning` is by default `best[0]`: before the first example nothing can be known. `others` [T] are of other learners.
    """
    figure = _figure(figsize=(6.4, 4.0))
    axes = figure.subplots(gridspec_kw=_margins(figure, title))
    cycles, bottom = np.arange(1, curves.shape[1] + 1), best[0] * FAINTEST
    if best.min() > NOISE * best[0]:  # what noise leaves is most of the picture
        bottom = best.min() / 1.5
    never = best[0] if no_learning is None else no_learning
    # A replica with no error at all is drawn on the lower edge: a logarithmic axis has no zero.
    ordered = np.where(np.isnan(curves), np.inf, curves)  # a replica without a number is the worst
    low, middle, high = (np.maximum(f(ordered, axis=0), bottom) for f in (np.min, np.median, np.max))
    top = max(never * 2, float(np.max(middle, where=np.isfinite(middle), initial=0.0)) * 1.2)
    axes.fill_between(
        cycles,
        np.minimum(low, top),
        np.minimum(high, top),
        color=BLUE,
        alpha=0.2,
        linewidth=0,
        label=f"range of {len(curves)} replicas",
    )
    axes.plot(cycles, middle, color=BLUE, label="median replica")
    known = best > bottom
    axes.plot(cycles[known], best[known], color=BAYES, label="Bayes-optimal learner")
    for (name, curve), color in zip((others or {}).items(), OTHERS, strict=False):
        axes.plot(cycles, np.maximum(curve, bottom), color=color, linewidth=1, label=literal(name))
    axes.axhline(never, color=GREY, linestyle=":", label="no learning")
    axes.set(xscale="log", yscale="log", xlabel="cycle within the sequence", ylabel=LOSS_TITLES[loss], title=literal(title))
    axes.set_ylim(bottom, top)
    axes.set_xlim(1, curves.shape[1])
    axes.legend(frameon=False)
    return figure


def stream_figure(panels: dict[str, np.ndarray], length: int, *, title: str) -> "Figure":
    """Absolute error against time over a stream of mappings, a panel each of errors [time]; a new mapping every `length`."""
    figure = _figure(figsize=(8.0, 1.0 + 1.7 * len(panels)))
    places = _margins(figure, title, above=0.35, between=0.35, rows=len(panels))
    rows = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False, gridspec_kw=places)[:, 0]
    for axes, (name, errors) in zip(rows, panels.items(), strict=True):
        for start in range(length, len(errors), length):
            axes.axvline(start, color=GREY, linewidth=0.6, linestyle=":")
        axes.plot(np.arange(len(errors)), errors, color=BLUE, linewidth=0.8)
        axes.set_ylabel("absolute error")
        axes.set_title(literal(name), loc="left", fontsize="medium")
        axes.set_xlim(0, len(errors))
    rows[0].set_ylim(bottom=0)
    rows[-1].set_xlabel("time (cycles); a dotted line where a new mapping begins")
    figure.suptitle(literal(title), y=1 - 0.1 / figure.get_figheight(), va="top")
    return figure


def _margins(figure: "Figure", title: str, *, above: float = 0.0, between: float = 0.0, rows: int = 1) -> dict[str, float]:
    """Return where subplots stand below a title, with room for what their axes say; `above` and `between` them, in inches.

    matplotlib's own layouts measure every tick label several times, which takes half of the drawing: every job draws these.
    """
    width, height = figure.get_size_inches()
    top = height - 0.2 - 0.21 * (literal(title).count("\n") + 1) - above
    row = (top - 0.55 - between * (rows - 1)) / rows
    return {
        "left": 0.8 / width, "right": 1 - 0.2 / width, "bottom": 0.55 / height, "top": top / height, "hspace": between / row
    }  # fmt: skip


def _figure(**options: Any) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(**options)


def literal(name: str) -> str:
    """Return a name as a label that matplotlib shows as it stands, in lines; between two $ it would expect mathematics."""
    whole = name if len(name) <= LONGEST_LABEL else f"{name[:LONGEST_LABEL]}…"
    return "\n".join(textwrap.wrap(whole, LABEL_WIDTH)).replace("$", r"\$")


def save(figure: "Figure", path: Path) -> Path:
    """Write a figure as a PNG; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def regret_figure(curves: dict[str, np.ndarray], colours: dict[str, str], *, title: str) -> "Figure":
    """What learners [R, T] have lost by each cycle, in nats: the median replica and, of several, their range."""
    figure = _figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, rows in curves.items():
        cycles = np.arange(1, rows.shape[1] + 1)
        middle = rows[np.argsort(rows[:, -1])[(len(rows) - 1) // 2]]
        best = colours[name] == BAYES
        dashes = ":" if best else "-" if len(rows) > 1 else "--"
        axes.plot(cycles, middle, dashes, color=colours[name], label=literal(name), linewidth=3 if best else 1.5)
        if len(rows) > 1:
            axes.fill_between(cycles, rows.min(0), rows.max(0), color=colours[name], alpha=0.2, linewidth=0)
    axes.set(xlabel="cycle within the sequence", ylabel="regret so far (nats)")
    axes.set_title(literal(title), fontsize="medium")
    axes.set_xlim(1)
    axes.legend(frameon=False)
    return figure


def lines_figure(curves: dict[str, np.ndarray], *, ylabel: str, title: str, x: np.ndarray | None = None) -> "Figure":
    """Curves [T] by cycle (from 1, or at the cycles `x`), on a logarithmic axis; also what is negative."""
    figure = _figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(np.arange(1, len(curve) + 1) if x is None else x, curve, label=literal(name))
    bottom = min(-0.05, *(1.05 * float(np.nanmin(curve)) for curve in curves.values()))
    axes.set(xscale="log", xlabel="cycle within the sequence", ylabel=ylabel, title=literal(title), ylim=(bottom, 1.05))
    if len(curves) > 1:
        axes.legend(frameon=False)
    return figure


def distances_figure(curves: dict[str, np.ndarray], *, best: str, title: str) -> "Figure":
    """Distances [T] from other learners by cycle, on logarithmic axes; the one that is called `best` in its own colour."""
    figure = _figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    bottom = max(1e-12, max(float(curve.max()) for curve in curves.values()) * FAINTEST)
    others = 0
    for name, curve in curves.items():
        style = {"color": BAYES, "linewidth": 2} if name == best else _style(others)
        others += name != best
        axes.plot(np.arange(1, len(curve) + 1), np.maximum(curve, bottom), label=literal(name), **style)
    axes.set(xscale="log", yscale="log", xlabel="cycle within the sequence", ylabel="mean squared difference of outputs")
    axes.set_title(literal(title), fontsize="medium")
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def response_figure(x: np.ndarray, network: np.ndarray, best: np.ndarray, *, title: str) -> "Figure":
    """Outputs [sequences, points] of a network and of the Bayes-optimal learner against the size of an input `x` [points]."""
    figure = _figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for number, (said, wanted) in enumerate(zip(network, best, strict=True)):
        axes.plot(x, wanted, color=BAYES, linestyle="--", label=None if number else "Bayes-optimal learner")
        axes.plot(x, said, color=BLUE, label=None if number else "network")
    axes.axvspan(-1, 1, color=GREY, alpha=0.15, linewidth=0, label="as in training")
    axes.set(xlabel="input along one direction (1: as far as usual)", ylabel="output", title=literal(title))
    axes.legend(frameon=False)
    return figure


def scores_figure(scores: dict[str, np.ndarray], *, threshold: float, title: str) -> "Figure":
    """The learning score of every replica, a row for each group, with its median; below -0.1 is drawn at -0.1."""
    figure = _figure(figsize=(7.2, 1.2 + 0.34 * len(scores)), layout="constrained")
    axes = figure.subplots()
    for row, found in enumerate(scores.values()):
        spread = 0.25 * np.sin(2.4 * np.arange(len(found)))  # apart, so that equal scores can be counted
        ordered = np.nan_to_num(found, nan=-1.0)  # a replica without a score is the worst
        axes.plot(np.maximum(ordered, -0.1), row + spread, "o", color=BLUE, alpha=0.5, markersize=4)
        axes.plot([np.median(ordered)] * 2, [row - 0.35, row + 0.35], color=AMBER, linewidth=2)
    axes.axvline(threshold, color=GREY, linestyle=":")
    axes.set_yticks(range(len(scores)), [literal(name) for name in scores])
    axes.set(xlim=(-0.13, 1.05), xlabel="learning score (dotted: success; orange: median)", title=literal(title))
    axes.invert_yaxis()
    return figure


def learning_figure(curves: dict[str, tuple[np.ndarray, np.ndarray]], *, title: str) -> "Figure":
    """Scores by epoch: (epochs, scores), both [looks], for each group."""
    figure = _figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (name, (epochs, scores)) in enumerate(curves.items()):
        axes.plot(epochs, np.maximum(scores, -0.1), label=literal(name), **_style(number))
    axes.set(xlabel="meta-training epoch", ylabel="learning score", ylim=(-0.13, 1.05), title=literal(title))
    if curves:
        axes.legend(frameon=False, fontsize="small")
    return figure


def _style(number: int) -> dict[str, Any]:
    """Colour and dashes of a line, which no other of the first two dozen shares."""
    colours = len(PALETTE)
    return {"color": PALETTE[number % colours], "linestyle": ("-", "--", ":", "-.")[(number + number // colours) % 4]}


def learning_panels(panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]], *, title: str) -> "Figure":
    """As `learning_figure`, a panel for each family."""
    figure = _figure(figsize=(3.6 * len(panels), 3.6), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (family, curves) in zip(row, panels.items(), strict=True):
        for number, (name, (epochs, scores)) in enumerate(curves.items()):
            axes.plot(epochs, np.maximum(scores, -0.1), label=literal(name), **_style(number))
        axes.set(xlabel="meta-training epoch", ylim=(-0.13, 1.05), title=literal(family))
    row[0].set_ylabel("learning score")
    row[-1].legend(frameon=False, fontsize="small")
    figure.suptitle(literal(title))
    return figure


def profile_figure(
    thresholds: np.ndarray, profiles: dict[str, np.ndarray], intervals: dict[str, np.ndarray], *, threshold: float, title: str
) -> "Figure":
    """The part of runs above each of `thresholds` [K], profiles [K] with intervals [2, K]."""
    figure = _figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, profile in profiles.items():
        (line,) = axes.plot(thresholds, profile, label=literal(name))
        axes.fill_between(thresholds, *intervals[name], color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axvline(threshold, color=GREY, linestyle=":")
    axes.set(xlabel="learning score", ylabel="part of runs above it", ylim=(-0.02, 1.02), title=literal(title))
    axes.legend(frameon=False)
    return figure


def map_figure(values: np.ndarray, *, columns: list[str], rows: list[str], title: str) -> "Figure":
    """Values [rows, columns] in [-1, 1] as colours."""
    figure = _figure(figsize=(8.0, 1.4 + 0.32 * len(values)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [literal(name) for name in columns], rotation=90)
    axes.set_yticks(range(len(values)), [literal(name) for name in rows])
    axes.set_title(literal(title), fontsize="medium")
    figure.colorbar(image, ax=axes)
    return figure


def matrix_figure(scores: np.ndarray, *, rows: list[str], columns: list[str]) -> "Figure":
    """Scores [rows, columns], of what was trained by what it is tested on, as colours and numbers; NaN is empty."""
    figure = _figure(figsize=(2.5 + 1.1 * len(columns), 1.6 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.clip(scores, 0, 1), cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), score in np.ndenumerate(scores):
        if np.isfinite(score):
            axes.text(column, row, f"{score:.2f}", ha="center", va="center", color="black" if score > 0.5 else "white")
    axes.set_xticks(range(len(columns)), [literal(name) for name in columns])
    axes.set_yticks(range(len(rows)), [literal(name) for name in rows])
    axes.set(xlabel="tested on", ylabel="trained on", title="Learning score")
    figure.colorbar(image, ax=axes)
    return figure


def lengths_figure(curves: dict[str, np.ndarray]) -> "Figure":
    """The loss by the length of the test sequences, for each kind of run: rows of (length, loss, floor, no learning)."""
    figure = _figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for number, (name, points) in enumerate(curves.items()):
        axes.plot(points[:, 0], points[:, 1], marker="o", label=literal(name), **_style(number))
        axes.plot(points[:, 0], points[:, 2], color=BAYES, label=None if number else "Bayes-optimal learner", linewidth=1)
        axes.plot(points[:, 0], points[:, 3], color=GREY, label=None if number else "no learning", linewidth=1, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="cycles of a test sequence", ylabel="mean loss of a cycle")
    axes.legend(frameon=False, fontsize="small")
    return figure
