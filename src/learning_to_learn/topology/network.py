"""A topology has layers of blocks of units. Each layer is fully connected within itself, and one logistic neuron is the
output.

In the paper's notation `H1: 6 Memory + 6 Standard` is `Network.of([{"memory_cell": 6, "neuron": 6}])`.

All parameters of all replicas lie in one flat buffer [R, P]. Layer l holds a matrix [M, K + 1], row-major: a row for
every pre-activation (block after block, and within a block all units' first pre-activation, then the second, ...), a
column for every source: the layer's own H outputs of the cycle before, then the I outputs of the layer below (the
network's inputs for the first layer), then the constant 1 of the bias. The output neuron's [1, H + 1] comes last.

One flat buffer [R, B, D] holds all states: for each layer its outputs [H] and the states of its units [S], and last the
network's previous output, which `error_feedback` subtracts from the third input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float

from learning_to_learn.errors import UserError, choose
from learning_to_learn.lazy import torch
from learning_to_learn.topology.hold import check_hold, held
from learning_to_learn.topology.units import UNITS, Unit

NOTHING_KNOWN = 0.5
"""The previous target and the previous output before the first cycle: y[0]."""


@dataclass(frozen=True)
class Block:
    """A block of `count` equal units, and where they stand in their layer."""

    unit: Unit
    count: int
    row: int
    """The index of the block's first row (pre-activation) in the layer."""
    output: int
    """The index of the block's first output in the layer."""
    state: int
    """The index of the block's first state in the layer."""

    def rows(self) -> list[slice]:
        """Return the rows of each pre-activation."""
        starts = range(self.row, self.row + self.count * len(self.unit.pre_activations), self.count)
        return [slice(i, i + self.count) for i in starts]

    def outputs(self) -> slice:
        return slice(self.output, self.output + self.count)

    def states(self) -> list[slice]:
        """Return the indices of each state."""
        starts = range(self.state, self.state + self.count * len(self.unit.states), self.count)
        return [slice(i, i + self.count) for i in starts]


