"""Print what all kernels share: a module for one network, and one cycle forward for one block of lanes.

A kernel runs LANES sequences side by side, through all cycles, in one workspace: a flat array, which stays in the core's
cache unless the sequences are long. They are of one replica, whose parameters are scalars. In a kernel for mixed lanes they are
of any replicas, and `parameters`, `gradient` and the weights in the workspace are rows of lanes. Workers (threads) each own a
workspace, so memory does not grow with batch or replicas. Names of the places in it, for layer i:

    sources0 [K + 1]: own outputs of the cycle before, then those of the layer below, then 1
    weights0, each matrix transposed    pre_activations [M]    states0 [S]    network_output [m]
    constants0: what the units compute of their own numbers alone, the same at every cycle

`sources0` is the place of layer 0's sources in the flat array `memory`, `sources0_now` that of the sources of this cycle, and
`outputs0_next` the place where this cycle's outputs become sources of the next. A row of lanes is LANES numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.groups import SCRATCH, GroupPlaces, Groups
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.nests import Nests
from learning_to_learn.engine.fused.source import Source
from learning_to_learn.engine.fused.trace import Trace, UnitTrace, trace
from learning_to_learn.engine.fused.vector_trace import trace_vectors
from learning_to_learn.topology.network import Block, Layer, Network, Product
from learning_to_learn.topology.norms import EPSILON
from learning_to_learn.topology.units import Unit
from learning_to_learn.topology.vector_units import VectorUnit

HEAD = '''"""Printed by learning_to_learn.engine.fused for one network; do not edit."""

from numba import njit

from {matmul} import {products}
from learning_to_learn.engine.fused.lanes import (
    LANES, both, cos, either, erf, exp, expm1, fill, fma, load, log, log1p, maximum, minimum, negate, opposite, prefetch,
    quick_exp, select, sigmoid, sin, splat, sqrt, store, tanh, total,
)
from learning_to_learn.engine.fused.options import BY_ADDRESS
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
    made: UnitTrace | Groups
    heads: int
    block: Block
    """Of the first head."""
    next_block: Block
    """The same block of the second head, if there is one."""

    @property
    def groups(self) -> Groups | None:
        """What is printed of vector units; None of scalar ones."""
        return self.made if isinstance(self.made, Groups) else None

    @property
    def trace(self) -> UnitTrace:
        """What is printed of scalar units."""
        assert isinstance(self.made, UnitTrace)
        return self.made

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
        size = self.unit.size(self.unit.pre_activations[n])
        return self._index(self.block.row[n], self.next_block.row[n], size)

    def output(self, n: int, before: int = 0) -> str:
        """`before`: the rows that stand before the layer's outputs."""
        first, second = self.block.outputs()[n], self.next_block.outputs()[n]
        return self._index(before + first.start, before + second.start, self.unit.width)

    def state(self, n: int, before: int = 0) -> str:
        first, second = self.block.states()[n], self.next_block.states()[n]
        return self._index(before + first.start, before + second.start, self.unit.size(self.unit.states[n]))

    def number(self, n: int, before: int = 0) -> str:
        first, second, size = self.block.numbers()[n], self.next_block.numbers()[n], self.unit.size([*self.unit.trained][n])
        return self._index(before + first.start, before + second.start, size)

    def value(self, n: int, before: int) -> str:
        """Value number n of those that a kernel keeps of every unit; `before` are those of the blocks before."""
        first = before + n * self.heads * self.count
        return self._index(first, first + self.count)

    def group(self, each: int, before: int) -> str:
        """The first of `each` values that a kernel keeps of a group, side by side."""
        return self._index(before, before + self.count * each, each)

    def _index(self, first: int, of_next_head: int, size: int = 1) -> str:
        unit = "unit" if size == 1 else f"unit * {size}"
        return f"({first} + {unit})" if self.heads == 1 else f"({first} + head * {of_next_head - first} + {unit})"


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
    def has_groups(self) -> bool:
        """Whether any of its units are vector units."""
        return any(block.groups for block in self.blocks)

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
    traced: dict[str, UnitTrace | Groups] = {}
    built, first = [], 0
    for index, layer in enumerate(network.all_layers):
        kinds, blocks = len(layer.blocks) // layer.heads, []
        for n, block in enumerate(layer.blocks[:kinds]):
            if block.unit.name not in traced:
                unit = block.unit
                traced[unit.name] = Groups(unit, trace_vectors(unit)) if isinstance(unit, VectorUnit) else trace(unit)
            second = layer.blocks[n + kinds if layer.heads > 1 else n]
            blocks.append(KernelBlock(block.unit, traced[block.unit.name], layer.heads, block, second))
        built.append(KernelLayer(layer, index, tuple(blocks), first))
        first += layer.parameters
    return built


