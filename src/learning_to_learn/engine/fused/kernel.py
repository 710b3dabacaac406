"""Print what all kernels share: a module for one network, and one cycle forward for one block of lanes.

A kernel runs LANES sequences of one replica side by side, through all cycles, in one workspace: a flat array that stays in
the core's cache. Workers (threads) each own one, so memory does not grow with batch or replicas. Names of the places in
it, for layer i:

    sources0 [K + 1]: own outputs of the cycle before, then those of the layer below, then 1
    weights0, transposed    pre_activations [M]    states0 [S]    network_output

`sources0` is the place of layer 0's sources in the flat array `memory`, `sources0_now` that of the sources of this cycle, and
`outputs0_next` the place where this cycle's outputs become sources of the next. A row of lanes is LANES numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.source import Source
from learning_to_learn.engine.fused.trace import UnitTrace, trace
from learning_to_learn.topology.network import Block, Layer, Network

HEAD = '''"""Printed by learning_to_learn.engine.fused for one network; do not edit."""

from numba import njit

from {matmul} import outer, product, product_pair
from learning_to_learn.engine.fused.lanes import (
    LANES, both, cos, either, erf, exp, expm1, fill, fma, load, log, log1p, maximum, minimum, negate, opposite, select, sigmoid,
    sin, splat, sqrt, store, tanh, total,
)
from learning_to_learn.engine.fused.options import CACHED
'''
ARGUMENTS = (
    "parameters, inputs, target, lane0, state, outputs, last, scale, learn, {flag}, window, gradient, memory, sensitivities"
)
"""The arguments of every kernel's `block`; `flag` is what the backward and the forward mode each decide by it."""


@dataclass(frozen=True)
class KernelLayer:
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


def kernel_layers(network: Network) -> list[KernelLayer]:
    """The network's layers, the output neuron last. Raises UnsupportedOperation where a unit cannot be fused."""
    traced: dict[str, UnitTrace] = {}
    built, first = [], 0
    for index, layer in enumerate(network.all_layers):
        for block in layer.blocks:
            if block.unit.name not in traced:
                traced[block.unit.name] = trace(block.unit)
        built.append(KernelLayer(layer, index, tuple(traced[b.unit.name] for b in layer.blocks), first))
        first += layer.parameters
    return built


