"""Recurrent layers and cells of other libraries as networks: torch.nn.LSTM, torchrecurrent.LEM, a class of your own.

A module with torch's signature takes the place of the hidden layers, and our output neurons read what it returns::

    layer(x [T, B, I], states) -> (outputs [T, B, H], states)
    cell(x [B, I], states) -> states, of which the first is the output, or (output [B, H], states)

States may be a tensor, nested tuples of tensors, or None. The class is made by `cls(input_size, hidden_size, **options)`.
It runs on the reference engine, and is trained by bptt.

The parameters [R, P] are those of the module, each flattened, in the order of `named_parameters`, then those of the output
neurons. The state [R, B, D] is all tensors of the module's states, each flattened, one after the other.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jaxtyping import Float

from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.lazy import torch
from learning_to_learn.randomness import Stream, uniform
from learning_to_learn.topology.cost import count_multiplications
from learning_to_learn.topology.network import LayerParameters, Network, linear
from learning_to_learn.topology.size import solve

BATCH, CYCLES = 3, 2
"""Of the sequences that a module is tried on. A cell that unpacks a batch of three as two states fails."""
TOLERANCE = 1e-5
"""How far replicas that run at once may be from the same ones that run one by one, in float32."""
MODULES: dict[tuple, Signature] = {}
"""What is known of the modules that this process has tried."""


class Leaf(NamedTuple):
    """A tensor of a module's states."""

    batch_axis: int
    shape: tuple[int, ...]
    """Without the axis of the batch."""

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size


@dataclass(frozen=True)
class Signature:
    """How a module is called, and what it returns; found by trying it."""

    module: torch.nn.Module
    is_layer: bool
    batch_first: bool = False
    output_apart: bool = False
    """Whether a cell returns its output besides its states."""
    outputs: int = 0
    leaves: tuple[Leaf, ...] = ()
    spec: Any = None
    """How torch nests the tensors of the states."""
    at_once: bool = False
    """Whether torch.func.vmap can run all replicas at once."""

    @property
    def shapes(self) -> dict[str, torch.Size]:
        return {name: p.shape for name, p in self.module.named_parameters()}

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @property
    def states(self) -> int:
        return sum(leaf.size for leaf in self.leaves)

    def run(
        self, parameters: Mapping[str, torch.Tensor], x: Float[torch.Tensor, "B T I"], state: Float[torch.Tensor, "B D"] | None
    ) -> tuple[Float[torch.Tensor, "B T H"], Float[torch.Tensor, "B D"]]:
        """Run one replica."""
        buffers = {name: b.to(x) if b.is_floating_point() else b for name, b in self.module.named_buffers()}
        values, states = {**parameters, **buffers}, None if state is None else self._nested(state)
        if self.is_layer:
            outputs, states = _call(self.module, values, x if self.batch_first else x.transpose(0, 1), states)
            return outputs if self.batch_first else outputs.transpose(0, 1), self._flat(states, x)
        found = []
        for t in range(x.shape[1]):
            result = _call(self.module, values, x[:, t], states)
            output, states = result if self.output_apart else (_first(result), result)
            found.append(output)
        return torch.stack(found, 1), self._flat(states, x)

    def _flat(self, states: Any, x: torch.Tensor) -> torch.Tensor:
        tensors = torch.utils._pytree.tree_leaves(states) if self.leaves else []
        flat = [
            tensor.movedim(leaf.batch_axis, 0).reshape(len(x), -1) for tensor, leaf in zip(tensors, self.leaves, strict=True)
        ]
        return torch.cat(flat, 1) if flat else x.new_zeros(len(x), 0)

    def _nested(self, state: torch.Tensor) -> Any:
        if not self.leaves:
            return None
        pieces = state.split([leaf.size for leaf in self.leaves], -1)
        tensors = [
            piece.reshape(len(state), *leaf.shape).movedim(0, leaf.batch_axis).contiguous()
            for piece, leaf in zip(pieces, self.leaves, strict=True)
        ]
        return torch.utils._pytree.tree_unflatten(tensors, self.spec)


