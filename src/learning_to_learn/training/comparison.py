"""Outputs beside the targets and beside the Bayes predictor's, in one pass over memory instead of nine."""

import math

from learning_to_learn.compiled import compiled, prange
from learning_to_learn.losses import SURE

SQUARED, BINARY, CLASSES = 0, 1, 2
"""Kinds of loss: mean squared, the log loss of truth values, the log loss of a class."""


def kind_of(output: str, loss: str) -> int:
    """Return the kind of loss of these output neurons."""
    return SQUARED if loss == "squared" else CLASSES if output == "softmax" else BINARY


@compiled()
def _loss(outputs, targets, n, s, kind):  # noqa: ANN202 - compiled
    """The loss of outputs [N, S, m] where the targets are [N, S, m], of sequence n at cycle s."""
    total, m = 0.0, outputs.shape[2]
    for i in range(m):
        if kind == SQUARED:
            error = outputs[n, s, i] - targets[n, s, i]
            total += float(error) * float(error)
        else:
            f, y = float(outputs[n, s, i]), float(targets[n, s, i])
            if f < SURE:  # NaN stays
                f = SURE
            elif f > 1 - SURE:
                f = 1 - SURE
            total -= y * math.log(f)
            if kind == BINARY:
                total -= (1 - y) * math.log(1 - f)
    return total / m if kind == SQUARED else total


@compiled(parallel=True)
def compare(outputs, targets, best, kind, length, first, threshold, curves, excess, steps):
    """Add up the losses of outputs [R, N, S, m], of streams of S / length sequences, from the `first` sequence of each on.

    targets [N, S, m], best [M, S, m]; into curves [R, length] the losses, into excess [R, M kept] the expected losses above
    those of `best`, into steps [R, N kept] the cycle from which on the loss is at most the threshold.
    """
    streams, cycles = targets.shape[0], targets.shape[1]
    for r in prange(outputs.shape[0]):
        said = outputs[r]
        sequence = 0
        for n in range(streams):
            for start in range(first * length, cycles, length):
                above = 0.0
                for t in range(length):
                    loss = _loss(said, targets, n, start + t, kind)
                    curves[r, t] += loss
                    if not loss <= threshold:
                        steps[r, sequence] = t + 2
                if n < best.shape[0]:
                    for t in range(length):
                        above += _loss(said, best, n, start + t, kind)
                        if kind != SQUARED:
                            above -= _loss(best, best, n, start + t, kind)
                    excess[r, sequence] = above
                sequence += 1
