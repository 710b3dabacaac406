"""Write a computation as formulas of signals, and wire it into a network of ours whose weights are the formulas' numbers.

    graph = Graph(["x"])                           # a running sum of products x[t] x[t-1]
    x = graph.inputs[0]
    total = graph.loop()                           # a linear neuron with a weight of 1 to itself
    total.add(x * graph.delay(x))
    wired = graph.wire(total.signal)               # wired.network is the network, wired.template its weights

A `Signal` is a weighted sum of other units' outputs and a constant: what one pre-activation can hear. Sums, and products with
numbers, therefore cost no unit. The product of two signals is a Π unit.

Within a cycle a network's layers run from below, so that a unit stands one layer above the highest it hears. A linear neuron
of weight 1 hands a signal on through the layers in between. `signal.before` is its value of the cycle before. A linear neuron
hears it from its own layer, over a recurrent weight; for everything that stands below, the first layer hears the last hidden
layer's previous outputs (`feedback: last_layer`), to which the signal is handed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from learning_to_learn.lazy import torch
from learning_to_learn.topology.network import Layer, Network

LINEAR, PRODUCT = "linear_neuron", "pi_neuron"
HEARS_ITS_LAYER = (LINEAR, "logistic", "neuron")
"""Units whose pre-activations sum over the layer's own outputs of the cycle before."""


@dataclass(frozen=True, eq=False)
class Input:
    """A source that the network is given: an input, or its own previous output."""

    index: int
    label: str


@dataclass(eq=False)
class Node:
    """A unit, with a signal for each of its pre-activations."""

    unit: str
    heard: list[Signal]
    label: str = ""

    @cached_property
    def depth(self) -> int:
        """The layer it stands in, from 1."""
        return 1 + max((depth(s) for signal in self.heard for s in signal.terms), default=0)


@dataclass(frozen=True)
class Before:
    """The output that a unit had in the cycle before."""

    node: Node


Source: TypeAlias = "Input | Node | Before"


def depth(source: Source) -> int:
    """Return the layer whose outputs hold a source; 0 for what the first layer hears from below or from the cycle before."""
    return source.depth if isinstance(source, Node) else 0


@dataclass(frozen=True)
class Signal:
    """constant + the sum of weight x source; `initial` has the weights of the learner's initial weights, by number."""

    graph: Graph
    terms: dict[Source, float]
    constant: float = 0.0
    initial: dict[int, float] = field(default_factory=dict)

    def __add__(self, other: Signal | float) -> Signal:
        if not isinstance(other, Signal):
            return Signal(self.graph, self.terms, self.constant + other, self.initial)
        terms, initial = dict(self.terms), dict(self.initial)
        for source, weight in other.terms.items():
            terms[source] = terms.get(source, 0.0) + weight
        for number, weight in other.initial.items():
            initial[number] = initial.get(number, 0.0) + weight
        return Signal(self.graph, terms, self.constant + other.constant, initial)

    __radd__ = __add__

    def __mul__(self, other: Signal | float) -> Signal:
        if isinstance(other, Signal):
            return self.graph.multiply(self, other)
        terms = {source: weight * other for source, weight in self.terms.items()}
        initial = {number: weight * other for number, weight in self.initial.items()}
        return Signal(self.graph, terms, self.constant * other, initial)

    __rmul__ = __mul__

    def __neg__(self) -> Signal:
        return self * -1.0

    def __sub__(self, other: Signal | float) -> Signal:
        return self + -other

    def __rsub__(self, other: float) -> Signal:
        return -self + other

    @property
    def before(self) -> Signal:
        """The value of the cycle before; in the first cycle every unit's is 0. Of units only: give an input a unit first."""
        terms: dict[Source, float] = {}
        for source, weight in self.terms.items():
            if not isinstance(source, Node):
                raise TypeError(f"{source} is no unit, whose output the network could remember")
            terms[Before(source)] = weight
        return Signal(self.graph, terms, self.constant, self.initial)


@dataclass(frozen=True)
class Loop:
    """A linear neuron that hears itself with a weight of 1, so that it keeps its value, and adds to it whatever it hears."""

    node: Node
    start: Signal
    """What is added to the value wherever it is heard; the loop itself starts at 0."""

    @property
    def signal(self) -> Signal:
        return self.start + Signal(self.start.graph, {self.node: 1.0})

    @property
    def before(self) -> Signal:
        return self.start + Signal(self.start.graph, {Before(self.node): 1.0})

    def add(self, change: Signal) -> None:
        self.node.heard[0] = self.node.heard[0] + change


@dataclass(frozen=True)
class Wire:
    """A weight that is not zero: from `source` to pre-activation `number` of a unit."""

    source: Source | None
    """None: the bias."""
    weight: float
    initial: dict[int, float]
    delayed: bool
    """Whether it carries the value of the cycle before."""


@dataclass(frozen=True)
class Place:
    """A unit of the wired network: in which layer, which of its outputs, and what stands there."""

    layer: int
    output: int
    node: Node | Source
    handed_on: bool
    """Whether it only hands a signal on to the layer above."""
    wires: tuple[tuple[Wire, ...], ...]
    """Of each pre-activation."""

    @property
    def unit(self) -> str:
        return LINEAR if self.handed_on else self.node.unit  # type: ignore[union-attr]


