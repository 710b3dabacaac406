"""Where the sensitivities of the forward mode lie: only those that can be nonzero are kept.

A parameter changes its own unit. Of the rest of its layer it changes the units that hear the layer's own outputs, and of these
only those of its unit's head. It changes everything in the layers above, and, where the network's output is fed back, the
layers below. A parameter's column holds the sensitivities of what it changes. A layer's columns lie head after head; in a head
first those of the units that hear its outputs, then, block after block and unit after unit, those of the units that do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from learning_to_learn.engine.fused.kernel import KernelBlock, KernelLayer
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.topology.network import Product
from learning_to_learn.topology.units import Sources


@dataclass(frozen=True)
class Stretch:
    """The rows of a column that belong to a block: to all of its units, to those of `own_head`, or to the unit `owner`."""

    block: KernelBlock
    outputs: int
    """The first row of the outputs; where all units are meant, that of the layer's first output."""
    states: int
    reach: str = "layer"
    """`layer`, `head` or `unit`."""

    @property
    def count(self) -> int:
        """How many units it has in a head."""
        return 1 if self.reach == "unit" else self.block.count

    def results(self) -> list[str]:
        """The rows of a unit's outputs and states."""
        if self.reach == "layer":
            outputs = [self.block.output(n, self.outputs) for n in range(self.block.unit.outputs)]
            return outputs + [self.block.state(n, self.states) for n in range(self.block.states)]
        firsts = [self.outputs + n * self.count for n in range(self.block.unit.outputs)]
        firsts += [self.states + n * self.count for n in range(self.block.states)]
        return [str(first) if self.reach == "unit" else f"({first} + unit)" for first in firsts]


@dataclass(frozen=True)
class Run:
    """Neighbouring outputs of a layer whose sensitivities are neighbouring rows of a column, or lie in `memory`."""

    row: int
    first: str
    """The index of the first one among the outputs of its head, as text."""
    terms: int
    before: str = ""
    """How many outputs the heads before its own have, as text."""
    memory: str = ""
    """Where they lie in `memory`, those of the second column at hand behind those of the first; empty: in the columns."""

    @property
    def of_layer(self) -> str:
        """The index of the first one among the outputs of its layer."""
        return f"{self.before} + {self.first}" if self.before else self.first

    @property
    def at(self) -> tuple[str, str, str]:
        """The array, where they begin in it, and how far behind the first column's those of the second are."""
        if self.memory:
            return "memory", self.memory, f"{self.terms * LANES}"
        return "sensitivities", f"column0 + {self.row * LANES}", "next_"

    def index(self, i: str) -> str:
        """The index of number i among the outputs of its layer."""
        return f"({self.of_layer} + {i})" if self.of_layer else i

    def place(self, c: int, i: str) -> str:
        """The place of that of output number i in column c."""
        base = f"{self.memory} + {c * self.terms * LANES}" if self.memory else f"column{c} + {self.row * LANES}"
        return f"{base} + {i} * LANES"

    def load(self, c: int, i: str) -> str:
        return f"load({self.at[0]}, {self.place(c, i)})"


