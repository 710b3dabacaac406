"""The network's inputs, x and the target before, in one pass over memory instead of three."""

from learning_to_learn.compiled import compiled, prange


@compiled(parallel=True)
def interleave(x, y, nothing, stacked, inputs):
    """x [S, T, d] and the targets of the cycles before, from y [S, T, m], into inputs [S, T, d + m].

    `nothing` is y[0], the target before the first cycle. With `stacked` the inputs are [S, T, 2 d + m]: x[t-1], which is 0
    before the first cycle, stands between x[t] and the target.
    """
    d, m = x.shape[2], y.shape[2]
    first = 2 * d if stacked else d
    for s in prange(y.shape[0]):
        for t in range(y.shape[1]):
            for i in range(d):
                inputs[s, t, i] = x[s, t, i]
            if stacked:
                for i in range(d):
                    inputs[s, t, d + i] = x[s, t - 1, i] if t else 0.0
            for i in range(m):
                inputs[s, t, first + i] = y[s, t - 1, i] if t else nothing