@dataclass(frozen=True)
class Wired:
    """A network, with its weights as formulas of the learner's initial weights: template + initial @ slopes."""

    network: Network
    template: torch.Tensor
    """[P], float64"""
    slopes: torch.Tensor
    """[n, P]: what one initial weight of the learner adds to the network's weights."""
    places: tuple[Place, ...]
    output: tuple[Wire, ...]
    """What the output neuron hears."""
    products: tuple[Signal, ...]
    """The products, in the order in which they were asked for."""


class Graph:
    """Signals over the network's inputs, and the units that they need.

    `inputs` has a signal for each input, `previous_output` is the network's output of the cycle before. `product` makes the
    product of two signals, by default a Π unit.
    """

    def __init__(
        self, labels: Iterable[str], *, initial: int = 0, product: Callable[[Graph, Signal, Signal], Signal] | None = None
    ) -> None:
        names = list(labels)
        self.initial_weights = initial
        self.inputs = [Signal(self, {Input(i, name): 1.0}) for i, name in enumerate(names)]
        self.previous_output = Signal(self, {Input(len(names), "previous output"): 1.0})
        self.product = product or pi_unit
        self.products: list[Signal] = []
        """All products, in the order in which they were asked for."""
        self._made: dict[tuple[int, int], tuple[Signal, Signal, Signal]] = {}

    def initial(self, number: int) -> Signal:
        """Return one of the learner's initial weights, a constant that is not known yet."""
        return Signal(self, {}, 0.0, {number: 1.0})

    def unit(self, name: str, *heard: Signal, label: str = "") -> Signal:
        return Signal(self, {Node(name, list(heard), label): 1.0})

    def logistic(self, signal: Signal, label: str = "") -> Signal:
        return self.unit("logistic", signal, label=label)

    def linear(self, signal: Signal, label: str = "") -> Signal:
        return self.unit(LINEAR, signal, label=label)

    def delay(self, signal: Signal, label: str = "") -> Signal:
        """Return the value of the cycle before, as two linear neurons of one layer: one holds the value, one what it was."""
        return self.linear(self.linear(signal, f"{label}[t]").before, f"{label}[t-1]")

    def loop(self, start: Signal | None = None, label: str = "") -> Loop:
        """Return a value that is kept; what is added to it in a cycle already counts in that cycle."""
        node = Node(LINEAR, [Signal(self, {})], label)
        node.heard[0] = Signal(self, {Before(node): 1.0})
        return Loop(node, start or Signal(self, {}))

    def multiply(self, left: Signal, right: Signal) -> Signal:
        """Return the product of two signals, or of a signal and a constant. The same two signals are multiplied once."""
        for one, other in ((left, right), (right, left)):
            if not one.terms and not one.initial:
                return other * one.constant
        key = (id(left), id(right))
        if key not in self._made:
            self._made[key] = (self.product(self, left, right), left, right)  # kept, so that no other signal gets their ids
            self.products.append(self._made[key][0])
        return self._made[key][0]

    def wire(self, output: Signal) -> Wired:
        """Lay out every unit that the output depends on."""
        return _Layout(self, output).wired()


def pi_unit(graph: Graph, left: Signal, right: Signal) -> Signal:
    return graph.unit(PRODUCT, left, right)


