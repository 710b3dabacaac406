"""Trace a unit, and its derivative, into a short list of elementwise operations that a printer can turn into source.

`make_fx` records what the unit's torch code and `torch.autograd.grad` of it do on scalars; this module strips what means
nothing on scalars (detach, views) and refuses, by name, what has no elementwise meaning.
"""

from collections.abc import Callable
from dataclasses import dataclass

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
    """Everything the kernels need of a unit; variables are pre0.. (pre-activations), state0.., error0.. (tangents)."""

    forward: Trace
    """-> the output and the new states."""
    backward: Trace
    """pre.., state.., error0 of the output, error1.. of the new states -> error of each pre and each state."""
    partials: Trace
    """-> for the output and then each new state, its derivative by each pre and each state."""
    saved: tuple[str, ...]
    """The variables of `forward` that `backward` starts from, when what is cheap is computed again."""


EXPENSIVE = {
    "sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "div", "reciprocal", "pow", "sin", "cos", "erf", "log1p", "expm1",
}  # fmt: skip
_ALIASES = {"detach", "view_of", "alias", "clone", "lift_fresh_copy"}
SUPPORTED = EXPENSIVE | {
    "add", "sub", "rsub", "mul", "neg", "sigmoid_backward", "tanh_backward", "relu", "threshold_backward", "abs", "sgn", "sign",
    "maximum", "minimum", "clamp", "clamp_min", "clamp_max", "where", "gt", "ge", "lt", "le", "eq", "ne", "logical_and",
    "logical_or", "logical_not", "scalar_tensor", "masked_fill", "zeros_like", "ones_like", "full_like", "square",
}  # fmt: skip


def trace(unit: Unit) -> UnitTrace:
    """Trace a unit. Raises UnsupportedOperation, naming the operation and the unit, where it cannot be fused."""
    n, m = len(unit.pre_activations), len(unit.states)
    inputs = [f"pre{i}" for i in range(n)] + [f"state{i}" for i in range(m)]
    tangents = [f"error{i}" for i in range(1 + m)]

    def joint(*args: Tensor) -> list[Tensor | None]:
        xs = [a.detach().requires_grad_() for a in args[: n + m]]
        ys = unit.step(*xs)
        if len(ys) != 1 + m:
            raise UnsupportedOperation(f"unit {unit.name} returns {len(ys)} values, not its output and {m} states")
        live = [(y, d) for y, d in zip(ys, args[n + m :], strict=True) if y.requires_grad]
        errors = torch.autograd.grad([y for y, _ in live], xs, [d for _, d in live], allow_unused=True)
        return [*ys, *errors]

    def partial(*args: Tensor) -> list[Tensor | None]:
        xs = [a.detach().requires_grad_() for a in args[: n + m]]
        ys = unit.step(*xs)
        found: list[Tensor | None] = []
        for y, d in zip(ys, args[n + m :], strict=True):
            if y.requires_grad:
                found += torch.autograd.grad(y, xs, d, allow_unused=True, retain_graph=True)
            else:
                found += [None] * (n + m)
        return found

    both = _record(unit, joint, inputs + tangents)
    # Within the joint trace everything that the outputs need is the forward pass.
    forward = _closure(both, both.outputs[: 1 + m])
    backward = Trace(both.ops, both.outputs[1 + m :])
    saved = _saved(forward, backward, inputs)
    ones = dict.fromkeys(tangents, 1.0)
    partials = _substitute(_record(unit, partial, inputs + tangents), ones)
    return UnitTrace(forward, _without(backward, saved), _closure(partials, partials.outputs), saved)


def _record(unit: Unit, function: Callable, names: list[str]) -> Trace:
    # Imported here: it takes a second, and a warm start needs no trace.
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415

    example = [torch.full((), 0.25) for _ in names]
    # A second pass turns operations in place, the unit's own or autograd's, into plain ones.
    graph = make_fx(torch.func.functionalize(make_fx(function)(*example)))(*example).graph
    graph.eliminate_dead_code()
    values: dict[torch.fx.Node, Value] = {}
    ops: list[Op] = []
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
            if function_name in _ALIASES:
                values[node] = value(node.args[0])
                continue
            if function_name not in SUPPORTED:
                raise UnsupportedOperation(f"unit {unit.name} uses {node.target}, which the fused engine cannot print")
            args = [_default(function_name, i) if a is None else value(a) for i, a in enumerate(node.args)]
            if node.kwargs.get("alpha", 1) != 1:
                raise UnsupportedOperation(f"unit {unit.name} uses {node.target} with alpha, which cannot be fused")
            if function_name in ("zeros_like", "ones_like", "full_like", "scalar_tensor"):
                values[node] = {"zeros_like": 0.0, "ones_like": 1.0}.get(function_name, args[-1])
                continue
            ops.append(Op(f"v{len(ops)}", function_name, tuple(args)))
            values[node] = ops[-1].name
        elif node.op == "get_attr":
            raise UnsupportedOperation(f"unit {unit.name} holds a constant tensor: use plain numbers")
        else:
            outputs = tuple(None if a is None else value(a) for a in node.args[0])
    return Trace(tuple(ops), outputs)


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


def _saved(forward: Trace, backward: Trace, inputs: list[str]) -> tuple[str, ...]:
    """What the backward pass reads of the forward pass when it stops at expensive operations and at the inputs."""
    stop = frozenset(op.name for op in forward.ops if op.function in EXPENSIVE) | frozenset(inputs)
    remaining = _closure(backward, backward.outputs, stop)
    read = {a for op in remaining.ops for a in op.args} | set(backward.outputs)
    return tuple(sorted(v for v in stop if v in read))


def _without(backward: Trace, saved: tuple[str, ...]) -> Trace:
    return _closure(backward, backward.outputs, frozenset(saved))


def _substitute(trace: Trace, table: dict[str, float]) -> Trace:
    def new(v: Value | None) -> Value | None:
        return table.get(v, v) if isinstance(v, str) else v

    ops = tuple(Op(op.name, op.function, tuple(new(a) for a in op.args)) for op in trace.ops)  # type: ignore[misc]
    return Trace(ops, tuple(new(v) for v in trace.outputs))
