"""Print what all kernels share: a module for one network, and one cycle forward for one block of lanes.

A kernel runs LANES sequences of one replica side by side, through all cycles, in one workspace: a flat array that stays in
the core's cache. Workers (threads) each own one, so memory does not grow with batch or replicas. Names of the places in
it, for layer i:

    sources0 [K + 1]: own outputs of the cycle before, then those of the layer below, then 1
    weights0, each matrix transposed    pre_activations [M]    states0 [S]    network_output
    constants0: what the units compute of their own numbers alone, the same at every cycle

`sources0` is the place of layer 0's sources in the flat array `memory`, `sources0_now` that of the sources of this cycle, and
`outputs0_next` the place where this cycle's outputs become sources of the next. A row of lanes is LANES numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.source import Source
from learning_to_learn.engine.fused.trace import Trace, UnitTrace, trace
from learning_to_learn.topology.network import Block, Layer, Network, Product
from learning_to_learn.topology.units import Unit

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
class KernelBlock:
    """A block of equal units, one in every head of its layer, as a kernel sees it.

    The methods return the text of an index: of the place of head `head`'s unit `unit` among all of its kind in the layer.
    """

    unit: Unit
    trace: UnitTrace
    heads: int
    block: Block
    """Of the first head."""
    next_block: Block
    """The same block of the second head, if there is one."""

    @property
    def count(self) -> int:
        """The units of one head."""
        return self.block.count

    @property
    def rows(self) -> int:
        return len(self.block.row)

    @property
    def states(self) -> int:
        return len(self.unit.states)

    @property
    def numbers(self) -> int:
        return len(self.unit.numbers)

    def row(self, n: int) -> str:
        return self._index(self.block.row[n], self.next_block.row[n])

    def output(self, n: int, before: int = 0) -> str:
        """`before`: the rows that stand before the layer's outputs."""
        return self._index(before + self.block.output + n * self.count, before + self.next_block.output + n * self.count)

    def state(self, n: int, before: int = 0) -> str:
        return self._index(before + self.block.state + n * self.count, before + self.next_block.state + n * self.count)

    def number(self, n: int, before: int = 0) -> str:
        return self._index(before + self.block.number + n * self.count, before + self.next_block.number + n * self.count)

    def value(self, n: int, before: int) -> str:
        """Value number n of those that a kernel keeps of every unit; `before` are those of the blocks before."""
        first = before + n * self.heads * self.count
        return self._index(first, first + self.count)

    def _index(self, first: int, of_next_head: int) -> str:
        return f"({first} + unit)" if self.heads == 1 else f"({first} + head * {of_next_head - first} + unit)"


@dataclass(frozen=True)
class KernelLayer:
    """A layer as a kernel sees it."""

    layer: Layer
    index: int
    blocks: tuple[KernelBlock, ...]
    first: int
    """Its first parameter."""

    @property
    def own(self) -> int:
        """How many of its sources are its own outputs."""
        return self.layer.own

    @property
    def sources(self) -> int:
        """K + 1, the bias's constant included."""
        return self.layer.sources + 1

    def products(self) -> Iterator[tuple[Product, bool]]:
        """The layer's matrices, and whether each adds to what those before it have made of its rows."""
        covered = 0
        for p in self.layer.products:
            yield p, p.row < covered
            covered = max(covered, p.row + p.heads * p.rows)

    def values(self, block: KernelBlock, each: Callable[[KernelBlock], int]) -> int:
        """How many values are kept of the blocks before one, when `each` says how many of a block's unit."""
        before = self.blocks[: self.blocks.index(block)]
        return sum(b.heads * b.count * each(b) for b in before)

    def all_values(self, each: Callable[[KernelBlock], int]) -> int:
        return sum(b.heads * b.count * each(b) for b in self.blocks)