@dataclass(frozen=True)
class Group:
    """Columns that reach the same units: of all parameters of a layer, of those of a head's units, or of those of a unit."""

    part: KernelLayer
    above: int
    """The rows of the layers above."""
    listeners: tuple[KernelBlock, ...]
    owner: KernelBlock | None = None
    """The block to whose unit `owner` the columns belong, where that unit does not hear its layer's outputs."""

    @property
    def blocks(self) -> tuple[KernelBlock, ...]:
        """The blocks whose parameters have these columns."""
        return self.listeners if self.owner is None else (self.owner,)

    @cached_property
    def parameters(self) -> list[tuple[int, int, int]]:
        """What the columns of head 0's (first) unit or units belong to, as `_unit_parameters` lists it."""
        return self.parameters_of(0, 0)

    def parameters_of(self, head: int, owner: int) -> list[tuple[int, int, int]]:
        if self.owner is not None:
            return list(_unit_parameters(self.part, self.owner, head, owner))
        units = ((block, unit) for block in self.listeners for unit in range(block.count))
        return [found for block, unit in units for found in _unit_parameters(self.part, block, head, unit)]

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """What a column reaches in its own layer."""
        reached = [(block, block.count, "head") for block in self.listeners]
        if self.owner is not None:
            reached.insert(0, (self.owner, 1, "unit"))
        outputs, found = 0, []
        states = sum(block.unit.outputs * count for block, count, _ in reached)
        for block, count, reach in reached:
            found.append(Stretch(block, outputs, states, reach))
            outputs, states = outputs + block.unit.outputs * count, states + block.states * count
        return tuple(found)

    @property
    def runs(self) -> list[Run]:
        """Its own layer's outputs in a column."""
        found, heads = [], self.part.layer.heads
        before = f"own_head * {self.part.layer.outputs // heads}" if heads > 1 else ""
        for stretch in self.stretches:
            block, first = stretch.block.block, stretch.block.block.output
            if stretch.reach == "head":
                found.append(Run(stretch.outputs, str(first), block.count * block.unit.outputs, before))
            else:
                firsts = ((n, f"{first + n * block.count} + owner") for n in range(block.unit.outputs))
                found += [Run(stretch.outputs + n, text, 1, before) for n, text in firsts]
        return found

    @property
    def alone(self) -> bool:
        """Whether a column reaches nothing but a single unit of the network's last hidden layer."""
        return not self.above and sum(stretch.count for stretch in self.stretches) == 1

    @cached_property
    def rows(self) -> dict[int, int]:
        """Of the one unit that the columns reach: which row has the sensitivity of its result (output or state) n.

        An output that no one hears at the next cycle needs none, an output that is also the new state shares one with it.
        """
        (stretch,) = self.stretches
        unit = stretch.block.unit
        found: dict[int, int] = {}
        known: dict[str, int] = {}
        outputs = unit.outputs if self.listeners else 0
        for n in [*range(outputs), *range(unit.outputs, unit.outputs + len(unit.states))]:
            variable = stretch.block.trace.forward.outputs[n]
            # A state that begins with a sensitivity to itself differs from the output before the first cycle.
            trained = n >= unit.outputs and unit.states[n - unit.outputs] in unit.trained_states
            if isinstance(variable, str) and not trained:
                found[n] = known.setdefault(variable, len(set(found.values())))
            else:
                found[n] = len(set(found.values()))
        return found

    @property
    def height(self) -> int:
        """The rows of a column."""
        if self.alone:
            return len(set(self.rows.values()))
        return self.above + sum(s.count * (s.block.unit.outputs + s.block.states) for s in self.stretches)

    def state_row(self, block: KernelBlock, state: int, unit: int) -> int:
        """The row of a state of a unit whose parameters have these columns."""
        if self.alone:
            return self.rows[block.unit.outputs + state]
        stretch = next(s for s in self.stretches if s.block is block)
        return stretch.states + state * stretch.count + (unit if stretch.reach == "head" else 0)

    @property
    def owners(self) -> int:
        """How many units of a head have such columns each."""
        return 1 if self.owner is None else self.owner.count

    @property
    def size(self) -> int:
        """The rows of all its columns of a head."""
        return self.owners * len(self.parameters) * self.height


def groups(part: KernelLayer, above: int) -> list[Group]:
    """The groups of a layer's columns when no output is fed back; `above` are the rows of the layers above."""
    listeners = tuple(block for block in part.blocks if _listens(part, block))
    found = [Group(part, above, listeners)] if listeners else []
    return found + [Group(part, above, listeners, block) for block in part.blocks if block not in listeners]


def is_dense(part: KernelLayer) -> bool:
    """Whether every unit of the layer hears every other, so that all its columns reach all of it."""
    return part.layer.heads == 1 and all(_listens(part, block) for block in part.blocks)


def covering(part: KernelLayer, row: int) -> list[Product]:
    """The matrices that make a row of the layer."""
    return [p for p in part.layer.products if p.row <= row < p.row + p.heads * p.rows]


def live_partials(block: KernelBlock) -> list[int]:
    """Which of a unit's partial derivatives are not identically zero."""
    return [index for index, output in enumerate(block.trace.partials.outputs) if output is not None]


def partials(block: KernelBlock) -> int:
    """How many partial derivatives are kept of a unit."""
    return len(live_partials(block))


def partial_place(part: KernelLayer, block: KernelBlock, slot: int) -> str:
    """The place of unit j's derivative number `slot`."""
    return f"partials{part.index} + {block.value(slot, part.values(block, partials))} * LANES"


def _listens(part: KernelLayer, block: KernelBlock) -> bool:
    """Whether the units of a block hear outputs of their layer."""
    sources = block.unit.sources
    return bool(part.own) and any(sources.get(name) is not Sources.BELOW for name in block.unit.pre_activations)


def _unit_parameters(part: KernelLayer, block: KernelBlock, head: int, unit: int) -> Iterator[tuple[int, int, int]]:
    """(index in the layer, row, source) of a unit's weights, then (index, -1 - kind, unit of the block) of its numbers."""
    first, second = block.block, block.next_block
    for row0, row1 in zip(first.row, second.row, strict=True):
        row = row0 + head * (row1 - row0) + unit
        for p in covering(part, row):
            source, start = p.source + (row - p.row) // p.rows * p.terms, p.first + (row - p.row) * p.terms
            for k in range(p.terms):
                yield start + k, row, source + k
    kind = sum(len(before.unit.trained) for before in part.blocks[: part.blocks.index(block)])
    start = part.layer.weights + first.number + head * (second.number - first.number) + unit
    for n in range(len(block.unit.trained)):
        yield start + n * block.count, -1 - kind - n, head * block.count + unit
