"""Trace a vector unit, and its derivative, into operations on numbers, vectors and matrices.

What is elementwise is brought into the forms that scalar units have. The rest is a few operations that say which elements they
read: changes of index (`t`, `view`, `expand`), sums and maxima over axes (`sum0`, `sum1`, `sum`), and the products `mv`, `dot`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learning_to_learn.engine.fused.trace import (
    ALIASES,
    CONSTANTS,
    DECOMPOSED,
    EXPENSIVE,
    MASKS,
    SUPPORTED,
    SYNONYMS,
    Op,
    Operations,
    UnsupportedOperation,
    Value,
)  # fmt: skip
from learning_to_learn.topology.vector_units import VectorUnit

Shape = tuple[int, ...]
VIEWS = {"t", "view", "expand"}
PRODUCTS = {"mv", "dot"}
REDUCTIONS = PRODUCTS | {f + axis for f in ("sum", "amax", "amin") for axis in ("", "0", "1")}
_DECOMPOSED = (
    *DECOMPOSED, "_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data", "logsumexp", "addmv",
    "addr", "addmm", "native_layer_norm", "native_layer_norm_backward", "var_mean",
)  # fmt: skip
_RESHAPES = {"view", "_unsafe_view", "reshape", "squeeze", "unsqueeze"}
_SWAPS = {"t", "transpose", "permute"}
_FILLED = {"zeros": 0.0, "ones": 1.0}
_WHOLE = {"full", "new_full"}


@dataclass(frozen=True)
class VectorTrace:
    """Everything the kernels need of a vector unit.

    Variables are pre0.. (pre-activations), state0.., number0.. (the unit's own), error0.. (tangents of the outputs, then of
    the new states).
    """

    ops: Mapping[str, Op]
    """What is not an input, in order."""
    shapes: Mapping[str, Shape]
    outputs: tuple[Value | None, ...]
    """The outputs and the new states."""
    errors: tuple[Value | None, ...]
    """The error of each pre-activation, state and number; None where it is identically zero."""
    saved: tuple[str, ...]
    """The variables besides states and numbers that the backward pass starts from."""
    constants: tuple[str, ...]
    """What is read of the numbers, and of what is computed of them alone."""


def trace_vectors(unit: VectorUnit) -> VectorTrace:
    """Trace a vector unit. Raises UnsupportedOperation, naming the operation and the unit, where it cannot be fused."""
    kinds = (("pre", unit.pre_activations), ("state", unit.states), ("number", tuple(unit.numbers)))
    shapes: dict[str, Shape] = {f"{kind}{i}": unit.shape(n) for kind, names in kinds for i, n in enumerate(names)}
    n, positional = len(shapes), len(unit.pre_activations) + len(unit.states)
    results = [(unit.width,)] * unit.outputs + [unit.shape(name) for name in unit.states]
    shapes |= {f"error{i}": shape for i, shape in enumerate(results)}

    def joint(*args: Tensor) -> list[Tensor | None]:
        xs = [a.detach().requires_grad_() for a in args[:n]]
        ys = unit.step(*xs[:positional], **dict(zip(unit.numbers, xs[positional:], strict=True)))
        live = [(y, d) for y, d in zip(ys, args[n:], strict=True) if y.requires_grad]
        return [*ys, *torch.autograd.grad([y for y, _ in live], xs, [d for _, d in live], allow_unused=True)]

    recorder = _Recorder(unit, shapes)
    found = recorder.record(joint)
    ops = {op.name: op for op in recorder.ops.made}
    outputs, errors = found[: len(results)], found[len(results) :]
    if any(v in recorder.ops.masks for v in outputs):
        raise UnsupportedOperation(f"unit {unit.name} returns a truth value")
    forward = closure(ops, outputs)
    new_states = set(outputs[unit.outputs :])
    inputs = {v for v in shapes if v.startswith(("pre", "state", "number"))}
    stop = inputs | {v for v in forward if v in ops and (ops[v].function in REDUCTIONS | EXPENSIVE) and rank(shapes[v]) < 2}
    stop |= {v for v in new_states if isinstance(v, str)}
    constant = _constant(ops, shapes)
    read = closure(ops, errors, stop | constant)
    saved = (v for v in shapes if v in read & stop and not v.startswith(("state", "number")) and v not in new_states | constant)
    needed = read | closure(ops, outputs, constant)
    return VectorTrace(ops, shapes, outputs, errors, tuple(saved), tuple(v for v in shapes if v in constant & needed))


def rank(shape: Shape) -> int:
    """How many axes are more than one element long."""
    return sum(n != 1 for n in shape)


def sources(op: Op) -> list[str]:
    """The variables among an operation's arguments."""
    return [a for a in op.args if isinstance(a, str)]


