"""A topology has layers of blocks of units. Each layer is fully connected within itself, unless its units or its options say
less, and the last one has the output neurons: by default one, which is logistic.

In the paper's notation `H1: 6 Memory + 6 Standard` is `Network.of([{"memory_cell": 6, "neuron": 6}])`. A vector unit is given
as `{"delta_rule": {"count": 2, "width": 8}}`: two groups of eight numbers, each with a state of its own. In what follows a
group counts as a unit, and each of its numbers has a row, a state or an output of its own; those of one group lie side by side.

All parameters of all replicas lie in one flat buffer [R, P], layer after layer. A layer has M rows, one for every
pre-activation, and K + 1 sources: its own H outputs of the cycle before (if it is recurrent), then the I outputs of the layer
below (the network's inputs for the first layer), then the constant 1 of the bias. Rows are ordered by what they sum over, and
within that head after head, block after block, all units' first pre-activation, then the second, ... . Where all rows sum over
all sources, the layer's parameters are the matrix [M, K + 1], row-major. Else a weight that does not exist has no place: the
parameters are several smaller matrices, one after the other, which `Layer.products` lists. After them come the numbers that
each unit has of its own, head after head, block after block, all units' first number, then the second, ... . The output
neurons' [m, H + 1] comes last.

One flat buffer [R, B, D] holds all states: for each layer its outputs [H] (if it is recurrent) and the states of its units
[S], and last the network's previous outputs [m]. `error_feedback` subtracts them from the last m inputs; with
`output_feedback` they are inputs of their own, after the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from jaxtyping import Float

from learning_to_learn.errors import UserError, unknown
from learning_to_learn.lazy import torch
from learning_to_learn.losses import nothing_known
from learning_to_learn.topology.cost import count_multiplications
from learning_to_learn.topology.delay import delay_line
from learning_to_learn.topology.hold import check_hold, held
from learning_to_learn.topology.norms import NORMS, normalised
from learning_to_learn.topology.units import UNITS, Sources, Unit
from learning_to_learn.topology.vector_units import VectorUnit

OPTIONS = ("heads", "recurrent", "residual", "norm", "shift", "feedback", "fixed", "radius")
"""What a layer can be given besides its units."""
LAST_LAYER = "last_layer"
LINEAR = Unit("linear", lambda z: (z,), ("z",))
"""The linear neuron, and what a softmax takes; only the output layer has it."""


@dataclass(frozen=True)
class Block:
    """A block of `count` equal units, and where they stand in their layer. The numbers of a vector unit lie side by side."""

    unit: Unit
    count: int
    row: tuple[int, ...]
    """The first row of each pre-activation."""
    output: int
    """The index of the block's first output in the layer."""
    state: int
    """The index of the block's first state in the layer."""
    number: int
    """The index of the block's first number among those of the layer."""

    def rows(self) -> list[slice]:
        """Return the rows of each pre-activation."""
        names = self.unit.pre_activations
        return [slice(i, i + self.count * self.unit.size(name)) for i, name in zip(self.row, names, strict=True)]

    def outputs(self) -> list[slice]:
        """Return the indices of each output."""
        return self._slices(self.output, [self.unit.width] * self.unit.outputs)

    def states(self) -> list[slice]:
        """Return the indices of each state."""
        return self._slices(self.state, map(self.unit.size, self.unit.states))

    def numbers(self) -> list[slice]:
        """Return the indices of each number, then of each initial state that is trained."""
        return self._slices(self.number, map(self.unit.size, self.unit.trained))

    def initial_states(self) -> list[tuple[slice, float | slice]]:
        """Return the indices of each state with the value before the first cycle, or the indices of the numbers it is."""
        trained = dict(zip(self.unit.trained, self.numbers(), strict=True))
        given = [trained.get(name, self.unit.initial.get(name, 0.0)) for name in self.unit.states]
        return list(zip(self.states(), given, strict=True))  # type: ignore[arg-type]

    def _slices(self, start: int, sizes: Iterable[int]) -> list[slice]:
        ends = list(accumulate((self.count * size for size in sizes), initial=start))
        return [slice(*ends_of_one) for ends_of_one in pairwise(ends)]


