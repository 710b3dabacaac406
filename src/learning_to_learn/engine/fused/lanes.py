"""A SIMD vector as a numba type: LANES sequences side by side in one value, so that kernels need no loop over lanes.

Left to itself LLVM must find out that a loop over sequences can be vectorised, and gives up when it cannot prove that two
arrays do not overlap; compiling takes half a minute. With values that *are* vectors there is nothing to find out: sums stay
in registers, source is short, and compiles in seconds.

`load`, `store`, `prefetch`, `splat`, `fma`, `total`, `select`, `+ - * /`, comparisons, `maximum`, `minimum`, `tanh`, `sigmoid`
and the functions of `MATH` work inside numba functions on values of type `Lanes`. Indices are element numbers in flat arrays
and are not checked.
"""

import operator
from collections.abc import Callable

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, overload, register_model

from learning_to_learn.engine.lane_use import LANES

FAST = ("contract", "arcp", "nsz", "afn")
"""Fast, but NaN and infinity stay what they are: a replica that diverges must show it.

No "reassoc": the code that a first run has compiled and the code that the next one loads from disk have been optimized once
and twice, so that sums may be put in another order only where there is but one way to do it.
"""
TREE = ("reassoc", *FAST)
"""For the sum over the lanes, which would else be one long chain."""


class Lanes(types.Type):
    """LANES numbers of one float type."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


class Mask(types.Type):
    """LANES truth values."""

    def __init__(self) -> None:
        super().__init__(name="Mask")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes):
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, LANES))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, mask):
        super().__init__(manager, mask, ir.VectorType(ir.IntType(1), LANES))


def _splat(builder, scalar, vector_type):
    undefined = ir.Constant(vector_type, ir.Undefined)
    zero = ir.Constant(ir.IntType(32), 0)
    first = builder.insert_element(undefined, scalar, zero)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, mask)


def _as_lanes(context, builder, lanes, value, value_type):
    """A vector of the wanted type: `value` itself, or a scalar in every lane."""
    if isinstance(value_type, Lanes):
        return value
    vector = context.get_value_type(lanes)
    return _splat(builder, context.cast(builder, value, value_type, lanes.dtype), vector)


def _address(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _typed(builder, pointer, vector):
    return builder.bitcast(pointer, vector.as_pointer())


def _llvm(builder, name, lanes, result, arguments):
    """LLVM's own function of that name on vectors of `lanes`."""
    symbol = f"llvm.{name}.v{LANES}f{lanes.dtype.bitwidth}"
    known = builder.module.globals.get(symbol)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), symbol)


@intrinsic
def load(_context, array, index):
    """The LANES elements of a flat array from `index` on."""

    def generate(context, builder, sig, args):
        vector = context.get_value_type(sig.return_type)
        pointer = _typed(builder, _address(context, builder, sig.args[0], *args), vector)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.intp), generate