@dataclass(frozen=True)
class Layer:
    """A layer is blocks side by side. It has H outputs, M rows, S states, I inputs from below, and K = H + I sources."""

    blocks: tuple[Block, ...]
    inputs: int
    recurrent: bool = True

    @property
    def outputs(self) -> int:
        return sum(b.count for b in self.blocks)

    @property
    def rows(self) -> int:
        return sum(b.count * len(b.unit.pre_activations) for b in self.blocks)

    @property
    def states(self) -> int:
        return sum(b.count * len(b.unit.states) for b in self.blocks)

    @property
    def sources(self) -> int:
        return self.inputs + (self.outputs if self.recurrent else 0)

    @property
    def parameters(self) -> int:
        return self.rows * (self.sources + 1)

    def apply(self, z: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pre-activations [..., M] and states [..., S] to outputs [..., H] and states [..., S]."""
        outputs, states = [], []
        for block in self.blocks:
            h, *new = block.unit.step(*(z[..., i] for i in block.rows()), *(s[..., i] for i in block.states()))
            outputs.append(h)
            states.extend(new)
        return torch.cat(outputs, -1), torch.cat(states, -1) if states else s


@dataclass(frozen=True)
class Network:
    """A network says what is connected to what. It holds no parameters; the module's docstring gives their layout."""

    layers: tuple[Layer, ...]
    output: Layer
    inputs: int = 3
    error_feedback: bool = False
    """Whether the network's previous output is subtracted from the last input. This is the paper's other supplementary
    input.
    """

    @staticmethod
    def of(
        layers: Sequence[Mapping[str, int]],
        *,
        inputs: int = 3,
        error_feedback: bool = False,
        hold: Mapping[str, float] | None = None,
    ) -> Network:
        """Build from `[{unit name: count, ...}, ...]`.

        `hold` fixes pre-activations of the hidden units, by name, at numbers. Raises UserError on an unknown unit, no layer, a
        count < 1, or a `hold` that no unit can follow.
        """
        if not layers:
            raise UserError("arch.layers is empty: give at least one layer, such as [{memory_cell: 6, neuron: 6}]")
        built, below = [], inputs
        for number, blocks in enumerate(layers, 1):
            for name, count in blocks.items():
                choose("unit", name, UNITS)
                if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                    raise UserError(f"layer {number}: {name}: {count!r} units; the count must be a whole number >= 1")
            if not blocks:
                raise UserError(f"layer {number} is empty: name its units, such as {{neuron: 12}}")
            built.append(_layer([(held(UNITS[name], hold or {}), count) for name, count in blocks.items()], below))
            below = built[-1].outputs
        check_hold(hold or {}, [UNITS[name] for blocks in layers for name in blocks])
        output = _layer([(UNITS["logistic"], 1)], below, recurrent=False)
        return Network(tuple(built), output, inputs, error_feedback)

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The hidden layers and, last, the output neuron as a layer without recurrence."""
        return (*self.layers, self.output)

    @property
    def parameters(self) -> int:
        """P, the number of weights and biases of one replica."""
        return sum(layer.parameters for layer in self.all_layers)

    @property
    def state_size(self) -> int:
        """D, the number of values that one sequence carries from cycle to cycle."""
        return sum(layer.outputs + layer.states for layer in self.layers) + 1

    def matrices(self, parameters: Float[torch.Tensor, "R P"]) -> list[Float[torch.Tensor, "R M K1"]]:
        """Return a view of the flat buffer for each layer, a matrix [R, M, K + 1]. The output neuron's matrix comes last."""
        sizes = [layer.parameters for layer in self.all_layers]
        pieces = parameters.split(sizes, dim=-1)
        return [p.unflatten(-1, (layer.rows, layer.sources + 1)) for p, layer in zip(pieces, self.all_layers, strict=True)]

    def initial_state(self, replicas: int, batch: int, like: torch.Tensor) -> Float[torch.Tensor, "R B D"]:
        """Return a state with zero outputs, zero unit states and the previous output 0.5. It has the type and device of
        `like`.
        """
        state = like.new_zeros(replicas, batch, self.state_size)
        state[..., -1] = NOTHING_KNOWN
        return state

    def split_state(self, state: Float[torch.Tensor, "R B D"]) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Split a state into the outputs [R, B, H] and unit states [R, B, S] of each layer, and the network's previous output
        [R, B].
        """
        sizes = [n for layer in self.layers for n in (layer.outputs, layer.states)]
        *pieces, y = state.split([*sizes, 1], dim=-1)
        return list(pieces[0::2]), list(pieces[1::2]), y.squeeze(-1)

    def step(
        self,
        matrices: Sequence[torch.Tensor],
        state: Float[torch.Tensor, "R B D"],
        x: Float[torch.Tensor, "R B I"],
        *,
        detach_recurrent: bool = False,
    ) -> tuple[Float[torch.Tensor, "R B"], Float[torch.Tensor, "R B D"]]:
        """Run one cycle, and return the output y and the next state. `detach_recurrent` stops gradients at every recurrent
        edge.
        """
        outputs, states, previous = self.split_state(state)
        if self.error_feedback:
            previous = previous.detach() if detach_recurrent else previous
            x = torch.cat([x[..., :-1], x[..., -1:] - previous.unsqueeze(-1)], -1)
        pieces: list[torch.Tensor] = []
        for layer, matrix, h, s in zip(self.layers, matrices[:-1], outputs, states, strict=True):
            source = torch.cat([h.detach() if detach_recurrent else h, x], -1)
            h, s = layer.apply(linear(matrix, source), s)
            pieces += [h, s]
            x = h
        (y,) = self.output.blocks[0].unit.step(linear(matrices[-1], x))
        return y.squeeze(-1), torch.cat([*pieces, y], -1)

    def forward(
        self,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R B T I"],
        state: Float[torch.Tensor, "R B D"] | None = None,
        *,
        detach_recurrent: bool = False,
    ) -> tuple[Float[torch.Tensor, "R B T"], Float[torch.Tensor, "R B D"]]:
        """Run T cycles in plain torch, and return the outputs and the last state."""
        matrices = self.matrices(parameters)
        state = self.initial_state(x.shape[0], x.shape[1], x) if state is None else state
        ys = []
        for t in range(x.shape[2]):
            y, state = self.step(matrices, state, x[:, :, t], detach_recurrent=detach_recurrent)
            ys.append(y)
        return torch.stack(ys, -1), state

    def describe(self) -> str:
        """The topology in the paper's notation, such as `H1: 6 memory_cell + 6 neuron`."""
        return "; ".join(
            f"H{i}: " + " + ".join(f"{b.count} {b.unit.name}" for b in layer.blocks) for i, layer in enumerate(self.layers, 1)
        )


def linear(matrix: Float[torch.Tensor, "R M K1"], source: Float[torch.Tensor, "R B K"]) -> Float[torch.Tensor, "R B M"]:
    """Return the pre-activations z = W s + b."""
    return torch.baddbmm(matrix[:, None, :, -1], source, matrix[:, :, :-1].mT)


def _layer(blocks: Iterable[tuple[Unit, int]], inputs: int, *, recurrent: bool = True) -> Layer:
    built, row, output, state = [], 0, 0, 0
    for unit, count in blocks:
        built.append(Block(unit, count, row, output, state))
        row += count * len(unit.pre_activations)
        output += count
        state += count * len(unit.states)
    return Layer(tuple(built), inputs, recurrent)
