"""Small dense products on lanes: the same three compiled functions serve every topology.

Flat arrays; row r of a matrix of lanes starts at `base + r * stride`. Weights are scalars in flat arrays. Sums stay in
registers, in tiles that use each load several times.
"""

from numba import njit

from learning_to_learn.engine.fused.lanes import LANES, fill, fma, load, splat, store, total

OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False}
CACHED = OPTIONS | {"cache": True}


@njit(**CACHED)
def product(out, o, out_stride, p, w, column, source, b, stride, rows, terms, accumulate):
    """out[r] = (out[r] if accumulate else 0) + sum over k < terms of W[r, k] source[k], for r < rows.

    W[r, k] is `p[w + r + k * column]`: the weights of neighbouring rows lie side by side, so that no address waits for
    another.
    """
    zero = fill(out, 0.0)
    r = 0
    while r + 12 <= rows:
        a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = a9 = a10 = a11 = zero
        i = w + r
        n = b
        for _ in range(terms):
            x = load(source, n)
            a0 = fma(splat(p, i + 0), x, a0)
            a1 = fma(splat(p, i + 1), x, a1)
            a2 = fma(splat(p, i + 2), x, a2)
            a3 = fma(splat(p, i + 3), x, a3)
            a4 = fma(splat(p, i + 4), x, a4)
            a5 = fma(splat(p, i + 5), x, a5)
            a6 = fma(splat(p, i + 6), x, a6)
            a7 = fma(splat(p, i + 7), x, a7)
            a8 = fma(splat(p, i + 8), x, a8)
            a9 = fma(splat(p, i + 9), x, a9)
            a10 = fma(splat(p, i + 10), x, a10)
            a11 = fma(splat(p, i + 11), x, a11)
            i += column
            n += stride
        i = o + r * out_stride
        if accumulate:
            a0 += load(out, i + 0 * out_stride)
            a1 += load(out, i + 1 * out_stride)
            a2 += load(out, i + 2 * out_stride)
            a3 += load(out, i + 3 * out_stride)
            a4 += load(out, i + 4 * out_stride)
            a5 += load(out, i + 5 * out_stride)
            a6 += load(out, i + 6 * out_stride)
            a7 += load(out, i + 7 * out_stride)
            a8 += load(out, i + 8 * out_stride)
            a9 += load(out, i + 9 * out_stride)
            a10 += load(out, i + 10 * out_stride)
            a11 += load(out, i + 11 * out_stride)
        store(out, i + 0 * out_stride, a0)
        store(out, i + 1 * out_stride, a1)
        store(out, i + 2 * out_stride, a2)
        store(out, i + 3 * out_stride, a3)
        store(out, i + 4 * out_stride, a4)
        store(out, i + 5 * out_stride, a5)
        store(out, i + 6 * out_stride, a6)
        store(out, i + 7 * out_stride, a7)
        store(out, i + 8 * out_stride, a8)
        store(out, i + 9 * out_stride, a9)
        store(out, i + 10 * out_stride, a10)
        store(out, i + 11 * out_stride, a11)
        r += 12
    while r + 4 <= rows:
        a0 = a1 = a2 = a3 = zero
        i = w + r
        n = b
        for _ in range(terms):
            x = load(source, n)
            a0 = fma(splat(p, i + 0), x, a0)
            a1 = fma(splat(p, i + 1), x, a1)
            a2 = fma(splat(p, i + 2), x, a2)
            a3 = fma(splat(p, i + 3), x, a3)
            i += column
            n += stride
        i = o + r * out_stride
        if accumulate:
            a0 += load(out, i + 0 * out_stride)
            a1 += load(out, i + 1 * out_stride)
            a2 += load(out, i + 2 * out_stride)
            a3 += load(out, i + 3 * out_stride)
        store(out, i + 0 * out_stride, a0)
        store(out, i + 1 * out_stride, a1)
        store(out, i + 2 * out_stride, a2)
        store(out, i + 3 * out_stride, a3)
        r += 4
    while r < rows:
        a0 = load(out, o + r * out_stride) if accumulate else zero
        for k in range(terms):
            a0 = fma(splat(p, w + r + k * column), load(source, b + k * stride), a0)
        store(out, o + r * out_stride, a0)
        r += 1


