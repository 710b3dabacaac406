"""Trace a unit, and its derivative, into a short list of elementwise operations that a printer can turn into source.

`make_fx` records what the unit's torch code and `torch.autograd.grad` of it do on scalars; this module strips what means
nothing on scalars (detach, views) and refuses, by name, what has no elementwise meaning.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learning_to_learn.topology.units import Unit

Value = str | float
"""The name of a variable, or a constant."""


class UnsupportedOperation(Exception):
    """A unit uses an operation that the fused engine cannot print."""


@dataclass(frozen=True)
class Op:
    """`name = function(*args)`, `function` being ATen's name without overload, such as `mul` or `sigmoid_backward`."""

    name: str
    function: str
    args: tuple[Value, ...]


@dataclass(frozen=True)
class Trace:
    """A straight line of operations. `outputs` holds None where a derivative is identically zero."""

    ops: tuple[Op, ...]
    outputs: tuple[Value | None, ...]


@dataclass(frozen=True)
class UnitTrace:
    """Everything the kernels need of a unit.

    Variables are pre0.. (pre-activations), state0.., number0.. (the unit's own), error0.. (tangents of the outputs, then of
    the new states).
    """

    forward: Trace
    """-> the outputs and the new states."""
    backward: Trace
    """pre.., state.., constants, error.. -> error of each pre, each state and each number."""
    partials: Trace
    """-> for each output and then each new state, its derivative by each pre, each state and each number."""
    saved: tuple[str, ...]
    """The variables of `forward` that `backward` starts from, when what is cheap is computed again."""
    outputs: Trace
    """saved.., saved_for_outputs.., constants -> the outputs once more."""
    saved_for_outputs: tuple[str, ...]
    """The variables of `forward`, besides `saved`, that `outputs` starts from."""
    constants: Trace
    """number.. -> what `forward` and `backward` read of it, the same at every cycle; its outputs are variables' names."""
    partial_constants: Trace
    """The same for `partials`."""


