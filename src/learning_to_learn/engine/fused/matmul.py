"""Print small matrix products on lanes. The three functions serve every topology, so they are compiled once a machine.

Flat arrays; row r of a matrix of lanes starts at `base + r * stride`. Weights are scalars in flat arrays, or, in a module for
mixed lanes, LANES numbers side by side, one for each lane. Sums stay in registers, in tiles that use each load several times.
"""

from collections.abc import Iterable

from learning_to_learn.engine.fused.source import Source

ROWS = (12, 4, 1)
"""Heights of the tiles of a product, tallest first: 12 sums, a weight and a source fit the 16 or 32 vector registers."""
SQUARE = 4
"""Side of the tiles of an outer product: 16 sums, each of whose loads serves four of them."""

HEAD = '''"""Printed by learning_to_learn.engine.fused.matmul; do not edit."""

from numba import njit

from learning_to_learn.engine.fused.lanes import LANES, fill, fma, load, splat, store, total
from learning_to_learn.engine.fused.options import CACHED, OPTIONS
'''
PRODUCT = '''
@njit("void(F[::1], i8, i8, F[::1], i8, i8, F[::1], i8, i8, i8, i8, b1)", **CACHED, forceinline=True)
def product(out, o, out_stride, p, w, column, source, b, stride, rows, terms, accumulate):
    """out[r] = (out[r] if accumulate else 0) + sum over k < terms of W[r, k] source[k], for r < rows.

    W[r, k] is the weight number r + k * column behind `p[w]`: the weights of neighbouring rows lie side by side, so that no
    address waits for another.
    """'''
PAIR = '''
@njit(**OPTIONS, forceinline=True)
def product_pair(out, o, out_next, p, w, column, source, b, stride, source_next, rows, terms, accumulate):
    """`product` for two sources at once, `source_next` and `out_next` elements apart, that share each load of a weight.

    Rows of `out` are LANES apart. It is compiled into its caller, with the caller's constants: for innermost loops.
    """'''
OUTER = '''
@njit("void(F[::1], i8, i8, F[::1], i8, i8, F[::1], i8, i8, i8, i8, i8)", **CACHED, forceinline=True)
def outer(g, w, row, error, a, error_stride, source, b, stride, rows, terms, steps):
    """Weight number r * row + k behind g[w] += sum over j < steps of error[r, j] source[k, j], and over lanes, unless they are
    mixed; step j is LANES elements on.
    """'''


def print_matmul(real: str, rows: Iterable[int] = ROWS, square: int = SQUARE, *, mixed: bool = False) -> str:
    """The source of a module with `product`, `outer` and `product_pair` for numbers of type `real`."""
    rows = tuple(rows)
    tall = tuple(height for height in rows if height > 1)
    functions = [
        PRODUCT, *_product(tall, "out_stride", ("a",), mixed), *_single_rows(mixed), "",
        OUTER, *_outer(square, mixed), "",
    ]  # fmt: skip
    if not mixed:  # the loops that take two sources at once are those of rtrl, whose lanes are never mixed
        functions += [PAIR, *_product(rows, "LANES", ("a", "b"), mixed), ""]
    return "\n".join([HEAD, *functions]).replace("F[", f"{real}[")


def _weight(index: str, mixed: bool) -> str:
    """A weight of `p` in every lane."""
    return f"load(p, {index})" if mixed else f"splat(p, {index})"


def _weights(count: str, mixed: bool) -> str:
    """The elements that so many weights take."""
    return f"{count} * LANES" if mixed else count


def _product(heights: tuple[int, ...], out_stride: str, sums: tuple[str, ...], mixed: bool) -> list[str]:
    """The body of a product for one source, or for two: `sums` names the accumulators of each."""
    s = Source()
    s.add("zero = fill(out, 0.0)", "r = 0")
    apart = ("", "_next")
    for height in heights:
        with s.block(f"while r + {height} <= rows:"):
            s.add(
                " = ".join(f"{a}{i}" for i in range(height) for a in sums) + " = zero",
                f"i = w + {_weights('r', mixed)}",
                "n = b",
            )
            with s.block("for _ in range(terms):"):
                s.add(*(f"x_{a} = load(source, n{' + source' + x if x else ''})" for a, x in zip(sums, apart, strict=False)))
                for i in range(height):
                    weight = _weight(f"i + {_weights(str(i), mixed)}", mixed)
                    s.add(f"weight = {weight}", *(f"{a}{i} = fma(weight, x_{a}, {a}{i})" for a in sums))
                s.add(f"i += {_weights('column', mixed)}", "n += stride")
            s.add(f"i = o + r * {out_stride}")
            places = [
                (f"{a}{i}", f"i + {i} * {out_stride}{' + out' + x if x else ''}")
                for i in range(height)
                for a, x in zip(sums, apart, strict=False)
            ]
            with s.block("if accumulate:"):
                s.add(*(f"{total} += load(out, {place})" for total, place in places))
            s.add(*(f"store(out, {place}, {total})" for total, place in places), f"r += {height}")
    return s.lines


def _single_rows(mixed: bool) -> list[str]:
    """The rows that no tile of `product` covers: a single sum begins with what is there, and needs no second pass."""
    s = Source()
    with s.block("while r < rows:"):
        s.add("a0 = load(out, o + r * out_stride) if accumulate else zero")
        with s.block("for k in range(terms):"):
            weight = _weight(f"w + {_weights('(r + k * column)', mixed)}", mixed)
            s.add(f"a0 = fma({weight}, load(source, b + k * stride), a0)")
        s.add("store(out, o + r * out_stride, a0)", "r += 1")
    return s.lines


def _outer(side: int, mixed: bool) -> list[str]:
    """The body of the outer product: square tiles, then what is left of their rows, then what is left of the matrix."""
    s = Source()
    s.add("zero = fill(error, 0.0)", "r = 0")
    for height in (side, 1):
        with s.block(f"while r + {height} <= rows:"):
            s.add("e = a + r * error_stride", "k = 0")
            for width in (side, 1) if height > 1 else (1,):
                with s.block(f"while k + {width} <= terms:"):
                    _outer_tile(s, height, width, mixed)
                    s.add(f"k += {width}")
            s.add(f"r += {height}")
    return s.lines


def _outer_tile(s: Source, height: int, width: int, mixed: bool) -> None:
    tile = [[f"g{i}{k}" for k in range(width)] for i in range(height)]
    s.add("s = b + k * stride", *(" = ".join(row) + " = zero" for row in tile))
    with s.block("for j in range(steps):"):
        s.add("n = j * LANES", *(f"x{k} = load(source, s + {k} * stride + n)" for k in range(width)))
        for i, row in enumerate(tile):
            s.add(f"e{i} = load(error, e + {i} * error_stride + n)")
            s.add(*(f"{total} = fma(e{i}, x{k}, {total})" for k, total in enumerate(row)))
    s.add(f"i = w + {_weights('(r * row + k)', mixed)}")
    for row in tile:
        for k, total in enumerate(row):
            at = f"i + {_weights(str(k), mixed)}"
            s.add(f"store(g, {at}, load(g, {at}) + {total})" if mixed else f"g[{at}] += total({total})")
        s.add(f"i += {_weights('row', mixed)}")