class Kernel:
    """One cycle forward, and the ends of a segment. Subclasses print what the learning algorithm adds."""

    def __init__(self, network: Network, row: int = LANES) -> None:
        self.network, self.layers, self.row = network, kernel_layers(network), row
        self.s = Source()

    def workspace(self) -> list[tuple[str, int, int]]:
        """(name, size a slab of cycles, size however many cycles) of every place in the workspace."""
        places = [("network_output", 0, LANES), ("pre_activations", 0, max(part.layer.rows for part in self.layers) * LANES)]
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [(f"weights{i}", 0, layer.parameters), (f"states{i}", 0, layer.states * LANES)]
        return places

    def transpose_weights(self) -> None:
        """weights[k, m], so that the weights of neighbouring rows lie side by side."""
        for part in self.layers:
            with self.s.loop("m", part.layer.rows), self.s.loop("k", part.sources):
                self.s.add(
                    f"memory[weights{part.index} + k * {part.layer.rows} + m] = "
                    f"parameters[{part.first} + m * {part.sources} + k]"
                )

    def load_state(self) -> None:
        """Copy state [B, D] into the sources of the first cycle, the states and the output; idle lanes run on zeros."""
        s, place = self.s, 0
        for part in self.layers[:-1]:
            for base, stride, n in (
                (f"sources{part.index}", self.row, part.own),
                (f"states{part.index}", LANES, part.layer.states),
            ):
                with s.loop("i", n), s.loop("lane", LANES):
                    s.add(f"memory[{base} + i * {stride} + lane] = state[lane0 + lane, {place} + i] if lane < live else 0.0")
                place += n
        with s.loop("lane", LANES):
            s.add(f"memory[network_output + lane] = state[lane0 + lane, {place}] if lane < live else 0.0")

    def store_state(self) -> None:
        """The reverse, from the sources of the cycle after the last."""
        s, place = self.s, 0
        for part in self.layers[:-1]:
            for base, stride, n in (
                (f"sources{part.index}_now", self.row, part.own),
                (f"states{part.index}", LANES, part.layer.states),
            ):
                with s.loop("i", n), s.loop("lane", "live"):
                    s.add(f"last[lane0 + lane, {place} + i] = memory[{base} + i * {stride} + lane]")
                place += n
        with s.loop("lane", "live"):
            s.add(f"last[lane0 + lane, {place}] = memory[network_output + lane]")

    def read_inputs(self) -> None:
        """The inputs of cycle t; lanes that are not live read zeros, never what another replica left in the workspace."""
        s, first = self.s, self.layers[0].own * self.row
        s.add(*(f"store(memory, sources0_now + {first + i * self.row}, 0.0)" for i in range(self.network.inputs)))
        with s.loop("lane", "live"):
            for i in range(self.network.inputs):
                s.add(f"memory[sources0_now + {first + i * self.row} + lane] = inputs[lane0 + lane, cycle, {i}]")
        if self.network.error_feedback:
            last = first + (self.network.inputs - 1) * self.row
            s.add(f"store(memory, sources0_now + {last}, load(memory, sources0_now + {last}) - load(memory, network_output))")

    def layer_forward(self, part: KernelLayer) -> None:
        """Sources at `sources_now` to outputs, kept for the next cycle at `outputs_next`."""
        s, layer, i = self.s, part.layer, part.index
        s.add(f"store(memory, sources{i}_now + {layer.sources * self.row}, 1.0)")
        s.add(
            f"product(memory, pre_activations, LANES, memory, weights{i}, {layer.rows}, "
            f"memory, sources{i}_now, {self.row}, {layer.rows}, {part.sources}, False)"
        )
        for block, unit in part.units():
            with s.loop("unit", block.count):
                self._unit_forward(part, block, unit)
        if i + 1 == len(self.layers):
            with s.loop("lane", "live"):
                s.add("outputs[lane0 + lane, cycle] = memory[network_output + lane]")

    def _unit_forward(self, part: KernelLayer, block: Block, unit: UnitTrace) -> None:
        s, i = self.s, part.index
        names = {f"pre{n}": f"pre{n}" for n in range(len(block.rows()))} | {
            f"state{n}": f"state{n}" for n in range(len(block.states()))
        }
        for n, rows in enumerate(block.rows()):
            s.add(f"pre{n} = load(memory, pre_activations + ({rows.start} + unit) * LANES)")
        for n, states in enumerate(block.states()):
            s.add(f"state{n} = load(memory, states{i} + ({states.start} + unit) * LANES)")
        lines, outputs = statements(unit.forward, names, "forward_")
        s.add(*lines)
        for n, states in enumerate(block.states()):
            s.add(f"store(memory, states{i} + ({states.start} + unit) * LANES, {outputs[1 + n]})")
        if part.own:
            s.add(f"store(memory, outputs{i}_next + ({block.output} + unit) * {self.next_row}, {outputs[0]})")
        if i + 1 < len(self.layers):
            above = self.layers[i + 1].own + block.output
            s.add(f"store(memory, sources{i + 1}_now + ({above} + unit) * {self.row}, {outputs[0]})")
        else:
            s.add(f"store(memory, network_output, {outputs[0]})")
        self.keep(part, block, unit, names | {op.name: "forward_" + op.name for op in unit.forward.ops})

    @property
    def next_row(self) -> int:
        """The stride of the rows at `outputs_next`."""
        return self.row

    def keep(self, part: KernelLayer, block: Block, unit: UnitTrace, names: dict[str, str]) -> None:
        """Store what the learning algorithm needs of unit j, just computed."""

    def places(self, slabs: str) -> list[str]:
        """Statements that name the places of the workspace."""
        lines, before = [], "0"
        for name, each, fixed in self.workspace():
            lines.append(f"{name} = {before}")
            before = f"{name} + {each} * {slabs} + {fixed}" if each else f"{name} + {fixed}"
        return lines