@njit(**CACHED)
def outer(g, w, row, error, a, error_stride, source, b, stride, rows, terms, steps):
    """g[w + r * row + k] += sum over j < steps and lanes of error[r, j] source[k, j]; step j is LANES elements on."""
    zero = fill(error, 0.0)
    r = 0
    while r + 4 <= rows:
        e = a + r * error_stride
        k = 0
        while k + 4 <= terms:
            s = b + k * stride
            g00 = g01 = g02 = g03 = g10 = g11 = g12 = g13 = zero
            g20 = g21 = g22 = g23 = g30 = g31 = g32 = g33 = zero
            for j in range(steps):
                n = j * LANES
                x0 = load(source, s + n)
                x1 = load(source, s + stride + n)
                x2 = load(source, s + 2 * stride + n)
                x3 = load(source, s + 3 * stride + n)
                e0 = load(error, e + n)
                g00, g01, g02, g03 = fma(e0, x0, g00), fma(e0, x1, g01), fma(e0, x2, g02), fma(e0, x3, g03)
                e1 = load(error, e + error_stride + n)
                g10, g11, g12, g13 = fma(e1, x0, g10), fma(e1, x1, g11), fma(e1, x2, g12), fma(e1, x3, g13)
                e2 = load(error, e + 2 * error_stride + n)
                g20, g21, g22, g23 = fma(e2, x0, g20), fma(e2, x1, g21), fma(e2, x2, g22), fma(e2, x3, g23)
                e3 = load(error, e + 3 * error_stride + n)
                g30, g31, g32, g33 = fma(e3, x0, g30), fma(e3, x1, g31), fma(e3, x2, g32), fma(e3, x3, g33)
            i = w + r * row + k
            g[i] += total(g00)
            g[i + 1] += total(g01)
            g[i + 2] += total(g02)
            g[i + 3] += total(g03)
            i += row
            g[i] += total(g10)
            g[i + 1] += total(g11)
            g[i + 2] += total(g12)
            g[i + 3] += total(g13)
            i += row
            g[i] += total(g20)
            g[i + 1] += total(g21)
            g[i + 2] += total(g22)
            g[i + 3] += total(g23)
            i += row
            g[i] += total(g30)
            g[i + 1] += total(g31)
            g[i + 2] += total(g32)
            g[i + 3] += total(g33)
            k += 4
        while k < terms:
            s = b + k * stride
            g00 = g10 = g20 = g30 = zero
            for j in range(steps):
                n = j * LANES
                x0 = load(source, s + n)
                g00 = fma(load(error, e + n), x0, g00)
                g10 = fma(load(error, e + error_stride + n), x0, g10)
                g20 = fma(load(error, e + 2 * error_stride + n), x0, g20)
                g30 = fma(load(error, e + 3 * error_stride + n), x0, g30)
            i = w + r * row + k
            g[i] += total(g00)
            g[i + row] += total(g10)
            g[i + 2 * row] += total(g20)
            g[i + 3 * row] += total(g30)
            k += 1
        r += 4
    while r < rows:
        e = a + r * error_stride
        for k in range(terms):
            s = b + k * stride
            g00 = zero
            for j in range(steps):
                g00 = fma(load(error, e + j * LANES), load(source, s + j * LANES), g00)
            g[w + r * row + k] += total(g00)
        r += 1


