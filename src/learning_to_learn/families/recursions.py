"""What a family draws cycle by cycle, compiled: in torch, a sequence of T cycles takes T calls for every operation.

The first axis of an array is that of the sequences. Numbers have the type of the uniform ones that they came from.
"""

import numpy as np

from learning_to_learn.compiled import compiled

SIDE_BY_SIDE = 16
"""Sequences that go through the cycles together: a step waits for the one before, but not for those of other sequences."""


@compiled()
def symbols_of_a_chain(thresholds, toss, found):
    """Write symbols, one-hot, into `found` [N, T, m], which is zero: each is how many of its context's thresholds are reached.

    `thresholds` [N, C, m - 1] are of the C contexts: the symbols before, read as digits. `toss` [N, T] is uniform in [0, 1).
    """
    sequences, cycles, classes = found.shape
    for n in range(sequences):
        context = 0
        for t in range(cycles):
            symbol = 0
            for i in range(classes - 1):
                symbol += toss[n, t] >= thresholds[n, context, i]
            found[n, t, symbol] = 1
            context = (context * classes + symbol) % thresholds.shape[1]


@compiled()
def drifting(path, stays, moves):
    """Make steps [N, T, d] into the path they lead along: p[t] = stays p[t-1] + moves s[t], and p[0] = s[0]."""
    for first in range(0, path.shape[0], SIDE_BY_SIDE):
        for t in range(1, path.shape[1]):
            for n in range(first, min(path.shape[0], first + SIDE_BY_SIDE)):
                for i in range(path.shape[2]):
                    path[n, t, i] = stays * path[n, t - 1, i] + moves * path[n, t, i]


@compiled()
def rotating(noise, cos, sin, new):
    """Return the first coordinate [N, T] of points that are turned, damped, and moved by `noise` [N, T, 2 or more].

    `cos` and `sin` [N] are of the turn times the damping, `new` [N] multiplies the noise. The first point is noise.
    """
    found = np.empty(noise.shape[:2], noise.dtype)
    other = np.empty(noise.shape[0], noise.dtype)
    for first in range(0, noise.shape[0], SIDE_BY_SIDE):
        rows = range(first, min(noise.shape[0], first + SIDE_BY_SIDE))
        for n in rows:
            found[n, 0], other[n] = noise[n, 0, 0], noise[n, 0, 1]
        for t in range(1, noise.shape[1]):
            for n in rows:
                a, b = found[n, t - 1], other[n]
                found[n, t] = cos[n] * a - sin[n] * b + new[n] * noise[n, t, 0]
                other[n] = sin[n] * a + cos[n] * b + new[n] * noise[n, t, 1]
    return found


@compiled(error_model="numpy")
def rectified_sums(x, weights, found):
    """Write into `found` [N, T] what H rectified units say of x [N, T, d]. `weights` [N, H, d + 1] end with those of outputs.

    The cycles are innermost, so that the sums are vectors.
    """
    sequences, cycles, inputs = x.shape
    along, total, sums = np.empty((inputs, cycles), x.dtype), np.empty(cycles, x.dtype), np.empty(cycles, x.dtype)
    for n in range(sequences):
        sums[:] = 0
        for t in range(cycles):
            for i in range(inputs):
                along[i, t] = x[n, t, i]
        for h in range(weights.shape[1]):
            total[:] = 0
            for i in range(inputs):
                weight = weights[n, h, i]
                for t in range(cycles):
                    total[t] += along[i, t] * weight
            weight = weights[n, h, inputs]
            for t in range(cycles):
                sums[t] += (abs(total[t]) + total[t]) * weight  # twice the positive part, without a branch
        for t in range(cycles):
            found[n, t] = sums[t] / 2
