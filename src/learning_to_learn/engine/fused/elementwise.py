"""Print traced operations as numba source: a statement for each, on values of type `Lanes`."""

from collections.abc import Mapping

from learning_to_learn.engine.fused.trace import Op, Trace, UnsupportedOperation, Value

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_FORMS = {
    "neg": "negate({0})",
    "rsub": "{1} - {0}",
    "square": "{0} * {0}",
    "reciprocal": "1.0 / {0}",
    "rsqrt": "1.0 / sqrt({0})",
    "sigmoid_backward": "{0} * {1} * (1.0 - {1})",
    "tanh_backward": "{0} * (1.0 - {1} * {1})",
    "relu": "maximum({0}, 0.0)",
    "threshold_backward": "select({1} > {2}, {0}, 0.0)",
    "abs": "maximum({0}, negate({0}))",
    "sgn": "select({0} > 0.0, 1.0, select({0} < 0.0, -1.0, 0.0 * {0}))",
    "sign": "select({0} > 0.0, 1.0, select({0} < 0.0, -1.0, 0.0 * {0}))",
    "maximum": "maximum({0}, {1})",
    "minimum": "minimum({0}, {1})",
    "clamp_min": "maximum({0}, {1})",
    "clamp_max": "minimum({0}, {1})",
    "where": "select({0}, {1}, {2})",
    "masked_fill": "select({1}, {2}, {0})",
    "logical_and": "both({0}, {1})",
    "logical_or": "either({0}, {1})",
    "logical_not": "opposite({0})",
}


def statements(trace: Trace, names: Mapping[str, str], prefix: str) -> tuple[list[str], list[str | None]]:
    """The trace's statements and the expressions of its outputs (None: identically zero).

    `names` gives the variables that exist; those that the statements make get `prefix`, so that many traces can stand in
    one function.
    """
    local, lines = dict(names), []

    def text(v: Value) -> str:
        return local[v] if isinstance(v, str) else repr(v)

    for op in trace.ops:
        if op.name not in local:
            args = [text(a) for a in op.args]
            if op.function == "where" and not any(isinstance(a, str) for a in op.args[1:]):
                args[1] = f"({args[1]} + 0.0 * {next(iter(names.values()))})"  # one of the two must be a vector
            local[op.name] = prefix + op.name
            lines.append(f"{local[op.name]} = {_expression(op, args)}")
    return lines, [None if v is None else text(v) for v in trace.outputs]


def _expression(op: Op, args: list[str]) -> str:
    f = op.function
    if f in _INFIX:
        return f"{args[0]} {_INFIX[f]} {args[1]}"
    if f in _FORMS:
        return _FORMS[f].format(*args)
    if f == "clamp":
        low, high = op.args[1], op.args[2] if len(op.args) > 2 else float("inf")
        out = args[0] if low == float("-inf") else f"maximum({args[0]}, {args[1]})"
        return out if high == float("inf") else f"minimum({out}, {args[2]})"
    if f == "pow":
        return _power(op, args)
    return f"{f}({args[0]})"


def _power(op: Op, args: list[str]) -> str:
    exponent = op.args[1]
    if isinstance(exponent, float) and exponent.is_integer() and 1 <= exponent <= 8:
        return " * ".join([args[0]] * int(exponent))
    if exponent == 0.5:
        return f"sqrt({args[0]})"
    raise UnsupportedOperation(f"a power of {exponent!r} cannot be fused: use whole numbers from 1 to 8, or 0.5")