@njit(**OPTIONS, forceinline=True)
def product_pair(out, o, out_next, p, w, column, source, b, stride, source_next, rows, terms, accumulate):
    """`product` for two sources at once, `source_next` and `out_next` elements apart, that share each load of a weight.

    Rows of `out` are LANES apart. It is compiled into its caller, with the caller's constants: for innermost loops.
    """
    zero = fill(out, 0.0)
    r = 0
    while r + 12 <= rows:
        a0 = b0 = a1 = b1 = a2 = b2 = a3 = b3 = a4 = b4 = a5 = b5 = zero
        a6 = b6 = a7 = b7 = a8 = b8 = a9 = b9 = a10 = b10 = a11 = b11 = zero
        i = w + r
        n = b
        for _ in range(terms):
            x = load(source, n)
            y = load(source, n + source_next)
            q = splat(p, i + 0)
            a0, b0 = fma(q, x, a0), fma(q, y, b0)
            q = splat(p, i + 1)
            a1, b1 = fma(q, x, a1), fma(q, y, b1)
            q = splat(p, i + 2)
            a2, b2 = fma(q, x, a2), fma(q, y, b2)
            q = splat(p, i + 3)
            a3, b3 = fma(q, x, a3), fma(q, y, b3)
            q = splat(p, i + 4)
            a4, b4 = fma(q, x, a4), fma(q, y, b4)
            q = splat(p, i + 5)
            a5, b5 = fma(q, x, a5), fma(q, y, b5)
            q = splat(p, i + 6)
            a6, b6 = fma(q, x, a6), fma(q, y, b6)
            q = splat(p, i + 7)
            a7, b7 = fma(q, x, a7), fma(q, y, b7)
            q = splat(p, i + 8)
            a8, b8 = fma(q, x, a8), fma(q, y, b8)
            q = splat(p, i + 9)
            a9, b9 = fma(q, x, a9), fma(q, y, b9)
            q = splat(p, i + 10)
            a10, b10 = fma(q, x, a10), fma(q, y, b10)
            q = splat(p, i + 11)
            a11, b11 = fma(q, x, a11), fma(q, y, b11)
            i += column
            n += stride
        i = o + r * LANES
        if accumulate:
            a0 += load(out, i + 0 * LANES)
            b0 += load(out, i + 0 * LANES + out_next)
            a1 += load(out, i + 1 * LANES)
            b1 += load(out, i + 1 * LANES + out_next)
            a2 += load(out, i + 2 * LANES)
            b2 += load(out, i + 2 * LANES + out_next)
            a3 += load(out, i + 3 * LANES)
            b3 += load(out, i + 3 * LANES + out_next)
            a4 += load(out, i + 4 * LANES)
            b4 += load(out, i + 4 * LANES + out_next)
            a5 += load(out, i + 5 * LANES)
            b5 += load(out, i + 5 * LANES + out_next)
            a6 += load(out, i + 6 * LANES)
            b6 += load(out, i + 6 * LANES + out_next)
            a7 += load(out, i + 7 * LANES)
            b7 += load(out, i + 7 * LANES + out_next)
            a8 += load(out, i + 8 * LANES)
            b8 += load(out, i + 8 * LANES + out_next)
            a9 += load(out, i + 9 * LANES)
            b9 += load(out, i + 9 * LANES + out_next)
            a10 += load(out, i + 10 * LANES)
            b10 += load(out, i + 10 * LANES + out_next)
            a11 += load(out, i + 11 * LANES)
            b11 += load(out, i + 11 * LANES + out_next)
        store(out, i + 0 * LANES, a0)
        store(out, i + 0 * LANES + out_next, b0)
        store(out, i + 1 * LANES, a1)
        store(out, i + 1 * LANES + out_next, b1)
        store(out, i + 2 * LANES, a2)
        store(out, i + 2 * LANES + out_next, b2)
        store(out, i + 3 * LANES, a3)
        store(out, i + 3 * LANES + out_next, b3)
        store(out, i + 4 * LANES, a4)
        store(out, i + 4 * LANES + out_next, b4)
        store(out, i + 5 * LANES, a5)
        store(out, i + 5 * LANES + out_next, b5)
        store(out, i + 6 * LANES, a6)
        store(out, i + 6 * LANES + out_next, b6)
        store(out, i + 7 * LANES, a7)
        store(out, i + 7 * LANES + out_next, b7)
        store(out, i + 8 * LANES, a8)
        store(out, i + 8 * LANES + out_next, b8)
        store(out, i + 9 * LANES, a9)
        store(out, i + 9 * LANES + out_next, b9)
        store(out, i + 10 * LANES, a10)
        store(out, i + 10 * LANES + out_next, b10)
        store(out, i + 11 * LANES, a11)
        store(out, i + 11 * LANES + out_next, b11)
        r += 12
    while r + 4 <= rows:
        a0 = b0 = a1 = b1 = a2 = b2 = a3 = b3 = zero
        i = w + r
        n = b
        for _ in range(terms):
            x = load(source, n)
            y = load(source, n + source_next)
            q = splat(p, i + 0)
            a0, b0 = fma(q, x, a0), fma(q, y, b0)
            q = splat(p, i + 1)
            a1, b1 = fma(q, x, a1), fma(q, y, b1)
            q = splat(p, i + 2)
            a2, b2 = fma(q, x, a2), fma(q, y, b2)
            q = splat(p, i + 3)
            a3, b3 = fma(q, x, a3), fma(q, y, b3)
            i += column
            n += stride
        i = o + r * LANES
        if accumulate:
            a0 += load(out, i + 0 * LANES)
            b0 += load(out, i + 0 * LANES + out_next)
            a1 += load(out, i + 1 * LANES)
            b1 += load(out, i + 1 * LANES + out_next)
            a2 += load(out, i + 2 * LANES)
            b2 += load(out, i + 2 * LANES + out_next)
            a3 += load(out, i + 3 * LANES)
            b3 += load(out, i + 3 * LANES + out_next)
        store(out, i + 0 * LANES, a0)
        store(out, i + 0 * LANES + out_next, b0)
        store(out, i + 1 * LANES, a1)
        store(out, i + 1 * LANES + out_next, b1)
        store(out, i + 2 * LANES, a2)
        store(out, i + 2 * LANES + out_next, b2)
        store(out, i + 3 * LANES, a3)
        store(out, i + 3 * LANES + out_next, b3)
        r += 4
    while r + 1 <= rows:
        a0 = b0 = zero
        i = w + r
        n = b
        for _ in range(terms):
            x = load(source, n)
            y = load(source, n + source_next)
            q = splat(p, i + 0)
            a0, b0 = fma(q, x, a0), fma(q, y, b0)
            i += column
            n += stride
        i = o + r * LANES
        if accumulate:
            a0 += load(out, i + 0 * LANES)
            b0 += load(out, i + 0 * LANES + out_next)
        store(out, i + 0 * LANES, a0)
        store(out, i + 0 * LANES + out_next, b0)
        r += 1
