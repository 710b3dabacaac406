"""Clipping by the norm, and the detection of gradients that are not finite: compiled, for all optimizers."""

import math

import numpy as np

from learning_to_learn.compiled import compiled


@compiled()
def shrink(gradient, clip, alive):
    """Return the factors [R] that shorten the gradient [R, P] of each replica to its norm in `clip` [R], where it is longer.

    A replica whose gradient is not finite is alive no more.
    """
    factors = np.ones(gradient.shape[0])
    for r in range(gradient.shape[0]):
        square = 0.0
        for g in gradient[r]:
            square += g * g
        norm = math.sqrt(square)
        if not math.isfinite(norm):
            alive[r] = False
        elif norm > clip[r]:
            factors[r] = clip[r] / norm
    return factors