def closure(ops: Mapping[str, Op], roots: Any, stop: Any = ()) -> set[str]:
    """The variables that the roots need, computing nothing behind `stop`."""
    seen: set[str] = set()
    remaining = [r for r in roots if isinstance(r, str)]
    while remaining:
        v = remaining.pop()
        if v not in seen:
            seen.add(v)
            remaining += sources(ops[v]) if v in ops and v not in stop else []
    return seen


def _constant(ops: Mapping[str, Op], shapes: Mapping[str, Shape]) -> set[str]:
    """The variables that depend on the unit's own numbers alone and that memory can hold, as it cannot a truth value."""
    found = {v for v in shapes if v.startswith("number")}
    for name, op in ops.items():
        read = sources(op)
        if read and found.issuperset(read) and op.function not in MASKS | VIEWS:
            found.add(name)
    return found


class _Recorder:
    """Turns the nodes of one graph into operations."""

    def __init__(self, unit: VectorUnit, shapes: dict[str, Shape]) -> None:
        self.unit, self.shapes, self.names = unit, shapes, list(shapes)
        self.ops = Operations(unit, once=True)

    def record(self, function: Callable) -> tuple[Value | None, ...]:
        """The values of what the function returns."""
        # Imported here: it takes a second, and a warm start needs no trace.
        from torch._decomp import get_decompositions
        from torch.fx.experimental.proxy_tensor import make_fx

        example = [torch.full(self.shapes[name], 0.25) for name in self.names]
        table: Any = get_decompositions([getattr(torch.ops.aten, name) for name in _DECOMPOSED])
        try:
            graph = make_fx(torch.func.functionalize(make_fx(function, table)(*example)))(*example).graph
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UnsupportedOperation(f"unit {self.unit.name} cannot be traced: {reason}") from error
        graph.eliminate_dead_code()
        values: dict[torch.fx.Node, Value] = {}
        remaining = iter(self.names)
        for node in graph.nodes:
            if node.op == "placeholder":
                values[node] = next(remaining)
            elif node.op == "output":
                return tuple(values[a] if isinstance(a, torch.fx.Node) else a for a in node.args[0])
            elif node.op == "get_attr":
                raise UnsupportedOperation(f"unit {self.unit.name} holds a constant tensor: use plain numbers")
            else:
                if not isinstance(node.meta["val"], Tensor):
                    raise UnsupportedOperation(self._cannot(node))
                shape = tuple(node.meta["val"].shape)
                args = [values[a] if isinstance(a, torch.fx.Node) else a for a in node.args]
                values[node] = self._value(node, args, shape)
        raise AssertionError("a graph without an output")

    def _value(self, node: torch.fx.Node, args: list[Any], shape: Shape) -> Value:
        name = str(node.target).removeprefix("aten.").split(".")[0]
        if len(shape) > 2:
            raise UnsupportedOperation(f"unit {self.unit.name} uses {node.target} on {len(shape)} axes; two can be fused")
        if name in ALIASES:
            return args[0]
        if name in CONSTANTS | _FILLED:
            return (CONSTANTS | _FILLED)[name]
        if name in _WHOLE:
            return float(args[-1])
        if name in _RESHAPES or name == "expand":
            return self._view(node, name, args[0], shape)
        if name in _SWAPS:
            return args[0] if len(shape) < 2 or args[1:] in ([[0, 1]], [0, 0], [1, 1]) else self._swap(args[0])
        if name in PRODUCTS:
            return self._product(name, args[0], args[1], shape)
        if name == "mm":
            return self._matrix_product(node, args[0], args[1], shape)
        if name in ("sum", "mean", "amax", "amin"):
            dims, count = self._dims(args), 1.0
            found = self._reduce("sum" if name == "mean" else name, args[0], dims, shape)
            if name == "mean":
                count = math.prod(self._shape(args[0])[i] for i in dims)
            return found if count == 1 else self._elementwise(node, "mul", [found, 1 / count], shape)
        if name == "linalg_vector_norm":
            if len(args) > 1 and args[1] != 2:
                raise UnsupportedOperation(
                    f"unit {self.unit.name} uses a norm of order {args[1]}; that of order 2 can be fused"
                )
            squares = self._elementwise(node, "mul", [args[0], args[0]], self._shape(args[0]))
            square = self._reduce("sum", squares, self._dims([args[0], *args[2:]]), shape)
            return self._elementwise(node, "sqrt", [square], shape)
        return self._elementwise(node, SYNONYMS.get(name, name), args, shape)

    def _cannot(self, node: torch.fx.Node) -> str:
        return f"unit {self.unit.name} uses {node.target}, which the fused engine cannot print"

    def _shape(self, value: Value) -> Shape:
        return self.shapes[value] if isinstance(value, str) else ()

    def _make(self, function: str, shape: Shape, *args: Value) -> str:
        # Two views, or sums, of one value into different shapes are different operations.
        name = self.ops.make(function, args) if function not in VIEWS - {"t"} else self._new(function, args)
        if self.shapes.setdefault(name, shape) != shape:
            name = self._new(function, args)
            self.shapes[name] = shape
        return name

    def _new(self, function: str, args: tuple[Value, ...]) -> str:
        name = f"v{len(self.ops.made)}"
        self.ops.made.append(Op(name, function, args))
        return name

    def _elementwise(self, node: torch.fx.Node, function: str, args: list[Any], shape: Shape) -> Value:
        if function not in SUPPORTED:
            raise UnsupportedOperation(self._cannot(node))
        if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode"):
            raise UnsupportedOperation(f"unit {self.unit.name} uses {node.target} with {dict(node.kwargs)}")
        numbers = [float(a) if isinstance(a, bool | int | float) else a for a in args]
        if function == "clamp":
            numbers = [x if x is not None else bound for x, bound in zip(numbers, (None, -math.inf, math.inf), strict=False)]
        if wrong := [a for a in numbers if not isinstance(a, str | float)]:
            raise UnsupportedOperation(f"unit {self.unit.name}: the argument {wrong[0]!r} of {node.target} cannot be fused")
        before = len(self.ops.made)
        found = self.ops.add(function, numbers)
        for op in self.ops.made[before:]:
            self.shapes[op.name] = tuple(torch.broadcast_shapes(*(self._shape(a) for a in op.args)))
        if isinstance(found, str) and self.shapes[found] != shape:
            found = self._as(found, self._make("expand", shape, found))
        return found

    def _view(self, node: torch.fx.Node, name: str, value: Value, shape: Shape) -> Value:
        if not isinstance(value, str) or self.shapes[value] == shape:
            return value
        if name == "expand":
            return self._as(value, self._make("expand", shape, value))
        if [n for n in self.shapes[value] if n != 1] != [n for n in shape if n != 1]:
            raise UnsupportedOperation(
                f"unit {self.unit.name} uses {node.target} from {self.shapes[value]} to {shape}; "
                "only axes of length 1 may change"
            )
        return self._as(value, self._make("view", shape, value))

    def _swap(self, value: Value) -> Value:
        return self._as(value, self._make("t", self.shapes[value][::-1], value)) if isinstance(value, str) else value

    def _as(self, value: str, view: str) -> str:
        """A view of a truth value is one."""
        if value in self.ops.masks:
            self.ops.masks.add(view)
        return view

    def _number(self, value: str) -> str:
        """A truth value as 1 or 0."""
        return self._make("where", self.shapes[value], value, 1.0, 0.0) if value in self.ops.masks else value

    def _dims(self, args: list[Any]) -> list[int]:
        axes = range(len(self._shape(args[0])))
        given = args[1] if len(args) > 1 and isinstance(args[1], list | tuple | int) and not isinstance(args[1], bool) else None
        return [axes[i] for i in ([given] if isinstance(given, int) else given)] if given or given == 0 else list(axes)

    def _reduce(self, function: str, value: Value, dims: list[int], shape: Shape) -> Value:
        if not isinstance(value, str):
            raise UnsupportedOperation(f"unit {self.unit.name} reduces a constant: use plain numbers")
        value, whole = self._number(value), self.shapes[value]
        left = tuple(n for i, n in enumerate(whole) if i not in dims)
        axis = "" if len(dims) == len(whole) else str(dims[0])
        found = self._make(function + axis, left, value) if dims else value
        return found if left == shape else self._make("view", shape, found)

    def _product(self, name: str, a: Value, b: Value, shape: Shape) -> Value:
        if not (isinstance(a, str) and isinstance(b, str)):
            raise UnsupportedOperation(f"unit {self.unit.name}: a product with a constant; use plain numbers")
        return self._make(name, shape, self._number(a), self._number(b))

    def _matrix_product(self, node: torch.fx.Node, a: Value, b: Value, shape: Shape) -> Value:
        (rows, inner), (_, columns) = self._shape(a), self._shape(b)
        if inner == 1:
            return self._elementwise(node, "mul", [a, b], shape)
        if columns == 1:
            found = self._product("mv", a, self._view(node, "view", b, (inner,)), (rows,))
        elif rows == 1:
            found = self._product("mv", self._swap(b), self._view(node, "view", a, (inner,)), (columns,))
        else:
            raise UnsupportedOperation(
                f"unit {self.unit.name} multiplies two matrices ({node.target}); products of a matrix and a vector can be fused"
            )
        return self._view(node, "view", found, shape)
