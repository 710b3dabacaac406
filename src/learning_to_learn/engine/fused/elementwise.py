"""Print traced operations: a statement for each, in the words of the target's operation table."""

from collections.abc import Mapping

from learning_to_learn.engine.fused.trace import Trace, UnsupportedOperation, Value

_FUNCTIONS = (
    "sigmoid", "tanh", "exp", "log", "sqrt", "sin", "cos", "erf", "log1p", "expm1", "maximum", "minimum",
)  # fmt: skip
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}

NUMBA: Mapping[str, str] = {
    **{f: f + ("({0}, {1})" if f in ("maximum", "minimum") else "({0})") for f in _FUNCTIONS},
    **{f: f"{{0}} {sign} {{1}}" for f, sign in _INFIX.items()},
    "neg": "negate({0})",
    "square": "{0} * {0}",
    "reciprocal": "1.0 / {0}",
    "rsqrt": "1.0 / sqrt({0})",
    "sigmoid_backward": "{0} * {1} * (1.0 - {1})",
    "tanh_backward": "{0} * (1.0 - {1} * {1})",
    "relu": "maximum({0}, 0.0)",
    "abs": "maximum({0}, negate({0}))",
    "sgn": "select({0} > 0.0, 1.0, select({0} < 0.0, -1.0, 0.0 * {0}))",
    "sign": "select({0} > 0.0, 1.0, select({0} < 0.0, -1.0, 0.0 * {0}))",
    "where": "select({0}, {1}, {2})",
    "logical_and": "both({0}, {1})",
    "logical_or": "either({0}, {1})",
    "logical_not": "opposite({0})",
    "constant": "fill(memory, {0})",
}
"""Every operation as numba source on values of type `Lanes`; `constant` makes such a value of a number."""


VECTORS: Mapping[str, str] = {**NUMBA, "exp": "quick_exp({0})", "expm1": "quick_exp({0}) - 1.0"}
"""The same for vector units, which have many exponentials: softmax, elu."""


def statements(
    trace: Trace, names: Mapping[str, str], prefix: str, table: Mapping[str, str] = NUMBA
) -> tuple[list[str], list[str | None]]:
    """The trace's statements and the expressions of its outputs (None: identically zero).

    `names` gives the variables that exist; those that the statements make get `prefix`, so that many traces can stand in
    one function. `table` has a form for every operation of the target. Raises UnsupportedOperation where it has none.
    """
    local, lines = dict(names), []

    def text(v: Value) -> str:
        return local[v] if isinstance(v, str) else repr(v)

    for op in trace.ops:
        if op.name in local:
            continue
        if op.function not in table:
            raise UnsupportedOperation(f"{op.function} has no form in the operation table")
        args = [text(a) for a in op.args]
        scalars = not any(isinstance(a, str) for a in op.args)
        if scalars or (op.function == "where" and not any(isinstance(a, str) for a in op.args[1:])):
            # One of a selection's two values must be a vector.
            args[-1] = table["constant"].format(args[-1])
        local[op.name] = prefix + op.name
        lines.append(f"{local[op.name]} = {table[op.function].format(*args)}")
    return lines, [None if v is None else text(v) for v in trace.outputs]
