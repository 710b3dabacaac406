"""The network's inputs, x and the target before, in one pass over memory instead of three."""

from learning_to_learn.compiled import compiled, prange


@compiled(parallel=True)
def interleave(x, y, nothing, stacked, inputs):
    """x [S, T, d] and the targets of the cycles before, from y [S, T, m], into inputs [S, T, d + m].

    `nothing` is y[0], the target before the first cycle. With `stacked` the inputs are [S, T, 2 d + m]: x[t-1], which is 0
    before the first cycle, stands between x[t] and the target.
    """
    d, m, length = x.shape[2], y.shape[2], y.shape[1]
    first = 2 * d if stacked else d
    for s in prange(y.shape[0]):
        # Cycles innermost: there are many of them, and few inputs.
        for i in range(d):
            for t in range(length):
                inputs[s, t, i] = x[s, t, i]
        if stacked:
            for i in range(d):
                inputs[s, 0, d + i] = 0.0
                for t in range(1, length):
                    inputs[s, t, d + i] = x[s, t - 1, i]
        for i in range(m):
            inputs[s, 0, first + i] = nothing
            for t in range(1, length):
                inputs[s, t, first + i] = y[s, t - 1, i]