@dataclass(frozen=True)
class ModuleNetwork(Network):
    """A module and the output neurons that read it."""

    name: str = ""
    make: Callable[[], torch.nn.Module] = field(default=None, compare=False)  # type: ignore[assignment]
    """Makes the module, with initial parameters by torch's random numbers."""
    signature: Signature = field(default=None, compare=False)  # type: ignore[assignment]
    hidden_size: int = 0

    @property
    def parameters(self) -> int:
        return self.signature.parameters + self.output.parameters

    @property
    def fixed(self) -> list[int]:
        found: list[int] = []
        first = 0
        for p in self.signature.module.parameters():
            found += [] if p.requires_grad else range(first, first + p.numel())
            first += p.numel()
        return found

    @property
    def state_size(self) -> int:
        """D; 0 where a module keeps no state of a fixed size, for it hears all earlier cycles again."""
        return self.signature.states

    @property
    def cells(self) -> int:
        return self.signature.states

    def split_parameters(self, parameters: Float[torch.Tensor, "R P"]) -> tuple[dict[str, torch.Tensor], LayerParameters]:
        """Return the module's parameters [R, ...] by name, and those of the output neurons."""
        own, output = parameters.split([self.signature.parameters, self.output.parameters], -1)
        shapes = self.signature.shapes
        pieces = own.split([shape.numel() for shape in shapes.values()], -1)
        named = {name: piece.view(len(own), *shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
        return named, self.output.split(output)

    def split_state(self, state: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Return no outputs, all of the module's states [R, B, D], and no previous output."""
        return [state[..., :0]], [state], state[..., :0]

    def run(
        self, parameters: torch.Tensor, x: torch.Tensor, state: torch.Tensor | None = None, *, detach_recurrent: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run T cycles; return the output neurons' pre-activations and outputs [R, B, T, m], and the last state [R, B, D]."""
        if detach_recurrent:
            self.check_gradient("truncated")
        named, output = self.split_parameters(parameters)
        h, state = run_replicas(self.signature, named, x, state)
        z = linear(output.matrix, h.flatten(1, 2)).unflatten(1, h.shape[1:3])
        y, _ = self.output.apply(z, z[..., :0], output.numbers.unsqueeze(1))
        return z, y.softmax(-1) if self.kind == "softmax" else y, state

    def forward(
        self, parameters: torch.Tensor, x: torch.Tensor, state: torch.Tensor | None = None, *, detach_recurrent: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.run(parameters, x, state, detach_recurrent=detach_recurrent)[1:]

    def initial_parameters(self, seeds: Sequence[int], scale: float) -> Float[torch.Tensor, "R P"]:
        """Return the module's own initial parameters, drawn by each seed, and uniform ones in [-scale, scale] of the output."""
        rows = []
        with torch.random.fork_rng(devices=[]):
            for seed in seeds:
                torch.manual_seed(seed)
                rows.append(torch.cat([p.detach().flatten() for p in self.make().parameters()] or [torch.zeros(0)]))
        draws = torch.from_numpy(uniform(list(seeds), Stream.WEIGHTS, 0, self.output.parameters))
        return torch.cat([torch.stack(rows).to(draws), (2 * draws - 1) * scale], -1)

    def multiplications(self, cycles: int = 1) -> int:
        """Return those of a cycle, the mean of a sequence of so many, of the module and of the weights that read it."""
        x = torch.full((1, cycles, self.inputs), 0.5, dtype=torch.float64)
        parameters = {name: p.detach().double() for name, p in self.signature.module.named_parameters()}
        count = count_multiplications(lambda: self.signature.run(parameters, x, None))
        return round(count / cycles) + self.output.weights - self.output.rows

    def check_gradient(self, name: str) -> None:
        """Raise UserError, one line, on a gradient that is not bptt."""
        if name != "bptt":
            raise UserError(
                f"arch.gradient={name}: {self.name} is trained by bptt only, because nothing but torch knows what is in it"
            )

    def check_engine(self, name: str) -> None:
        """Raise UserError, one line, on the fused engine."""
        if name == "fused":
            raise UserError(f"engine=fused: {self.name} runs on the reference engine only, which engine=auto chooses")

    def describe(self) -> str:
        """Such as `torch.nn.GRU of 12`."""
        return f"{self.name} of {self.hidden_size}"


def run_replicas(
    signature: Signature, named: Mapping[str, torch.Tensor], x: torch.Tensor, state: torch.Tensor | None
) -> tuple[Float[torch.Tensor, "R B T H"], Float[torch.Tensor, "R B D"]]:
    """Run a module for every replica, at once where it can be."""
    if signature.at_once:
        return torch.func.vmap(signature.run, in_dims=(0, 0, None if state is None else 0))(dict(named), x, state)
    results = [
        signature.run({name: p[r] for name, p in named.items()}, x[r], None if state is None else state[r])
        for r in range(len(x))
    ]
    outputs, states = zip(*results, strict=True)
    return torch.stack(outputs), torch.stack(states)


def module_network(
    name: str, cls: type, hidden_size: int, options: Mapping[str, Any], parameters: int | None, **network: Any
) -> ModuleNetwork:
    """Return the network of a module, which `arch.module` names; `parameters` is about how many it should have.

    `network` are the options of `Network.of`. Raises UserError where the class has another signature.
    """
    if not issubclass(cls, torch.nn.Module):
        raise UserError(f"arch.module={name} is no torch.nn.Module")

    def of(size: int) -> ModuleNetwork:
        inputs = network.get("inputs", 3)

        def make() -> torch.nn.Module:
            try:
                return cls(inputs, size, **options).eval()
            except Exception as error:
                raise UserError(
                    f"arch.module={name}: {_spelled(name, inputs, size, options)} fails: {cause_in_a_line(error)}"
                ) from error

        key = (cls, inputs, size, repr(sorted(options.items())))
        if key not in MODULES:
            MODULES[key] = find_signature(name, make, inputs)
        signature = MODULES[key]
        read = Network.of([{"neuron": signature.outputs, "recurrent": False}], **network)
        return ModuleNetwork(
            (), read.output, read.inputs, kind=read.kind, loss=read.loss, name=name, make=make, signature=signature,
            hidden_size=size,
        )  # fmt: skip

    if parameters is None:
        return of(hidden_size)
    step = options.get("num_heads", 1)
    (size,) = solve([hidden_size], [step], parameters, lambda counts: of(counts[0]).parameters)
    return of(size)


def find_signature(name: str, make: Callable[[], torch.nn.Module], inputs: int) -> Signature:
    """Try a module on a few sequences, and say how it is called. Raises UserError on what is no recurrent module."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        module = make()
        x = torch.rand(CYCLES, BATCH, inputs)
        complaints: list[str] = []
        for attempt in (_as_layer, _as_cell):
            try:
                found = attempt(module, x)
            except Exception as error:  # noqa: BLE001 - of any kind, from code of anyone
                complaints.append(cause_in_a_line(error))
                continue
            if found is not None:
                return _with_replicas(found, make, x)
            complaints.append("another result")
    raise UserError(
        f"arch.module={name} has another signature than torch's recurrent layers, (x [T, B, I], states) -> (outputs, states), "
        f"and cells, (x [B, I], states) -> states: as a layer {complaints[0]}; as a cell {complaints[1]}"
    )


def _as_layer(module: torch.nn.Module, x: torch.Tensor) -> Signature | None:
    batch_first = bool(getattr(module, "batch_first", False))

    def call(cycles: int, batch: int, states: Any = None) -> Any:
        given = x[:cycles, :batch]
        return _call(module, {}, given.transpose(0, 1) if batch_first else given, states)

    result = call(CYCLES, BATCH)
    if not isinstance(result, tuple) or len(result) != 2 or not torch.is_tensor(result[0]):
        return None
    outputs, states = result
    if outputs.dim() != 3 or outputs.shape[:2] != ((BATCH, CYCLES) if batch_first else (CYCLES, BATCH)):
        return None
    found = Signature(module, is_layer=True, batch_first=batch_first, outputs=outputs.shape[-1])
    return _with_states(found, states, call(CYCLES, BATCH - 1)[1], lambda: call(1, BATCH, states)[1])


def _as_cell(module: torch.nn.Module, x: torch.Tensor) -> Signature | None:
    result = _call(module, {}, x[0], None)
    fewer = _call(module, {}, x[0, : BATCH - 1], None)
    for apart in (False, True):
        if apart and not (isinstance(result, tuple) and len(result) == 2):
            continue
        output, states = result if apart else (_first(result), result)
        if not torch.is_tensor(output) or output.dim() != 2 or len(output) != BATCH:
            return None
        found = Signature(module, is_layer=False, output_apart=apart, outputs=output.shape[-1])
        try:
            again = _call(module, {}, x[1], states)
            return _with_states(
                found,
                states,
                fewer[1] if apart else fewer,
                lambda a=apart, r=again: r[1] if a else r,  # type: ignore[misc]
            )
        except Exception:
            if apart or not isinstance(result, tuple):
                raise
    return None


def _with_states(found: Signature, states: Any, fewer: Any, again: Callable[[], Any]) -> Signature | None:
    """Say where the batch is in each tensor of the states, which must come back as they went in."""
    tree = torch.utils._pytree
    tensors, spec = tree.tree_flatten(states)
    if not tensors or all(tensor is None for tensor in tensors):
        return found
    if not all(torch.is_tensor(tensor) and tensor.is_floating_point() for tensor in tensors):
        raise UserError("its states are not all tensors of real numbers")
    leaves = []
    for tensor, other in zip(tensors, tree.tree_leaves(fewer), strict=True):
        axis = next((n for n, (a, b) in enumerate(zip(tensor.shape, other.shape, strict=True)) if a != b), None)
        if axis is None:
            raise UserError("its states do not belong to sequences")
        leaves.append(Leaf(axis, (*tensor.shape[:axis], *tensor.shape[axis + 1 :])))
    back, back_spec = tree.tree_flatten(again())
    if back_spec != spec or [b.shape for b in back] != [t.shape for t in tensors]:
        return None
    return dataclasses.replace(found, leaves=tuple(leaves), spec=spec)


def _with_replicas(found: Signature, make: Callable[[], torch.nn.Module], x: torch.Tensor) -> Signature:
    """Try whether torch.func.vmap runs two replicas at once, with their gradients, and to the same outputs."""
    modules = [dict(make().named_parameters()) for _ in range(2)]
    named = {name: torch.stack([one[name].detach() for one in modules]).requires_grad_() for name in modules[0]}
    both = torch.stack([x.transpose(0, 1), x.flip(0).transpose(0, 1)])
    at_once = dataclasses.replace(found, at_once=True)
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("error")  # vmap warns where it loops
            outputs, state = run_replicas(at_once, named, both, None)
            after, _ = run_replicas(at_once, named, both, state)
            torch.autograd.grad(after.sum(), list(named.values()), allow_unused=True)
        one_by_one, last = run_replicas(found, named, both, None)
        same = all(torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE) for a, b in ((outputs, one_by_one), (state, last)))
    except Exception:  # noqa: BLE001 - torch raises many kinds where it has no rule
        return found
    return at_once if same else found


def _call(module: torch.nn.Module, values: Mapping[str, torch.Tensor], x: torch.Tensor, states: Any) -> Any:
    given = (x,) if states is None else (x, states)
    return torch.func.functional_call(module, dict(values), given) if values else module(*given)


def _first(states: Any) -> Any:
    return states[0] if isinstance(states, tuple | list) and states else states


def _spelled(name: str, inputs: int, size: int, options: Mapping[str, Any]) -> str:
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    return f"{name.rpartition('.')[2]}({inputs}, {size}{given})"
