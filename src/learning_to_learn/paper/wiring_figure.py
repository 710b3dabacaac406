"""The picture of a network of constant weights, drawn from itself: every unit, and every weight that is not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learning_to_learn.topology.signals import PRODUCT, Before, Input, Node, Wire, Wired

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = {PRODUCT: ("s", "#d1495b", "Π unit"), "linear_neuron": ("o", "#edae49", "linear neuron"),
         "logistic": ("^", "#00798c", "logistic neuron"), "neuron": ("v", "#30638e", "tanh neuron")}  # fmt: skip
LOOP, DELAYED, PLAIN = "#d1495b", "#30638e", "#999999"


def wiring_figure(wired: Wired, *, title: str) -> Figure:
    """Draw the layers from below: squares are Π units, circles linear neurons; small ones only hand a signal on.

    Grey lines are weights within a cycle, dashed ones carry the value of the cycle before, rings are the loops that store.
    """
    from matplotlib.figure import Figure

    top = max(place.layer for place in wired.places)
    widest = max(sum(place.layer == layer for place in wired.places) for layer in range(1, top + 1))
    figure = Figure(figsize=(max(6.0, 0.62 * widest + 2), 1.0 * top + 2.4), layout="constrained")
    axes = figure.subplots()
    at: dict[tuple[int, object], tuple[float, float]] = {}
    for layer in range(1, top + 1):
        here = [place for place in wired.places if place.layer == layer]
        for i, place in enumerate(here):
            at[layer, place.node] = ((i + 0.5) / len(here), layer)
    given = _inputs(wired)
    for i, source in enumerate(given):
        at[0, source.index] = ((i + 0.5) / len(given), 0)
        axes.annotate(
            source.label, at[0, source.index], (0, -12), textcoords="offset points", ha="center", va="top", fontsize=8
        )
        axes.plot(*at[0, source.index], "D", color="black", markersize=5)
    for place in wired.places:
        x, y = at[place.layer, place.node]
        mark, colour, _ = MARKS[place.unit]
        axes.plot(x, y, mark, color=colour, markersize=5 if place.handed_on else 11, zorder=3)
        if isinstance(place.node, Node) and place.node.label:
            axes.annotate(place.node.label, (x, y), (9, 4), textcoords="offset points", fontsize=7)
        for wires in place.wires:
            for wire in wires:
                _draw(axes, wire, place.layer, (x, y), place.node, at, top)
    axes.plot(0.5, top + 1, "^", color=MARKS["logistic"][1], markersize=12)
    axes.annotate("output", (0.5, top + 1), (10, 4), textcoords="offset points", fontsize=8)
    for wire in wired.output:
        _draw(axes, wire, top + 1, (0.5, top + 1), None, at, top)
    for mark, colour, label in (MARKS[kind] for kind in MARKS if any(p.unit == kind for p in wired.places)):
        axes.plot([], [], mark, color=colour, label=label)
    axes.plot([], [], color=PLAIN, label="weight")
    axes.plot([], [], "--", color=DELAYED, label="from the cycle before")
    axes.plot([], [], "o", color=LOOP, fillstyle="none", markersize=14, label="loop of weight 1")
    axes.legend(fontsize=7, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.02))
    axes.set(title=title, ylim=(-0.6, top + 1.5), xlim=(-0.03, 1.06))
    axes.set_yticks(range(top + 2), ["inputs", *(f"layer {i}" for i in range(1, top + 1)), "output"])
    axes.set_xticks([])
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    return figure


def _inputs(wired: Wired) -> list[Input]:
    found: dict[int, Input] = {}
    for place in wired.places:
        for wires in place.wires:
            found |= {wire.source.index: wire.source for wire in wires if isinstance(wire.source, Input)}
    return [found[index] for index in sorted(found)]


def _draw(
    axes: Any, wire: Wire, layer: int, end: tuple[float, float], node: object, at: dict[tuple[int, object], Any], top: int
) -> None:
    source = wire.source
    if source is None:
        return
    if isinstance(source, Before):
        if source.node is node:
            axes.plot(*end, "o", color=LOOP, fillstyle="none", markersize=17)
            return
        start = at.get((layer, source.node)) or at.get((layer - 1, source)) or at[top, source.node]
        dashed = (layer, source.node) in at or (layer - 1, source) not in at
    else:
        start = at[0, source.index] if isinstance(source, Input) and layer == 1 else at[layer - 1, source]
        dashed = False
    colour, style = (DELAYED, "--") if dashed else (PLAIN, "-")
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-", "color": colour, "linestyle": style, "linewidth": 0.8,
                                              "connectionstyle": "arc3,rad=0.15" if dashed else "arc3"})  # fmt: skip