def kernel_layers(network: Network) -> list[KernelLayer]:
    """The network's layers, the output neuron last. Raises UnsupportedOperation where a unit cannot be fused."""
    traced: dict[str, UnitTrace] = {}
    built, first = [], 0
    for index, layer in enumerate(network.all_layers):
        kinds, blocks = len(layer.blocks) // layer.heads, []
        for n, block in enumerate(layer.blocks[:kinds]):
            if block.unit.name not in traced:
                traced[block.unit.name] = trace(block.unit)
            second = layer.blocks[n + kinds if layer.heads > 1 else n]
            blocks.append(KernelBlock(block.unit, traced[block.unit.name], layer.heads, block, second))
        built.append(KernelLayer(layer, index, tuple(blocks), first))
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
            places += [(f"weights{i}", 0, layer.weights), (f"states{i}", 0, layer.states * LANES)]
            if layer.numbers:
                places.append((f"constants{i}", 0, part.all_values(self._constants) * LANES))
        return places

    def transpose_weights(self) -> None:
        """weights[k, m], so that the weights of neighbouring rows lie side by side."""
        for part in self.layers:
            for p in part.layer.products:
                with self.heads(p.heads), self.s.loop("m", p.rows), self.s.loop("k", p.terms):
                    self.s.add(
                        f"memory[{place(f'weights{part.index}', p.first, p, p.rows * p.terms)} + k * {p.rows} + m] = "
                        f"parameters[{place('', part.first + p.first, p, p.rows * p.terms)} + m * {p.terms} + k]"
                    )

    def compute_constants(self) -> None:
        """What the units make of their own numbers alone."""
        s = self.s
        for part in self.layers:
            for block in part.blocks:
                if not block.numbers:
                    continue
                with self.units(block):
                    numbers = {f"number{n}": f"number{n}" for n in range(block.numbers)}
                    for n, name in enumerate(numbers):
                        s.add(f"{name} = splat(parameters, {block.number(n, part.first + part.layer.weights)})")
                    first = 0
                    for constants, prefix in self.constants(block):
                        lines, outputs = statements(constants, numbers, prefix)
                        s.add(*lines)
                        for n, value in enumerate(outputs, first):
                            s.add(f"store(memory, {self._constant(part, block, n)}, {value})")
                        first += len(outputs)

    def constants(self, block: KernelBlock) -> list[tuple[Trace, str]]:
        """What the kernel keeps of a unit's numbers, with prefixes of its variables."""
        return [(block.trace.constants, "constant_")]

    def _constants(self, block: KernelBlock) -> int:
        return sum(len(constants.outputs) for constants, _ in self.constants(block))

    def _constant(self, part: KernelLayer, block: KernelBlock, n: int) -> str:
        """The place of unit j's constant number n."""
        return f"constants{part.index} + {block.value(n, part.values(block, self._constants))} * LANES"

    def load_constants(self, part: KernelLayer, block: KernelBlock, reader: Trace, which: int = 0) -> dict[str, str]:
        """Load those constants that `reader` reads; return the names of the variables that hold them."""
        read = {a for op in reader.ops for a in op.args} | set(reader.outputs)
        before = sum(len(constants.outputs) for constants, _ in self.constants(block)[:which])
        constants, prefix = self.constants(block)[which]
        names = {}
        for n, variable in enumerate(constants.outputs, before):
            if isinstance(variable, str) and variable in read:
                names[variable] = prefix + variable
                self.s.add(f"{prefix}{variable} = load(memory, {self._constant(part, block, n)})")
        return names

    @contextmanager
    def heads(self, n: int) -> Iterator[None]:
        """A loop over the heads; nothing where there is one."""
        if n == 1:
            yield
        else:
            with self.s.loop("head", n):
                yield

    @contextmanager
    def units(self, block: KernelBlock) -> Iterator[None]:
        """A loop over the units of a block, in all heads."""
        with self.heads(block.heads), self.s.loop("unit", block.count):
            yield

    def load_state(self) -> None:
        """Copy state [B, D] into the sources of the first cycle, the states and the output; idle lanes run on zeros."""
        s, place = self.s, 0
        for part in self.layers[:-1]:
            for base, stride, n in (
                (f"sources{part.index}", self.row, part.own),
                (f"states{part.index}", LANES, part.layer.states),
            ):
                # Where units do not begin with zeros, a state of zeros could be one that they cannot run on.
                given = base.startswith("states") and any(block.unit.initial for block in part.blocks)
                idle = f"state[lane0, {place} + i]" if given else "0.0"
                with s.loop("i", n), s.loop("lane", LANES):
                    s.add(f"memory[{base} + i * {stride} + lane] = state[lane0 + lane, {place} + i] if lane < live else {idle}")
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
        if self.network.last_layer_feedback:
            top = self.layers[-2]
            with s.loop("i", top.layer.outputs):
                s.add(
                    f"store(memory, sources0_now + {first} + i * {self.row}, "
                    f"load(memory, sources{top.index}_now + i * {self.row}))"
                )
            first += top.layer.outputs * self.row
        s.add(*(f"store(memory, sources0_now + {first + i * self.row}, 0.0)" for i in range(self.network.inputs)))
        with s.loop("lane", "live"):
            for i in range(self.network.inputs):
                s.add(f"memory[sources0_now + {first + i * self.row} + lane] = inputs[lane0 + lane, cycle, {i}]")
        if self.network.output_feedback:
            s.add(f"store(memory, sources0_now + {first + self.network.inputs * self.row}, load(memory, network_output))")
        if self.network.error_feedback:
            last = first + (self.network.inputs - 1) * self.row
            s.add(f"store(memory, sources0_now + {last}, load(memory, sources0_now + {last}) - load(memory, network_output))")

    def layer_forward(self, part: KernelLayer) -> None:
        """Sources at `sources_now` to outputs, kept for the next cycle at `outputs_next`."""
        s, layer, i = self.s, part.layer, part.index
        s.add(f"store(memory, sources{i}_now + {layer.sources * self.row}, 1.0)")
        for p, accumulate in part.products():
            with self.heads(p.heads):
                s.add(
                    f"product(memory, {place('pre_activations', p.row * LANES, p, p.rows * LANES)}, LANES, "
                    f"memory, {place(f'weights{i}', p.first, p, p.rows * p.terms)}, {p.rows}, "
                    f"memory, {place(f'sources{i}_now', p.source * self.row, p, p.terms * self.row)}, {self.row}, "
                    f"{p.rows}, {p.terms}, {accumulate})"
                )
        for block in part.blocks:
            with self.units(block):
                self._unit_forward(part, block)
        if i + 1 == len(self.layers):
            with s.loop("lane", "live"):
                s.add("outputs[lane0 + lane, cycle] = memory[network_output + lane]")

    def _unit_forward(self, part: KernelLayer, block: KernelBlock) -> None:
        s, i, forward = self.s, part.index, block.trace.forward
        names = {f"pre{n}": f"pre{n}" for n in range(block.rows)} | {f"state{n}": f"state{n}" for n in range(block.states)}
        for n in range(block.rows):
            s.add(f"pre{n} = load(memory, pre_activations + {block.row(n)} * LANES)")
        for n in range(block.states):
            s.add(f"state{n} = load(memory, states{i} + {block.state(n)} * LANES)")
        names |= self.load_constants(part, block, forward)
        lines, results = statements(forward, names, "forward_")
        s.add(*lines)
        outputs, states = results[: block.unit.outputs], results[block.unit.outputs :]
        for n, state in enumerate(states):
            s.add(f"store(memory, states{i} + {block.state(n)} * LANES, {state})")
        for n, output in enumerate(outputs):
            if part.own:
                s.add(f"store(memory, outputs{i}_next + {block.output(n)} * {self.next_row}, {output})")
            if i + 1 < len(self.layers):
                above = block.output(n, before=self.layers[i + 1].own)
                if part.layer.residual:
                    below = f"load(memory, sources{i}_now + {block.output(n, before=part.own)} * {self.row})"
                    output = f"{output} + {below}"
                s.add(f"store(memory, sources{i + 1}_now + {above} * {self.row}, {output})")
            else:
                s.add(f"store(memory, network_output, {output})")
        self.keep(part, block, names | {op.name: "forward_" + op.name for op in forward.ops})

    def signed(self, value: str) -> str:
        """A vector with the sign that the network's previous output has where it is fed back."""
        return f"negate({value})" if self.network.fed_back < 0 else value

    @property
    def next_row(self) -> int:
        """The stride of the rows at `outputs_next`."""
        return self.row

    def keep(self, part: KernelLayer, block: KernelBlock, names: dict[str, str]) -> None:
        """Store what the learning algorithm needs of unit j, just computed."""

    def places(self, slabs: str) -> list[str]:
        """Statements that name the places of the workspace."""
        lines, before = [], "0"
        for name, each, fixed in self.workspace():
            lines.append(f"{name} = {before}")
            before = f"{name} + {each} * {slabs} + {fixed}" if each else f"{name} + {fixed}"
        return lines


def place(base: str, offset: int, product: Product, step: int) -> str:
    """The text of a place `offset` behind `base`, and `step` further for each next head of a product."""
    terms = [base] if base else []
    terms += [str(offset)] if offset or not terms else []
    terms += [f"head * {step}"] if product.heads > 1 else []
    return " + ".join(terms)
