"""Print what all kernels share: a module for one network, and one cycle forward for one block of lanes.

A kernel runs LANES sequences of one replica side by side, through all cycles, in one workspace: a flat array that stays in
the core's cache. Workers (threads) each own one, so memory does not grow with batch or replicas. Names of the places in
it, for layer i:

    V sources [K + 1]: own outputs of the cycle before, then those of the layer below, then 1      W weights, transposed
    Z pre-activations [M]    C states [S]    P the network's output

What follows is said in the printed source's own terms: `a` is the workspace, `p` the replica's parameters, `V0` the place of
layer 0's sources in `a`, and a row of lanes is LANES numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.trace import UnitTrace, trace
from learning_to_learn.topology.network import Block, Layer, Network

HEAD = '''"""Printed by src.engine for one network; do not edit."""

import numpy as np
from numba import njit, prange

from learning_to_learn.engine.fused.matmul import OPTIONS, outer, product, product_pair
from learning_to_learn.engine.fused.lanes import (
    LANES, both, cos, either, erf, exp, expm1, fill, fma, load, log, log1p, maximum, minimum, negate, opposite, select, sigmoid,
    sin, splat, sqrt, store, tanh, total,
)
'''


@dataclass(frozen=True)
class Part:
    """A layer as a kernel sees it."""

    layer: Layer
    index: int
    traces: tuple[UnitTrace, ...]
    first: int
    """Its first parameter."""

    @property
    def own(self) -> int:
        """How many of its sources are its own outputs."""
        return self.layer.outputs if self.layer.recurrent else 0

    @property
    def sources(self) -> int:
        """K + 1, the bias's constant included."""
        return self.layer.sources + 1

    def units(self) -> Iterator[tuple[Block, UnitTrace]]:
        return zip(self.layer.blocks, self.traces, strict=True)


def parts(network: Network) -> list[Part]:
    """The network's layers, the output neuron last. Raises UnsupportedOperation where a unit cannot be fused."""
    traced: dict[str, UnitTrace] = {}
    built, first = [], 0
    for index, layer in enumerate(network.all_layers):
        for block in layer.blocks:
            if block.unit.name not in traced:
                traced[block.unit.name] = trace(block.unit)
        built.append(Part(layer, index, tuple(traced[b.unit.name] for b in layer.blocks), first))
        first += layer.parameters
    return built