class Product(NamedTuple):
    """Rows that sum over the same sources: a matrix [rows, terms], row-major, of the layer's parameters.

    With several heads it is that of the first one. The next head's rows, sources and parameters begin where these end.
    """

    row: int
    rows: int
    source: int
    terms: int
    first: int
    """The index of the matrix's first parameter among those of the layer."""
    heads: int = 1

    @property
    def parameters(self) -> int:
        return self.heads * self.rows * self.terms

    def only(self, start: int, stop: int) -> Product:
        """Return the part of it that is of the heads from `start` up to `stop`."""
        row, source, first = self.rows, self.terms, self.rows * self.terms
        places = {"row": self.row + start * row, "source": self.source + start * source, "first": self.first + start * first}
        return self._replace(**places, heads=stop - start)


class LayerParameters(NamedTuple):
    """The parameters of a layer as its equations have them."""

    matrix: torch.Tensor
    """[R, M, K + 1], with zeros where a row does not hear a source."""
    numbers: torch.Tensor
    """[R, N]"""


@dataclass(frozen=True)
class Layer:
    """A layer is blocks side by side. It has H outputs, M rows, S states, I inputs from below, and K = H + I sources.

    A layer with `heads` lists the blocks of each head. What sums over the layer's own outputs hears those of its head only.
    """

    blocks: tuple[Block, ...]
    inputs: int
    recurrent: bool = True
    """Whether anything in the layer hears its own outputs of the cycle before."""
    heads: int = 1
    residual: bool = False
    """Whether the layer above hears the sum of this layer's outputs and of what lies below it."""
    norm: str | None = None
    """What the outputs are made into before the layer above hears them: `rms`, `layer`, or None for nothing."""
    delays: int = 0
    """In a layer that `shift` has put below another, the cycles that it sums over; each of its units hears one source."""
    fixed: bool = False
    """Whether the layer's parameters stay as they were drawn."""
    radius: float | None = None
    """The spectral radius that the recurrent weights begin with; None: as they are drawn."""

    @property
    def outputs(self) -> int:
        return sum(b.count * b.unit.outputs * b.unit.width for b in self.blocks)

    @property
    def own(self) -> int:
        """How many of the sources are the layer's own outputs."""
        return self.outputs if self.recurrent else 0

    @property
    def rows(self) -> int:
        return sum(b.count * b.unit.size(name) for b in self.blocks for name in b.unit.pre_activations)

    @property
    def states(self) -> int:
        return sum(b.count * b.unit.size(name) for b in self.blocks for name in b.unit.states)

    @property
    def numbers(self) -> int:
        return sum(b.count * b.unit.size(name) for b in self.blocks for name in b.unit.trained)

    @property
    def sources(self) -> int:
        return self.inputs + self.own

    @property
    def weights(self) -> int:
        """The number of weights and biases."""
        return sum(product.parameters for product in self.products)

    @property
    def parameters(self) -> int:
        return self.weights + self.numbers

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """The matrices of the layer, in the order of their parameters. Together they make the pre-activations."""
        both, below, own = (_rows_of(self.blocks, wiring) for wiring in Sources)
        heads = self.heads if self.recurrent else 1
        found: list[Product] = []

        def add(row: int, rows: int, source: int, terms: int, heads: int = 1) -> None:
            if rows and terms:
                first = found[-1].first + found[-1].parameters if found else 0
                found.append(Product(row, rows // heads, source, terms // heads, first, heads))

        if self.delays:
            add(0, below, 0, self.inputs, self.inputs)
        elif self.recurrent and heads == 1:
            add(0, both, 0, self.sources + 1)
            add(both, below, self.own, self.inputs + 1)
        else:
            add(0, both + below, self.own, self.inputs + 1)
            add(0, both if self.recurrent else 0, 0, self.own, heads)
        add(both + below, own, self.sources, 1)
        add(both + below, own, 0, self.own, heads)
        return tuple(found)

    @cached_property
    def places(self) -> list[list[int]]:
        """[M, K + 1]: the index of each weight among the layer's parameters, or `parameters` where there is no weight."""
        table = [[self.parameters] * (self.sources + 1) for _ in range(self.rows)]
        for p in self.products:
            for row in range(p.heads * p.rows):
                source = p.source + row // p.rows * p.terms
                start = p.first + row * p.terms
                table[p.row + row][source : source + p.terms] = range(start, start + p.terms)
        return table

    def split(self, parameters: Float[torch.Tensor, "R p"]) -> LayerParameters:
        """Return the layer's parameters as a matrix, which is a view where it has no zeros, and the units' numbers."""
        weights, numbers = parameters.split([self.weights, self.numbers], -1)
        if self.products[0].parameters == self.rows * (self.sources + 1):
            return LayerParameters(weights.unflatten(-1, (self.rows, self.sources + 1)), numbers)
        padded = torch.nn.functional.pad(parameters, (0, 1))
        return LayerParameters(padded[:, torch.tensor(self.places, device=parameters.device)], numbers)

    def apply(
        self, z: torch.Tensor, s: torch.Tensor, numbers: Float[torch.Tensor, "... N"]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pre-activations [..., M], states [..., S] and the units' numbers to outputs [..., H] and states [..., S]."""
        outputs: list[torch.Tensor] = []
        states: list[torch.Tensor] = []
        for block in self.blocks:
            own = dict(zip(block.unit.numbers, (numbers[..., i] for i in block.numbers()), strict=False))
            results = block.unit.run(*(z[..., i] for i in block.rows()), *(s[..., i] for i in block.states()), **own)
            outputs += results[: block.unit.outputs]
            states += results[block.unit.outputs :]
        return torch.cat(outputs, -1), torch.cat(states, -1) if states else s


@dataclass(frozen=True)
class Network:
    """A network says what is connected to what. It holds no parameters; the module's docstring gives their layout."""

    layers: tuple[Layer, ...]
    output: Layer
    inputs: int = 3
    error_feedback: bool = False
    """Whether the network's previous outputs are subtracted from the last inputs. This is the paper's other supplementary
    input.
    """
    output_feedback: bool = False
    """Whether the first layer hears the network's previous outputs besides the inputs (Jordan 1986)."""
    kind: str = "logistic"
    """What the output neurons are: logistic, linear, or together a softmax."""
    loss: str = "squared"
    """What the gradient is that of: `squared`, the mean over outputs, or `log`, in nats a cycle."""
    last_layer_feedback: bool = False
    """Whether the first layer hears, before the inputs, the last hidden layer's outputs of the cycle before."""

    @staticmethod
    def of(
        layers: Sequence[Mapping[str, Any]],
        *,
        inputs: int = 3,
        outputs: int = 1,
        kind: str = "logistic",
        loss: str = "squared",
        error_feedback: bool = False,
        hold: Mapping[str, float] | None = None,
    ) -> Network:
        """Build from `[{unit name: count, ..., option: value, ...}, ...]`. A vector unit has `{count: 2, width: 8}` in place of
        a count, two groups of eight, and beside them its own options. The options of a layer are:

        - `heads: n`: every count is divided into n heads, and the layer's recurrent weights connect units of the same head
          only. 1 is fully connected; with as many heads as units, every unit hears only itself.
        - `recurrent: false`: the layer has no recurrent weights. Its units' states remain.
        - `residual: true`: the layer above hears the sum of this layer's outputs and of what this layer hears from below (He et
          al. 2016). Not in the first layer, and only where both are equally many. Recurrent weights hear the outputs alone.
        - `norm: rms` or `norm: layer`: the layer above hears this layer's outputs divided by their root mean square (Zhang &
          Sennrich 2019), or less their mean and divided by their deviation (Ba et al. 2016). What is residual is added after
          that. Recurrent weights hear the outputs as they are.
        - `shift: k`: the layer hears a weighted sum of the last k values of each source below, with trained weights (a causal
          convolution). It stands below the layer as a layer of its own.
        - `feedback: true`: the first layer hears the network's output of the cycle before, besides the inputs (Jordan 1986).
          With `feedback: last_layer` it also hears the outputs that the last layer, which must be recurrent, had then.
        - `fixed: true`: the layer does not learn; its weights stay as they were drawn (a reservoir: Jaeger 2001).
        - `radius: r`: the recurrent weights are scaled to the spectral radius r. Only in a recurrent layer of units that have
          one pre-activation and one output each.

        `outputs` is the number of output neurons, `kind` what they are and `loss` what they are trained by.

        `hold` fixes pre-activations of the hidden units, by name, at numbers. Raises UserError on an unknown unit, no layer, a
        count < 1, an option that does not fit, or a `hold` that no unit can follow.
        """
        if not layers:
            raise UserError("arch.layers is empty: give at least one layer, such as [{memory_cell: 6, neuron: 6}]")
        feedback = layers[0].get("feedback", False)
        built, below = [], inputs + (outputs if feedback in (True, LAST_LAYER) else 0)
        for number, given in enumerate(layers, 1):
            counts = {name: count for name, count in given.items() if name not in OPTIONS}
            if not counts:
                raise UserError(f"layer {number} is empty: name its units, such as {{neuron: 12}}")
            heads, recurrent = given.get("heads", 1), given.get("recurrent", True)
            for name in ("recurrent", "residual", "feedback", "fixed"):
                if not isinstance(given.get(name, False), bool) and (name, given[name]) != ("feedback", LAST_LAYER):
                    raise UserError(f"layer {number}: {name}: {given[name]!r}; it is true or false")
            if number > 1 and given.get("feedback"):
                raise UserError(f"layer {number}: feedback: only the first layer can hear the network's previous output")
            if not _is_count(heads):
                raise UserError(f"layer {number}: heads: {heads!r}; it must be a whole number >= 1")
            units = {name: _units(name, count, number, heads) for name, count in counts.items()}
            if given.get("norm") not in (None, *NORMS):
                raise UserError(f"layer {number}: norm: {given['norm']!r}; choose one of {', '.join(NORMS)}")
            shift = given.get("shift", 1)
            if not _is_count(shift):
                raise UserError(f"layer {number}: shift: {shift!r}; it must be a whole number >= 1, of cycles")
            if shift > 1:
                built.append(replace(_layer({"": (delay_line(shift), below)}, below), delays=shift))
            layer = _layer({name: (held(u, hold or {}), count) for name, (u, count) in units.items()}, below, recurrent, heads)
            radius, residual = _radius(given.get("radius"), layer, number), given.get("residual", False)
            if residual and (number == 1 or layer.outputs != below):
                raise UserError(
                    f"layer {number}: residual: {layer.outputs} outputs cannot be added to the {below} "
                    + ("inputs; only to those of a layer below" if number == 1 else "of the layer below")
                )
            options = {"residual": residual, "norm": given.get("norm"), "fixed": given.get("fixed", False), "radius": radius}
            built.append(replace(layer, **options))
            below = layer.outputs
        check_hold(hold or {}, [UNITS[name] for given in layers for name in given if name not in OPTIONS])
        neuron = UNITS["logistic"] if kind == "logistic" else LINEAR
        output = _layer({neuron.name: (neuron, outputs)}, below, recurrent=False)
        built[0] = _hearing(built) if feedback == LAST_LAYER else built[0]
        if feedback and error_feedback:
            raise UserError("layer 1: feedback: the network's previous output is an input already, as family.feedback=error")
        return Network(tuple(built), output, inputs, error_feedback, bool(feedback), kind, loss, feedback == LAST_LAYER)

    @property
    def fed_back(self) -> int:
        """How much of its previous outputs the network hears in the first layer's last sources: 0, 1, or, as an error, -1."""
        return 1 if self.output_feedback else -1 if self.error_feedback else 0

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """The hidden layers and, last, the output neurons as a layer without recurrence."""
        return (*self.layers, self.output)

    @property
    def outputs(self) -> int:
        """m, the number of output neurons."""
        return self.output.outputs

    @property
    def parameters(self) -> int:
        """P, the number of trained numbers of one replica."""
        return sum(layer.parameters for layer in self.all_layers)

    @property
    def fixed(self) -> list[int]:
        """The indices of the parameters that do not learn."""
        found: list[int] = []
        first = 0
        for layer in self.all_layers:
            found += range(first, first + layer.parameters) if layer.fixed else ()
            first += layer.parameters
        return found

    @property
    def state_size(self) -> int:
        """D, the number of values that one sequence carries from cycle to cycle."""
        return sum(layer.own + layer.states for layer in self.layers) + self.outputs

    @property
    def cells(self) -> int:
        """How many states the units have, besides outputs that a layer hears."""
        return sum(layer.states for layer in self.layers)

    def split(self, parameters: Float[torch.Tensor, "R P"]) -> list[LayerParameters]:
        """Return the parameters of each layer, those of the output neurons last."""
        pieces = parameters.split([layer.parameters for layer in self.all_layers], dim=-1)
        return [layer.split(piece) for layer, piece in zip(self.all_layers, pieces, strict=True)]

    def matrices(self, parameters: Float[torch.Tensor, "R P"]) -> list[Float[torch.Tensor, "R M K1"]]:
        """Return a matrix [R, M, K + 1] for each layer. The output neurons' matrix comes last."""
        return [layer.matrix for layer in self.split(parameters)]

    def initial_state(self, parameters: Float[torch.Tensor, "R P"], batch: int) -> Float[torch.Tensor, "R B D"]:
        """Return the state before the first cycle: zero outputs, the units' initial states, and y[0], which says nothing."""
        state = parameters.new_zeros(len(parameters), batch, self.state_size)
        state[..., -self.outputs :] = nothing_known(self.kind, self.outputs)
        for states, value in self.initial_states():
            state[..., states] = parameters[:, None, value] if isinstance(value, slice) else value
        return state

    def initial_states(self) -> list[tuple[slice, float | slice]]:
        """Return where in the state the units' states lie, with their initial values, or with where in the parameters those
        lie that are trained.
        """
        found: list[tuple[slice, float | slice]] = []
        place = first = 0
        for layer in self.layers:
            for block in layer.blocks:
                for states, value in block.initial_states():
                    trained = _shift(value, first + layer.weights) if isinstance(value, slice) else value
                    found.append((_shift(states, place + layer.own), trained))
            place, first = place + layer.own + layer.states, first + layer.parameters
        return found

    def split_state(self, state: Float[torch.Tensor, "R B D"]) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Split a state into the outputs [R, B, H] and unit states [R, B, S] of each layer, and the network's previous outputs
        [R, B, m]. The outputs of a layer that is not recurrent are no part of the state: [R, B, 0].
        """
        sizes = [n for layer in self.layers for n in (layer.own, layer.states)]
        *pieces, y = state.split([*sizes, self.outputs], dim=-1)
        return list(pieces[0::2]), list(pieces[1::2]), y

    def step(
        self,
        parameters: Sequence[LayerParameters],
        state: Float[torch.Tensor, "R B D"],
        x: Float[torch.Tensor, "R B I"],
        *,
        detach_recurrent: bool = False,
    ) -> tuple[Float[torch.Tensor, "R B m"], Float[torch.Tensor, "R B D"]]:
        """Run one cycle, and return the outputs y and the next state. `detach_recurrent` stops gradients at every recurrent
        edge.
        """
        return self.cycle(parameters, state, x, detach_recurrent=detach_recurrent)[1:]

    def cycle(
        self, parameters: Sequence[LayerParameters], state: torch.Tensor, x: torch.Tensor, *, detach_recurrent: bool = False
    ) -> tuple[Float[torch.Tensor, "R B m"], Float[torch.Tensor, "R B m"], Float[torch.Tensor, "R B D"]]:
        """Run one cycle, and return the output neurons' pre-activations, the outputs y, and the next state."""
        outputs, states, previous = self.split_state(state)
        previous = previous.detach() if detach_recurrent else previous
        x = self.with_feedback(x, previous)
        if self.last_layer_feedback:
            x = torch.cat([outputs[-1].detach() if detach_recurrent else outputs[-1], x], -1)
        pieces: list[torch.Tensor] = []
        for layer, own, h, s in zip(self.layers, parameters[:-1], outputs, states, strict=True):
            source = torch.cat([h.detach() if detach_recurrent else h, x], -1)
            h, s = layer.apply(linear(own.matrix, source), s, own.numbers.unsqueeze(1))
            pieces += [h, s] if layer.recurrent else [s]
            heard = normalised(layer.norm, h)
            x = heard + x if layer.residual else heard
        z = linear(parameters[-1].matrix, x)
        y, _ = self.output.apply(z, x[..., :0], parameters[-1].numbers.unsqueeze(1))
        y = y.softmax(-1) if self.kind == "softmax" else y
        return z, y, torch.cat([*pieces, y], -1)

    def with_feedback(self, x: Float[torch.Tensor, "R B I"], previous: Float[torch.Tensor, "R B m"]) -> torch.Tensor:
        """Return what the first layer hears besides its own outputs: the inputs, and in them or beside them y[t-1]."""
        if self.error_feedback:
            m = self.outputs
            return torch.cat([x[..., :-m], x[..., -m:] - previous], -1)
        return torch.cat([x, previous], -1) if self.output_feedback else x

    def forward(
        self,
        parameters: Float[torch.Tensor, "R P"],
        x: Float[torch.Tensor, "R B T I"],
        state: Float[torch.Tensor, "R B D"] | None = None,
        *,
        detach_recurrent: bool = False,
    ) -> tuple[Float[torch.Tensor, "R B T m"], Float[torch.Tensor, "R B D"]]:
        """Run T cycles in plain torch, and return the outputs and the last state."""
        return self.run(parameters, x, state, detach_recurrent=detach_recurrent)[1:]

    def run(
        self, parameters: torch.Tensor, x: torch.Tensor, state: torch.Tensor | None = None, *, detach_recurrent: bool = False
    ) -> tuple[Float[torch.Tensor, "R B T m"], Float[torch.Tensor, "R B T m"], Float[torch.Tensor, "R B D"]]:
        """Run T cycles as `forward` does, and return the output neurons' pre-activations besides."""
        layers = self.split(parameters)
        state = self.initial_state(parameters, x.shape[1]) if state is None else state
        zs, ys = [], []
        for t in range(x.shape[2]):
            z, y, state = self.cycle(layers, state, x[:, :, t], detach_recurrent=detach_recurrent)
            zs.append(z)
            ys.append(y)
        return torch.stack(zs, 2), torch.stack(ys, 2), state

    def multiplications(self, cycles: int = 1) -> int:  # noqa: ARG002 - every cycle takes as many
        """Return how many numbers are multiplied or divided in a cycle of one sequence, without learning.

        They are those of the weights with what they meet, and those in the units; not what a tanh or an exponential takes.
        """
        biases = sum(layer.rows for layer in self.all_layers if not layer.delays)
        count = sum(layer.weights for layer in self.all_layers) - biases
        for layer in self.all_layers:
            z, s, numbers = (torch.full((n,), 0.5) for n in (layer.rows, layer.states, layer.numbers))
            count += count_multiplications(partial(layer.apply, z, s, numbers))
        return count

    def describe(self) -> str:
        """The topology in the paper's notation, such as `H1: 6 memory_cell + 6 neuron`."""
        hidden = [layer for layer in self.layers if not layer.delays]
        below = [0, *(layer.delays for layer in self.layers)]
        shifts = [before for layer, before in zip(self.layers, below, strict=False) if not layer.delays]
        layers = "; ".join(f"H{i}: {_describe(*both)}" for i, both in enumerate(zip(hidden, shifts, strict=True), 1))
        if self.last_layer_feedback:
            return f"{layers}; output and last layer fed back"
        return f"{layers}; output fed back" if self.output_feedback else layers


def linear(matrix: Float[torch.Tensor, "R M K1"], source: Float[torch.Tensor, "R B K"]) -> Float[torch.Tensor, "R B M"]:
    """Return the pre-activations z = W s + b."""
    return torch.baddbmm(matrix[:, None, :, -1], source, matrix[:, :, :-1].mT)


def _layer(units: Mapping[str, tuple[Unit, int]], inputs: int, recurrent: bool = True, heads: int = 1) -> Layer:
    """Lay out the units of a layer. Rows are ordered by what they sum over; everything else is ordered by heads alone."""
    first = Layer(tuple(Block(unit, count, (), 0, 0, 0) for unit, count in units.values()), inputs)
    starts, start = {}, 0
    for wiring in Sources:
        starts[wiring] = start
        start += _rows_of(first.blocks, wiring)
    built, output, state, number = [], 0, 0, 0
    for _ in range(heads):
        for unit, total in units.values():
            count, rows = total // heads, []
            for name in unit.pre_activations:
                wiring = unit.sources.get(name, Sources.BOTH)
                rows.append(starts[wiring])
                starts[wiring] += count * unit.size(name)
            built.append(Block(unit, count, tuple(rows), output, state, number))
            output += count * unit.outputs * unit.width
            state += count * sum(map(unit.size, unit.states))
            number += count * sum(map(unit.size, unit.trained))
    hears_itself = start > _rows_of(first.blocks, Sources.BELOW)
    return Layer(tuple(built), inputs, recurrent and hears_itself, heads)


def _hearing(built: Sequence[Layer]) -> Layer:
    """Return the first layer, so that it hears the last one, or raise UserError."""
    if built[0].delays:
        raise UserError(f"layer 1: feedback: {LAST_LAYER} does not go with shift")
    if len(built) == 1 or not built[-1].recurrent:
        raise UserError(f"layer 1: feedback: {LAST_LAYER}: only of a layer above it, and of one that hears its own outputs")
    return replace(built[0], inputs=built[0].inputs + built[-1].outputs)


def _units(name: str, given: object, layer: int, heads: int) -> tuple[Unit, int]:
    """Return a unit and how many of it a layer has, or raise UserError."""
    if name not in UNITS:
        raise unknown("unit or option of a layer", name, (*UNITS, *OPTIONS))
    unit = UNITS[name]
    count: object = given
    if isinstance(unit, VectorUnit):
        if not isinstance(given, Mapping) or not {"count", "width"} <= set(given):
            raise UserError(
                f"layer {layer}: {name}: {given!r}; it is a vector unit: give {{count: 2, width: 8}}, two groups of eight"
            )
        options = {str(key): value for key, value in given.items()}
        count, width = options.pop("count"), options.pop("width")
        if not _is_count(width):
            raise UserError(f"layer {layer}: {name}: width: {width!r}; it must be a whole number >= 1")
        try:
            unit = unit.of_width(width, options)
        except UserError as error:
            raise UserError(f"layer {layer}: {error}") from None
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UserError(f"layer {layer}: {name}: {count!r} units; the count must be a whole number >= 1")
    if count % heads:
        raise UserError(f"layer {layer}: {count} units of {name} cannot be divided into {heads} equal heads")
    return unit, count


def _rows_of(blocks: Sequence[Block], wiring: Sources) -> int:
    """How many rows of the blocks sum over that."""
    names = ((b, name) for b in blocks for name in b.unit.pre_activations)
    return sum(b.count * b.unit.size(name) for b, name in names if b.unit.sources.get(name, Sources.BOTH) is wiring)


def _radius(radius: object, layer: Layer, number: int) -> float | None:
    """Return the spectral radius of a layer, if one is given, or raise UserError."""
    if radius is None:
        return None
    if isinstance(radius, bool) or not isinstance(radius, int | float) or not 0 < radius < float("inf"):
        raise UserError(f"layer {number}: radius: {radius!r}; it must be a number > 0")
    if not layer.own or layer.rows != layer.own or _rows_of(layer.blocks, Sources.BELOW):
        raise UserError(
            f"layer {number}: radius: only the recurrent weights of units with one pre-activation and one output are a square "
            "matrix, which has a spectral radius"
        )
    return float(radius)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _shift(place: slice, by: int) -> slice:
    return slice(place.start + by, place.stop + by)


def _describe(layer: Layer, shift: int = 0) -> str:
    kinds = layer.blocks[: len(layer.blocks) // layer.heads]
    text = " + ".join(f"{b.count * layer.heads} {b.unit.name}" for b in kinds)
    options = [f"{layer.heads} heads"] if layer.heads > 1 else []
    could = any(s is not Sources.BELOW for b in kinds for s in _wirings(b.unit))
    options += ["not recurrent"] if could and not layer.recurrent else []
    options += [name for name in ("residual", "fixed") if getattr(layer, name)]
    options += [f"{layer.norm} norm"] if layer.norm else []
    options += [f"shift {shift}"] if shift else []
    options += [f"spectral radius {layer.radius:g}"] if layer.radius else []
    return f"{text} ({', '.join(options)})" if options else text


def _wirings(unit: Unit) -> list[Sources]:
    return [unit.sources.get(name, Sources.BOTH) for name in unit.pre_activations]