EXPENSIVE = {
    "sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "div", "reciprocal", "pow", "sin", "cos", "erf", "log1p", "expm1",
}  # fmt: skip
ALIASES = {"detach", "view_of", "alias", "clone", "lift_fresh_copy"}
MASKS = {"gt", "ge", "lt", "le", "eq", "ne", "logical_and", "logical_or", "logical_not"}
"""The operations whose result is a truth value."""
_LOGIC = {"logical_and", "logical_or", "logical_not"}
CONSTANTS = {"zeros_like": 0.0, "new_zeros": 0.0, "ones_like": 1.0, "new_ones": 1.0}
SYNONYMS = {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_not": "logical_not"}
"""On truth values; of others they are refused."""
DECOMPOSED = (
    "softplus", "softplus_backward", "silu", "silu_backward", "gelu", "gelu_backward", "elu", "elu_backward", "hardtanh",
    "hardtanh_backward", "leaky_relu", "leaky_relu_backward", "log_sigmoid_forward", "log_sigmoid_backward", "hardsigmoid",
    "hardsigmoid_backward", "hardswish", "hardswish_backward", "mish", "mish_backward",
)  # fmt: skip
"""What torch writes in simpler operations. Others are printed as they are: their derivatives start from the output."""
SUPPORTED = EXPENSIVE | {
    "add", "sub", "rsub", "mul", "neg", "sigmoid_backward", "tanh_backward", "relu", "threshold_backward", "abs", "sgn", "sign",
    "maximum", "minimum", "clamp", "clamp_min", "clamp_max", "where", "gt", "ge", "lt", "le", "eq", "ne", "logical_and",
    "logical_or", "logical_not", "scalar_tensor", "masked_fill", "full_like", "square",
}  # fmt: skip


def trace(unit: Unit) -> UnitTrace:
    """Trace a unit. Raises UnsupportedOperation, naming the operation and the unit, where it cannot be fused."""
    n, m, results = len(unit.pre_activations), len(unit.states), unit.outputs + len(unit.states)
    inputs = [f"pre{i}" for i in range(n)] + [f"state{i}" for i in range(m)]
    numbers = [f"number{i}" for i in range(len(unit.numbers))]
    tangents = [f"error{i}" for i in range(results)]
    variables = inputs + numbers

    def step(xs: list[Tensor]) -> tuple[Tensor, ...]:
        return unit.step(*xs[: n + m], **dict(zip(unit.numbers, xs[n + m :], strict=True)))

    def joint(*args: Tensor) -> list[Tensor | None]:
        xs = [a.detach().requires_grad_() for a in args[: len(variables)]]
        ys = step(xs)
        if len(ys) != results:
            raise UnsupportedOperation(
                f"unit {unit.name} returns {len(ys)} values, not its {_count(unit.outputs, 'output')} and {_count(m, 'state')}"
            )
        live = [(y, d) for y, d in zip(ys, args[len(variables) :], strict=True) if y.requires_grad]
        errors = torch.autograd.grad([y for y, _ in live], xs, [d for _, d in live], allow_unused=True)
        return [*ys, *errors]

    def partial(*args: Tensor) -> list[Tensor | None]:
        xs = [a.detach().requires_grad_() for a in args[: len(variables)]]
        found: list[Tensor | None] = []
        for y, d in zip(step(xs), args[len(variables) :], strict=True):
            if y.requires_grad:
                found += torch.autograd.grad(y, xs, d, allow_unused=True, retain_graph=True)
            else:
                found += [None] * len(variables)
        return found

    both = _record(unit, joint, variables + tangents)
    # Within the joint trace everything that the outputs need is the forward pass.
    constant = _constant(both, numbers)
    forward = _closure(both, both.outputs[:results], constant)
    backward = Trace(both.ops, both.outputs[results:])
    saved = _saved(forward, backward, inputs, constant)
    backward = _closure(backward, backward.outputs, constant | frozenset(saved))
    saved_for_outputs = _saved_for_outputs(Trace(forward.ops, forward.outputs[: unit.outputs]), saved, inputs, constant)
    outputs = _closure(forward, forward.outputs[: unit.outputs], constant | frozenset(saved + saved_for_outputs))
    ones: dict[str, Value] = dict.fromkeys(tangents, 1.0)
    partials = _substitute(unit, _record(unit, partial, variables + tangents), ones)
    constant_partials = _constant(partials, numbers)
    varying = _closure(partials, partials.outputs, constant_partials)
    return UnitTrace(
        forward, backward, varying, saved, outputs, saved_for_outputs,
        _read(both, constant, forward, backward), _read(partials, constant_partials, varying),
    )  # fmt: skip


def _record(unit: Unit, function: Callable, names: list[str]) -> Trace:
    # Imported here: it takes a second, and a warm start needs no trace.
    from torch._decomp import get_decompositions
    from torch.fx.experimental.proxy_tensor import make_fx

    example = [torch.full((), 0.25) for _ in names]
    table: Any = get_decompositions([getattr(torch.ops.aten, name) for name in DECOMPOSED])
    # A second pass turns operations in place, the unit's own or autograd's, into plain ones.
    graph = make_fx(torch.func.functionalize(make_fx(function, table)(*example)))(*example).graph
    graph.eliminate_dead_code()
    values: dict[torch.fx.Node, Value] = {}
    ops = Operations(unit)
    remaining = iter(names)

    def value(arg: object) -> Value:
        if isinstance(arg, torch.fx.Node):
            return values[arg]
        if isinstance(arg, bool | int | float):
            return float(arg)
        raise UnsupportedOperation(f"unit {unit.name}: the argument {arg!r} cannot be fused")

    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = next(remaining)
        elif node.op == "call_function":
            function_name = str(node.target).removeprefix("aten.").split(".")[0]
            if function_name in ALIASES:
                values[node] = value(node.args[0])
                continue
            if function_name in CONSTANTS:
                values[node] = CONSTANTS[function_name]
                continue
            function_name = SYNONYMS.get(function_name, function_name)
            if function_name not in SUPPORTED:
                raise UnsupportedOperation(f"unit {unit.name} uses {node.target}, which the fused engine cannot print")
            args = [_default(function_name, i) if a is None else value(a) for i, a in enumerate(node.args)]
            if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode"):
                raise UnsupportedOperation(f"unit {unit.name} uses {node.target} with {dict(node.kwargs)}")
            values[node] = ops.add(function_name, args)
        elif node.op == "get_attr":
            raise UnsupportedOperation(f"unit {unit.name} holds a constant tensor: use plain numbers")
        else:
            outputs = tuple(None if a is None else value(a) for a in node.args[0])
    if any(v in ops.masks for v in outputs):
        raise UnsupportedOperation(f"unit {unit.name} returns a truth value")
    return Trace(tuple(ops.made), outputs)


class Operations:
    """Collects operations in the few forms that every target has; what is made of numbers alone is computed.

    `once`: an operation that is there already is not made again.
    """

    def __init__(self, unit: Unit, *, once: bool = False) -> None:
        self.unit = unit
        self._known: dict[tuple[str, tuple[Value, ...]], str] | None = {} if once else None
        self.made: list[Op] = []
        self.masks: set[Value | None] = set()

    def add(self, function: str, args: list[Value]) -> Value:
        """The value of an operation."""
        if function in ("full_like", "scalar_tensor"):
            return args[-1]
        if function == "rsub":
            return self._make("sub", args[1], args[0])
        if function == "threshold_backward":
            return self._make("where", self._make("gt", args[1], args[2]), args[0], 0.0)
        if function == "masked_fill":
            return self._make("where", args[1], args[2], args[0])
        if function == "clamp":
            low = args[0] if args[1] == float("-inf") else self._make("maximum", args[0], args[1])
            return low if args[2:] in ([], [float("inf")]) else self._make("minimum", low, args[2])
        if function in ("clamp_min", "clamp_max"):
            return self._make("maximum" if function == "clamp_min" else "minimum", *args)
        if function == "pow":
            return self._power(*args)
        return self._make(function, *args)

    def _power(self, base: Value, exponent: Value) -> Value:
        if not isinstance(exponent, float) or not (2 * exponent).is_integer() or abs(exponent) > 8:
            raise UnsupportedOperation(f"a power of {exponent!r} cannot be fused: use multiples of 0.5 from -8 to 8")
        if exponent < 0:
            return self._make("reciprocal", self._power(base, -exponent))
        power = base if exponent >= 1 else 1.0
        for _ in range(int(exponent) - 1):
            power = self._make("mul", power, base)
        if exponent.is_integer():
            return power
        root = self._make("sqrt", base)
        return self._make("mul", power, root) if exponent > 1 else root

    def _make(self, function: str, *args: Value) -> Value:
        numbers = [a for a in args if isinstance(a, float)]
        if len(numbers) == len(args):
            return _computed(function, numbers)
        if function == "where" and isinstance(args[0], float):
            return args[1] if args[0] else args[2]
        truths = 1 if function == "where" else len(args) if function in _LOGIC else 0
        for arg in args[:truths]:
            if arg not in self.masks:
                raise UnsupportedOperation(f"unit {self.unit.name}: {function} of what is not a comparison")
        args = (*args[:truths], *(self._make("where", a, 1.0, 0.0) if a in self.masks else a for a in args[truths:]))
        name = self.make(function, args)
        if function in MASKS:
            self.masks.add(name)
        return name

    def make(self, function: str, args: tuple[Value, ...]) -> str:
        """The name of an operation as it stands."""
        name = f"v{len(self.made)}"
        if self._known is not None and (known := self._known.setdefault((function, args), name)) != name:
            return known
        self.made.append(Op(name, function, args))
        return name


def _computed(function: str, numbers: list[float]) -> float:
    """The value of an operation on numbers."""
    operation = getattr(torch.ops.aten, function)
    truths = 1 if function == "where" else 0
    tensors = [torch.tensor(n, dtype=torch.bool if i < truths else torch.float64) for i, n in enumerate(numbers)]
    return float(operation(*tensors))


def _default(function: str, position: int) -> float:
    """clamp(x, None, 1) and the like: the missing bound."""
    if function == "clamp":
        return float("-inf") if position == 1 else float("inf")
    raise UnsupportedOperation(f"{function} without its argument {position}")


def _closure(trace: Trace, outputs: tuple[Value | None, ...], stop: frozenset[str] = frozenset()) -> Trace:
    """The operations that the outputs need, computing nothing behind `stop`."""
    needed = {v for v in outputs if isinstance(v, str)}
    kept = []
    for op in reversed(trace.ops):
        if op.name in needed and op.name not in stop:
            kept.append(op)
            needed |= {a for a in op.args if isinstance(a, str)}
    return Trace(tuple(reversed(kept)), outputs)


def _saved(forward: Trace, backward: Trace, inputs: list[str], constant: frozenset[str]) -> tuple[str, ...]:
    """What the backward pass reads of the forward pass when it stops at expensive operations and at the inputs."""
    stop = frozenset(op.name for op in forward.ops if op.function in EXPENSIVE) | frozenset(inputs)
    remaining = _closure(backward, backward.outputs, stop | constant)
    read = {a for op in remaining.ops for a in op.args} | set(backward.outputs)
    return tuple(sorted(v for v in stop if v in read))


def _saved_for_outputs(forward: Trace, saved: tuple[str, ...], inputs: list[str], constant: frozenset[str]) -> tuple[str, ...]:
    """What must be saved besides `saved`, so that the outputs can be had again without an expensive operation, to the bit.

    These are the outputs themselves where they are fewer, and where a compiler may or may not fuse a product and a sum.
    """
    needed = tuple(v for v in _saved(forward, forward, inputs, constant) if v not in saved)
    themselves = tuple(dict.fromkeys(v for v in forward.outputs if isinstance(v, str) and v not in constant and v not in saved))
    made = _closure(forward, forward.outputs, constant | frozenset(saved + needed)).ops
    rounded = {op.name for op in made if op.function in ("mul", "square") and not any(_is_power_of_two(a) for a in op.args)}
    fused = any(op.function in ("add", "sub") and rounded.intersection(op.args) for op in made)
    return themselves if fused or len(needed) > len(themselves) else needed


def _is_power_of_two(value: Value) -> bool:
    """Whether a product with it is exact."""
    return isinstance(value, float) and abs(math.frexp(value)[0]) == 0.5


def _constant(trace: Trace, numbers: list[str]) -> frozenset[str]:
    """The variables that depend on the unit's own numbers alone, so that they need not be computed at every cycle."""
    found = set(numbers)
    for op in trace.ops:
        variables = [a for a in op.args if isinstance(a, str)]
        # A truth value cannot be kept in memory.
        if variables and found.issuperset(variables) and op.function not in MASKS:
            found.add(op.name)
    return frozenset(found)


def _read(trace: Trace, constant: frozenset[str], *readers: Trace) -> Trace:
    """The operations that make those of the constant variables that `readers` read."""
    read = {a for reader in readers for op in reader.ops for a in op.args} | {v for r in readers for v in r.outputs}
    return _closure(trace, tuple(sorted(v for v in constant if v in read)))


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _substitute(unit: Unit, trace: Trace, table: dict[str, Value]) -> Trace:
    """The trace with numbers in place of some variables, and what follows from these alone computed."""
    ops, new = Operations(unit), dict(table)
    for op in trace.ops:
        new[op.name] = ops.add(op.function, [new.get(a, a) if isinstance(a, str) else a for a in op.args])
    return Trace(tuple(ops.made), tuple(new.get(v, v) if isinstance(v, str) else v for v in trace.outputs))