class Source:
    """Lines of Python whose indentation follows `with`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 1

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self._depth + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def loop(self, variable: str, n: int | str) -> Iterator[None]:
        """A loop; nothing where it would run no times."""
        if n == 0:
            kept, self.lines = self.lines, []
            yield
            self.lines = kept
            return
        with self.block(f"for {variable} in range({n}):"):
            yield


class Kernel:
    """One cycle forward, and the ends of a segment. Subclasses print what the learning algorithm adds."""

    def __init__(self, network: Network, row: int = LANES) -> None:
        self.network, self.layers, self.row = network, parts(network), row
        self.s = Source()

    def workspace(self) -> list[tuple[str, int, int]]:
        """(name, size a slab of cycles, size however many cycles) of every place in the workspace."""
        places = [("P", 0, LANES), ("Z", 0, max(part.layer.rows for part in self.layers) * LANES)]
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [(f"W{i}", 0, layer.parameters), (f"C{i}", 0, layer.states * LANES)]
        return places

    def transpose_weights(self) -> None:
        """W[k, m], so that the weights of neighbouring rows lie side by side."""
        for part in self.layers:
            with self.s.loop("m", part.layer.rows), self.s.loop("k", part.sources):
                self.s.add(f"a[W{part.index} + k * {part.layer.rows} + m] = p[{part.first} + m * {part.sources} + k]")

    def load_state(self) -> None:
        """state [B, D] into the first V, and into C and P; lanes that are not live run on zeros."""
        s, place = self.s, 0
        for part in self.layers[:-1]:
            for base, stride, n in ((f"V{part.index}", self.row, part.own), (f"C{part.index}", LANES, part.layer.states)):
                with s.loop("i", n), s.loop("l", LANES):
                    s.add(f"a[{base} + i * {stride} + l] = state[lane0 + l, {place} + i] if l < live else 0.0")
                place += n
        with s.loop("l", LANES):
            s.add(f"a[P + l] = state[lane0 + l, {place}] if l < live else 0.0")

    def store_state(self) -> None:
        """The reverse, from the sources `v` of the cycle after the last."""
        s, place = self.s, 0
        for part in self.layers[:-1]:
            for base, stride, n in ((f"v{part.index}", self.row, part.own), (f"C{part.index}", LANES, part.layer.states)):
                with s.loop("i", n), s.loop("l", "live"):
                    s.add(f"last[lane0 + l, {place} + i] = a[{base} + i * {stride} + l]")
                place += n
        with s.loop("l", "live"):
            s.add(f"last[lane0 + l, {place}] = a[P + l]")

    def read_inputs(self) -> None:
        """The inputs of cycle t; lanes that are not live read zeros, never what another replica left in the workspace."""
        s, first = self.s, self.layers[0].own * self.row
        s.add(*(f"store(a, v0 + {first + i * self.row}, 0.0)" for i in range(self.network.inputs)))
        with s.loop("l", "live"):
            for i in range(self.network.inputs):
                s.add(f"a[v0 + {first + i * self.row} + l] = x[lane0 + l, t, {i}]")
        if self.network.error_feedback:
            last = first + (self.network.inputs - 1) * self.row
            s.add(f"store(a, v0 + {last}, load(a, v0 + {last}) - load(a, P))")

    def layer_forward(self, part: Part) -> None:
        """Sources at `v` to outputs, kept for the next cycle at `n`."""
        s, layer, i = self.s, part.layer, part.index
        s.add(f"store(a, v{i} + {layer.sources * self.row}, 1.0)")
        s.add(f"product(a, Z, LANES, a, W{i}, {layer.rows}, a, v{i}, {self.row}, {layer.rows}, {part.sources}, False)")
        for block, unit in part.units():
            with s.loop("j", block.count):
                self._unit_forward(part, block, unit)
        if i + 1 == len(self.layers):
            with s.loop("l", "live"):
                s.add("y[lane0 + l, t] = a[P + l]")

    def _unit_forward(self, part: Part, block: Block, unit: UnitTrace) -> None:
        s, i = self.s, part.index
        names = {f"z{n}": f"z{n}" for n in range(len(block.rows()))} | {f"s{n}": f"s{n}" for n in range(len(block.states()))}
        for n, rows in enumerate(block.rows()):
            s.add(f"z{n} = load(a, Z + ({rows.start} + j) * LANES)")
        for n, states in enumerate(block.states()):
            s.add(f"s{n} = load(a, C{i} + ({states.start} + j) * LANES)")
        lines, outputs = statements(unit.forward, names, "f_")
        s.add(*lines)
        for n, states in enumerate(block.states()):
            s.add(f"store(a, C{i} + ({states.start} + j) * LANES, {outputs[1 + n]})")
        if part.own:
            s.add(f"store(a, n{i} + ({block.output} + j) * {self.next_row}, {outputs[0]})")
        if i + 1 < len(self.layers):
            above = self.layers[i + 1].own + block.output
            s.add(f"store(a, v{i + 1} + ({above} + j) * {self.row}, {outputs[0]})")
        else:
            s.add(f"store(a, P, {outputs[0]})")
        self.keep(part, block, unit, names | {op.name: "f_" + op.name for op in unit.forward.ops})

    @property
    def next_row(self) -> int:
        """The stride of the rows at `n`."""
        return self.row

    def keep(self, part: Part, block: Block, unit: UnitTrace, names: dict[str, str]) -> None:
        """Store what the learning algorithm needs of unit j, just computed."""

    def places(self, slabs: str) -> list[str]:
        """Statements that name the places of the workspace."""
        lines, before = [], "0"
        for name, each, fixed in self.workspace():
            lines.append(f"{name} = {before}")
            before = f"{name} + {each} * {slabs} + {fixed}" if each else f"{name} + {fixed}"
        return lines