class _Layout:
    """Which unit stands where."""

    def __init__(self, graph: Graph, output: Signal) -> None:
        self.graph, self.output = graph, output
        self.nodes = self._reachable()
        self.layers = max(node.depth for node in self.nodes)
        self.last: dict[Source, int] = {}
        """The highest layer in which a source must have a unit or be handed on."""
        self.from_the_top: list[Node] = []
        for node in self.nodes:
            for signal in node.heard:
                for source in signal.terms:
                    self._need(source, node, node.depth)
        for source in output.terms:
            self._need(source, None, self.layers + 1)
        for node in self.from_the_top:
            self.last[node] = self.layers
        self.recurrent = {node.depth for node in self.nodes for s in node.heard for b in s.terms if self._own(b, node)}
        if self.from_the_top:
            self.recurrent.add(self.layers)
        self.rows = [self._row(layer) for layer in range(1, self.layers + 1)]
        """The units of each layer: by kind, in the order of their outputs."""

    def _reachable(self) -> list[Node]:
        found: dict[Node, None] = {}
        todo = list(self.output.terms)
        while todo:
            source = todo.pop(0)
            node = source.node if isinstance(source, Before) else source
            if isinstance(node, Node) and node not in found:
                found[node] = None
                todo += [s for signal in node.heard for s in signal.terms]
        return list(found)

    @staticmethod
    def _own(source: Source, node: Node) -> bool:
        """Whether a unit hears what another one was from its own layer."""
        return isinstance(source, Before) and node.unit in HEARS_ITS_LAYER and node.depth >= source.node.depth

    def _need(self, source: Source, node: Node | None, layer: int) -> None:
        """A unit in `layer` hears the source."""
        if isinstance(source, Before) and node is not None and self._own(source, node):
            self.last[source.node] = max(self.last.get(source.node, 0), layer)
            return
        if isinstance(source, Before) and source.node not in self.from_the_top:
            self.from_the_top.append(source.node)
        self.last[source] = max(self.last.get(source, 0), layer - 1)

    def _row(self, layer: int) -> list[tuple[Node | Source, bool]]:
        here: list[tuple[Node | Source, bool]] = [(node, False) for node in self.nodes if node.depth == layer]
        here += [(source, True) for source, last in self.last.items() if depth(source) < layer <= last]
        kinds = dict.fromkeys(LINEAR if handed_on else item.unit for item, handed_on in here)  # type: ignore[union-attr]
        return sorted(here, key=lambda one: list(kinds).index(LINEAR if one[1] else one[0].unit))  # type: ignore[union-attr]

    def wired(self) -> Wired:
        described, rows = [], self.rows
        for number, row in enumerate(rows, 1):
            counts: dict[str, object] = {}
            for item, handed_on in row:
                kind = LINEAR if handed_on else item.unit  # type: ignore[union-attr]
                counts[kind] = int(counts.get(kind, 0)) + 1  # type: ignore[call-overload]
            if number not in self.recurrent:
                counts["recurrent"] = False
            if number == 1:
                counts["feedback"] = "last_layer" if self.from_the_top else True
            described.append(counts)
        network = Network.of(described, inputs=len(self.graph.inputs))
        writer = _Writer(network, self.graph.initial_weights)
        places = []
        for number, (row, layer) in enumerate(zip(rows, network.layers, strict=True), 1):
            heard_at = self._positions(number, layer)
            of_kind: dict[str, int] = {}
            for output, (item, handed_on) in enumerate(row):
                kind = LINEAR if handed_on else item.unit  # type: ignore[union-attr]
                index = of_kind[kind] = of_kind.get(kind, -1) + 1
                block = next(b for b in layer.blocks if b.unit.name == kind)
                signals = [Signal(self.graph, {item: 1.0})] if handed_on else item.heard  # type: ignore[union-attr, dict-item]
                wires = []
                for signal, first in zip(signals, block.row, strict=True):
                    wires.append(self._wires(signal, item if not handed_on else None, heard_at))
                    writer.write(number - 1, first + index, wires[-1])
                places.append(Place(number, output, item, handed_on, tuple(tuple(w for w, _ in ws) for ws in wires)))
        heard_at = self._positions(self.layers + 1, network.output)
        wires_of_output = self._wires(self.output, None, heard_at)
        writer.write(len(network.layers), 0, wires_of_output)
        return Wired(
            network,
            writer.template,
            writer.slopes,
            tuple(places),
            tuple(w for w, _ in wires_of_output),
            tuple(self.graph.products),
        )

    def _positions(self, number: int, layer: Layer) -> dict[object, int]:
        """Where a layer hears what: keys are sources, and ("own", source) for those of its own layer in the cycle before."""
        found: dict[object, int] = {}
        if layer.own:
            found |= {("own", item): i for i, (item, _) in enumerate(self.rows[number - 1])}
        if number > 1:
            return found | {item: layer.own + i for i, (item, _) in enumerate(self.rows[number - 2])}
        top = [item for item, _ in self.rows[-1]] if self.from_the_top else []
        found |= {Before(node): layer.own + top.index(node) for node in self.from_the_top}
        return found | {i: layer.own + len(top) + i for i in range(len(self.graph.inputs) + 1)}

    def _wires(self, signal: Signal, node: Node | Source | None, heard_at: dict[object, int]) -> list[tuple[Wire, int]]:
        """The weights of a signal, each with the position of its source; -1: the bias."""
        wires = []
        for source, weight in signal.terms.items():
            if isinstance(node, Node) and self._own(source, node):
                wires.append((Wire(source, weight, {}, delayed=True), heard_at["own", source.node]))  # type: ignore[union-attr]
            elif isinstance(source, Input) and source not in heard_at:
                wires.append((Wire(source, weight, {}, delayed=False), heard_at[source.index]))
            else:
                wires.append((Wire(source, weight, {}, delayed=isinstance(source, Before)), heard_at[source]))
        if signal.constant or signal.initial:
            wires.append((Wire(None, signal.constant, signal.initial, delayed=False), -1))
        return wires


class _Writer:
    """Writes weights where the network has them."""

    def __init__(self, network: Network, initial: int) -> None:
        self.network = network
        self.template = torch.zeros(network.parameters, dtype=torch.float64)
        self.slopes = torch.zeros(initial, network.parameters, dtype=torch.float64)
        self.first = [0]
        for layer in network.all_layers:
            self.first.append(self.first[-1] + layer.parameters)

    def write(self, layer: int, row: int, wires: list[tuple[Wire, int]]) -> None:
        places = self.network.all_layers[layer].places[row]
        for wire, position in wires:
            place = self.first[layer] + places[position]
            assert math.isfinite(wire.weight)
            assert places[position] < self.network.all_layers[layer].parameters, "there is no such weight"
            self.template[place] = wire.weight
            for number, slope in wire.initial.items():
                self.slopes[number, place] = slope