@intrinsic
def store(_context, array, index, value):
    """Put LANES elements, or a scalar LANES times, into a flat array from `index` on."""

    def generate(context, builder, sig, args):
        lanes = Lanes(array.dtype)
        content = _as_lanes(context, builder, lanes, args[2], sig.args[2])
        vector = context.get_value_type(lanes)
        pointer = _typed(builder, _address(context, builder, sig.args[0], args[0], args[1]), vector)
        builder.store(content, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def prefetch(_context, array, index):
    """Ask for the cache line of element `index` of a flat array, or of what lies there beside it; nothing is read."""

    def generate(context, builder, sig, args):
        number = ir.IntType(32)
        pointer = builder.bitcast(_address(context, builder, sig.args[0], *args), ir.IntType(8).as_pointer())
        symbol = "llvm.prefetch.p0"
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = builder.module.globals.get(symbol) or ir.Function(builder.module, kind, symbol)
        to_read, keep_it_near, data = number(0), number(3), number(1)
        builder.call(function, [pointer, to_read, keep_it_near, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def splat(_context, array, index):
    """One element of a flat array in every lane."""

    def generate(context, builder, sig, args):
        scalar = builder.load(_address(context, builder, sig.args[0], *args))
        return _splat(builder, scalar, context.get_value_type(sig.return_type))

    return Lanes(array.dtype)(array, types.intp), generate


@intrinsic
def fill(_context, array, number):
    """A number in every lane, of the array's type."""

    def generate(context, builder, sig, args):
        return _as_lanes(context, builder, sig.return_type, args[1], sig.args[1])

    return Lanes(array.dtype)(array, number), generate


@intrinsic
def fma(_context, a, b, c):
    """a * b + c, in one instruction where the machine has it."""

    def generate(context, builder, sig, args):
        lanes = sig.return_type
        values = [_as_lanes(context, builder, lanes, v, t) for v, t in zip(args, sig.args, strict=True)]
        vector = context.get_value_type(lanes)
        return builder.call(_llvm(builder, "fmuladd", lanes, vector, [vector] * 3), values, fastmath=FAST)

    return next(t for t in (a, b, c) if isinstance(t, Lanes))(a, b, c), generate


@intrinsic
def total(_context, a):
    """The sum over the lanes."""

    def generate(context, builder, sig, args):
        vector, scalar = context.get_value_type(a), context.get_value_type(a.dtype)
        function = _llvm(builder, "vector.reduce.fadd", a, scalar, [scalar, vector])
        return builder.call(function, [ir.Constant(scalar, -0.0), args[0]], fastmath=TREE)

    return a.dtype(a), generate


@intrinsic
def select(_context, mask, a, b):
    """Lane by lane a where the mask is true, else b."""
    lanes = a if isinstance(a, Lanes) else b

    def generate(context, builder, sig, args):
        one = _as_lanes(context, builder, lanes, args[1], sig.args[1])
        other = _as_lanes(context, builder, lanes, args[2], sig.args[2])
        return builder.select(args[0], one, other)

    return lanes(mask, a, b), generate


@intrinsic
def negate(_context, a):
    """-a."""
    return a(a), lambda context, builder, sig, args: builder.fneg(args[0], flags=FAST)


def _binary(function: Callable, build: Callable, result: Callable[[Lanes], types.Type]) -> None:
    """Give a Python operator a meaning on Lanes, also with a scalar on one side."""

    class Template(AbstractTemplate):
        def generic(self, args, _kws):
            lanes = next((a for a in args if isinstance(a, Lanes)), None)
            if lanes is None or len(args) != 2:
                return None
            return signature(result(lanes), *args)

    infer_global(function)(Template)

    def generate(context, builder, sig, args):
        lanes = next(a for a in sig.args if isinstance(a, Lanes))
        return build(builder, *(_as_lanes(context, builder, lanes, v, t) for v, t in zip(args, sig.args, strict=True)))

    for left, right in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(function, left, right)(generate)


for _function, _name in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
    (operator.iadd, "fadd"), (operator.isub, "fsub"), (operator.imul, "fmul"), (operator.itruediv, "fdiv"),
):  # fmt: skip
    _binary(_function, lambda builder, a, b, name=_name: getattr(builder, name)(a, b, flags=FAST), lambda lanes: lanes)
for _function, _sign in (
    (operator.gt, ">"), (operator.ge, ">="), (operator.lt, "<"), (operator.le, "<="), (operator.eq, "=="), (operator.ne, "!="),
):  # fmt: skip
    _binary(_function, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b), lambda _: Mask())


@intrinsic
def both(_context, a, b):
    """Lane by lane: a and b."""
    return a(a, b), lambda context, builder, sig, args: builder.and_(*args)


@intrinsic
def either(_context, a, b):
    """Lane by lane: a or b."""
    return a(a, b), lambda context, builder, sig, args: builder.or_(*args)


@intrinsic
def opposite(_context, a):
    """Lane by lane: not a."""
    return a(a), lambda context, builder, sig, args: builder.not_(args[0])


@njit(forceinline=True)
def maximum(a, b):
    """The larger, lane by lane; NaN in `a` stays."""
    return select(a < b, b, a)


@njit(forceinline=True)
def minimum(a, b):
    """The smaller, lane by lane; NaN in `a` stays."""
    return select(a > b, b, a)


def _math(name: str) -> Callable:
    """A function of libm, applied lane by lane: exact, but one call a lane."""

    @intrinsic
    def function(_context, a):
        def generate(context, builder, sig, args):
            scalar = context.get_value_type(a.dtype)
            symbol = name + ("f" if a.dtype.bitwidth == 32 else "")
            known = builder.module.globals.get(symbol)
            call = known or ir.Function(builder.module, ir.FunctionType(scalar, [scalar]), symbol)
            out = args[0]
            for i in range(LANES):
                place = ir.Constant(ir.IntType(32), i)
                out = builder.insert_element(out, builder.call(call, [builder.extract_element(args[0], place)]), place)
            return out

        return a(a), generate

    return function


MATH = {name: _math(name) for name in ("exp", "log", "sin", "cos", "erf", "log1p", "expm1", "tanh")}
exp, log, sin, cos, erf, log1p, expm1 = (MATH[n] for n in ("exp", "log", "sin", "cos", "erf", "log1p", "expm1"))
exact_tanh = MATH["tanh"]


@intrinsic
def sqrt(_context, a):
    """The square root, lane by lane."""

    def generate(context, builder, sig, args):
        vector = context.get_value_type(a)
        return builder.call(_llvm(builder, "sqrt", a, vector, [vector]), args)

    return a(a), generate


def tanh(x):
    """The hyperbolic tangent. float32: a rational approximation, |error| < 4e-7 (tested); float64: libm's."""
    raise NotImplementedError("only inside numba functions")


def sigmoid(x):
    """The logistic function, (1 + tanh(x / 2)) / 2; |error| < 2e-7 in float32."""
    raise NotImplementedError("only inside numba functions")


def quick_exp(x):
    """exp(x). float32: a polynomial, relative error < 3e-7 (tested), 0 below -87, infinite above 88; float64: libm's."""
    raise NotImplementedError("only inside numba functions")


@intrinsic
def _two_to(_context, n):
    """2 to the n, for whole n from -126 to 127, float32."""

    def generate(_context, builder, _sig, args):
        whole = ir.VectorType(ir.IntType(32), LANES)
        bias, mantissa = (ir.Constant(whole, [number] * LANES) for number in (127, 23))
        bits = builder.shl(builder.add(builder.fptosi(args[0], whole), bias), mantissa)
        return builder.bitcast(bits, args[0].type)

    return n(n), generate


@overload(quick_exp, jit_options={"forceinline": True})
def _quick_exp(x):
    return _polynomial_exp if x.dtype == types.float32 else (lambda x: exp(x))  # noqa: PLW0108 - numba wants a Python function


def _polynomial_exp(x):
    """2^n times a polynomial of the rest, with the coefficients of Cephes."""
    within = select(x > -87.0, select(x < 88.0, x, 88.0), -87.0)
    n = (within * 1.44269504088896341 + 12582912.0) - 12582912.0  # rounds, as float32 has no digits left behind the point
    r = fma(n, 2.12194440e-4, fma(n, -0.693359375, within))
    p = fma(r, 1.9875691500e-4, 1.3981999507e-3)
    p = fma(p, r, 8.3334519073e-3)
    p = fma(p, r, 4.1665795894e-2)
    p = fma(p, r, 1.6666665459e-1)
    p = fma(p, r, 5.0000001201e-1)
    y = (fma(p, r * r, r) + 1.0) * _two_to(n)
    y = select(x < -87.0, 0.0, select(x > 88.0, 1e400, y))
    return select(x == x, y, x)  # noqa: PLR0124 - NaN stays


@overload(tanh, jit_options={"forceinline": True})
def _tanh(x):
    return _rational_tanh if x.dtype == types.float32 else (lambda x: exact_tanh(x))  # noqa: PLW0108 - numba wants a Python function


@overload(sigmoid, jit_options={"forceinline": True})
def _sigmoid(x):
    return lambda x: 0.5 * tanh(0.5 * x) + 0.5


def _rational_tanh(x):
    """Degree 13 over degree 6, the coefficients that Eigen and XLA use; beyond the bound tanh is +-1 in float32."""
    x = select(x < -7.90531110763549805, -7.90531110763549805, x)
    x = select(x > 7.90531110763549805, 7.90531110763549805, x)
    s = x * x
    p = fma(s, -2.76076847742355e-16, 2.00018790482477e-13)
    p = fma(p, s, -8.60467152213735e-11)
    p = fma(p, s, 5.12229709037114e-08)
    p = fma(p, s, 1.48572235717979e-05)
    p = fma(p, s, 6.37261928875436e-04)
    p = fma(p, s, 4.89352455891786e-03)
    q = fma(s, 1.19825839466702e-06, 1.18534705686654e-04)
    q = fma(q, s, 2.26843463243900e-03)
    q = fma(q, s, 4.89352518554385e-03)
    return p * x / q