class Kernel:
    """One cycle forward, and the ends of a segment. Subclasses print what the learning algorithm adds."""

    def __init__(self, network: Network, row: int = LANES, *, mixed: bool = False) -> None:
        self.network, self.layers, self.row, self.mixed = network, kernel_layers(network), row, mixed
        self.s = Source()

    @property
    def weight_size(self) -> int:
        """The elements of a weight in the workspace."""
        return LANES if self.mixed else 1

    def weight_place(self, base: str, offset: int, product: Product) -> str:
        """The text of the place of a product's first weight, `offset` weights behind `base`."""
        size = self.weight_size
        return place(base, offset * size, product, product.rows * product.terms * size)

    def parameter(self, index: str) -> str:
        """A parameter in every lane."""
        return f"load(parameters, ({index}) * LANES)" if self.mixed else f"splat(parameters, {index})"

    def workspace(self) -> list[tuple[str, int, int]]:
        """(name, size a slab of cycles, size however many cycles) of every place in the workspace."""
        places = [
            ("network_output", 0, self.network.outputs * LANES),
            ("pre_activations", 0, max(part.layer.rows for part in self.layers) * LANES),
        ]
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [
                (f"weights{i}", 0, _whole_rows(layer.weights) * self.weight_size),
                (f"states{i}", 0, layer.states * LANES),
            ]
            if layer.numbers:
                places.append((f"constants{i}", 0, part.all_values(self._constants) * LANES))
        blocks = ((part, block) for part in self.layers for block in part.blocks)
        scratch = max((nests.rows for part, block in blocks for nests in self._nests(part, block)), default=0)
        return [*places, (SCRATCH, 0, scratch * LANES)] if scratch else places

    def _nests(self, part: KernelLayer, block: KernelBlock) -> list[Nests]:
        """All the loops that are printed of a block of vector units."""
        if not block.groups:
            return []
        at = self.group_places(part, block)
        return [block.groups.constant_nests(part.index, at), block.groups.forward(part.index, at)]

    def group_places(self, part: KernelLayer, block: KernelBlock) -> GroupPlaces:
        """Where the arguments of a group lie, in the loops over heads and over the units of one."""
        assert block.groups
        return GroupPlaces(
            [block.row(n) for n in range(block.rows)],
            [block.output(n) for n in range(block.unit.outputs)],
            [block.state(n) for n in range(block.states)],
            block.group(block.groups.kept_rows, part.values(block, kept_rows)),
            block.group(block.groups.constant_rows, part.values(block, self._constants)),
        )

    def _compute_group_constants(self, part: KernelLayer, block: KernelBlock, groups: Groups) -> None:
        at, before = self.group_places(part, block), 0
        for n, name in enumerate(block.unit.numbers):
            with self.s.loop("i", block.unit.size(name)):
                number = self.parameter(f"{block.number(n, part.first + part.layer.weights)} + i")
                self.s.add(f"store(memory, constants{part.index} + ({at.constants} + {before} + i) * LANES, {number})")
            before += block.unit.size(name)
        self.s.add(*groups.constant_nests(part.index, at).lines)

    def move_states(self, *, into: bool) -> None:
        """Copy the states of groups from where they are loaded into what is kept of this cycle, or back to be stored."""
        s = self.s
        for part in self.layers:
            for block in part.blocks:
                if not block.groups or not block.states:
                    continue
                at = self.group_places(part, block)
                with self.units(block):
                    for n, name in enumerate(block.unit.states):
                        with s.loop("i", block.unit.size(name)):
                            kept = f"kept{part.index}_now + ({at.kept} + {block.groups.state_offset(n)} + i) * LANES"
                            state = f"states{part.index} + ({block.state(n)} + i) * LANES"
                            target, source = (kept, state) if into else (state, kept)
                            s.add(f"store(memory, {target}, load(memory, {source}))")

    def transpose_weights(self) -> None:
        """weights[k, m], so that the weights of neighbouring rows lie side by side."""
        for part in self.layers:
            for p in part.layer.products:
                with self.heads(p.heads), self.s.loop("m", p.rows), self.s.loop("k", p.terms):
                    target = self.weight_place(f"weights{part.index}", p.first, p)
                    source = self.weight_place("", part.first + p.first, p)
                    if self.mixed:
                        weight = f"load(parameters, {source} + (m * {p.terms} + k) * LANES)"
                        self.s.add(f"store(memory, {target} + (k * {p.rows} + m) * LANES, {weight})")
                    else:
                        self.s.add(f"memory[{target} + k * {p.rows} + m] = parameters[{source} + m * {p.terms} + k]")

    def compute_constants(self) -> None:
        """What the units make of their own numbers alone."""
        s = self.s
        for part in self.layers:
            for block in part.blocks:
                if not block.numbers:
                    continue
                with self.units(block):
                    if block.groups:
                        self._compute_group_constants(part, block, block.groups)
                        continue
                    numbers = {f"number{n}": f"number{n}" for n in range(block.numbers)}
                    for n, name in enumerate(numbers):
                        s.add(f"{name} = {self.parameter(block.number(n, part.first + part.layer.weights))}")
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
        if block.groups:
            return block.groups.constant_rows
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
        with s.loop("i", self.network.outputs), s.loop("lane", LANES):
            s.add(f"memory[network_output + i * LANES + lane] = state[lane0 + lane, {place} + i] if lane < live else 0.0")

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
        with s.loop("i", self.network.outputs), s.loop("lane", "live"):
            s.add(f"last[lane0 + lane, {place} + i] = memory[network_output + i * LANES + lane]")

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
        for k in range(self.network.outputs):
            output = f"load(memory, network_output + {k * LANES})"
            if self.network.output_feedback:
                s.add(f"store(memory, sources0_now + {first + (self.network.inputs + k) * self.row}, {output})")
            if self.network.error_feedback:
                shown = f"sources0_now + {first + (self.network.inputs - self.network.outputs + k) * self.row}"
                s.add(f"store(memory, {shown}, load(memory, {shown}) - {output})")

    def layer_forward(self, part: KernelLayer) -> None:
        """Sources at `sources_now` to outputs, kept for the next cycle at `outputs_next`."""
        s, layer, i = self.s, part.layer, part.index
        s.add(f"store(memory, sources{i}_now + {layer.sources * self.row}, 1.0)")
        for p, accumulate in part.products():
            with self.heads(p.heads):
                s.add(
                    f"product(memory, {place('pre_activations', p.row * LANES, p, p.rows * LANES)}, LANES, "
                    f"memory, {self.weight_place(f'weights{i}', p.first, p)}, {p.rows}, "
                    f"memory, {place(f'sources{i}_now', p.source * self.row, p, p.terms * self.row)}, {self.row}, "
                    f"{p.rows}, {p.terms}, {accumulate})"
                )
        for block in part.blocks:
            with self.units(block):
                self._unit_forward(part, block)
        if layer.norm:
            self._normalise(part)
        if i + 1 == len(self.layers):
            if self.network.kind == "softmax":
                self._softmax()
            with s.loop("lane", "live"), s.loop("i", self.network.outputs):
                s.add("outputs[lane0 + lane, cycle, i] = memory[network_output + i * LANES + lane]")

    def _normalise(self, part: KernelLayer) -> None:
        """Make of a layer's outputs, where the layer above hears them, what `topology.norms` says."""
        s, count = self.s, part.layer.outputs
        heard, below = self.heard(part)
        s.add("size = fill(memory, 0.0)", "mean = fill(memory, 0.0)")
        if part.layer.norm == "layer":
            with s.loop("i", count):
                s.add(f"mean = mean + load(memory, {heard})")
            s.add(f"mean = mean * {1 / count!r}")
        with s.loop("i", count):
            s.add(f"centred = load(memory, {heard}) - mean", "size = fma(centred, centred, size)")
        s.add(f"scale_ = 1.0 / sqrt(size * {1 / count!r} + {EPSILON!r})")
        with s.loop("i", count):
            residual = f" + load(memory, {below})" if part.layer.residual else ""
            s.add(f"store(memory, {heard}, (load(memory, {heard}) - mean) * scale_{residual})")
        self.keep_norm(part)

    def heard(self, part: KernelLayer) -> tuple[str, str]:
        """The places of what the layer above hears of output i of this cycle, and of what lies below that."""
        i, above = part.index, self.layers[part.index + 1]
        return (
            f"sources{i + 1}_now + ({above.own} + i) * {self.row}",
            f"sources{i}_now + ({part.own} + i) * {self.row}",
        )

    def keep_norm(self, part: KernelLayer) -> None:
        """Store what the learning algorithm needs of a layer's norm, just computed."""

    def _softmax(self) -> None:
        """Make probabilities of the numbers at `network_output`."""
        s, m = self.s, self.network.outputs
        s.add("largest = load(memory, network_output)", "sum_ = fill(memory, 0.0)")
        with s.loop("i", m - 1):
            s.add("largest = maximum(largest, load(memory, network_output + i * LANES + LANES))")
        with s.loop("i", m):
            s.add("power = exp(load(memory, network_output + i * LANES) - largest)", "sum_ = sum_ + power")
            s.add("store(memory, network_output + i * LANES, power)")
        with s.loop("i", m):
            s.add("store(memory, network_output + i * LANES, load(memory, network_output + i * LANES) / sum_)")

    def _group_forward(self, part: KernelLayer, block: KernelBlock, groups: Groups) -> None:
        nests = groups.forward(part.index, self.group_places(part, block))
        self.s.add(*nests.lines)
        for n in range(block.unit.outputs):
            with self.s.loop("i", block.unit.width):
                self._put_output(part, block, n, f"load(memory, {nests.places[n].base} + i * LANES)", " + i")

    def _unit_forward(self, part: KernelLayer, block: KernelBlock) -> None:
        if block.groups:
            self._group_forward(part, block, block.groups)
            return
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
            self._put_output(part, block, n, output)
        self.keep(part, block, names | {op.name: "forward_" + op.name for op in forward.ops})

    def _put_output(self, part: KernelLayer, block: KernelBlock, n: int, output: object, element: str = "") -> None:
        """Store an output of a unit, or one element of a group's, as a source of the next cycle and of the layer above."""
        s, i = self.s, part.index
        if part.own:
            s.add(f"store(memory, outputs{i}_next + {_element(block.output(n), element)} * {self.next_row}, {output})")
        if i + 1 < len(self.layers):
            above = _element(block.output(n, before=self.layers[i + 1].own), element)
            if part.layer.residual and not part.layer.norm:
                below = _element(block.output(n, before=part.own), element)
                output = f"{output} + load(memory, sources{i}_now + {below} * {self.row})"
            s.add(f"store(memory, sources{i + 1}_now + {above} * {self.row}, {output})")
        else:
            s.add(f"store(memory, network_output + {block.output(n)} * LANES, {output})")

    def signed(self, value: str) -> str:
        """A vector with the sign that the network's previous outputs have where they are fed back."""
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


def _whole_rows(elements: int) -> int:
    """As many elements or a few more, so that what lies behind them begins with a cache line."""
    return -(-elements // LANES) * LANES


def kept_rows(block: KernelBlock) -> int:
    """What is kept of a cycle for each group of a block."""
    return block.groups.kept_rows if block.groups else 0


def _element(first: str, element: str) -> str:
    return f"({first}{element})" if element else first


def place(base: str, offset: int, product: Product, step: int) -> str:
    """The text of a place `offset` behind `base`, and `step` further for each next head of a product."""
    terms = [base] if base else []
    terms += [str(offset)] if offset or not terms else []
    terms += [f"head * {step}"] if product.heads > 1 else []
    return " + ".join(terms)
