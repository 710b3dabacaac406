"""Clipping by the norm, and the detection of gradients that are not finite: compiled, for all optimizers."""

import math

from numba import njit


@njit(cache=True, inline="always")
def shrink(gradient, clip):
    """What the gradient of a replica must be multiplied with to be no longer than `clip`; NaN where it is not finite."""
    square = 0.0
    for g in gradient:
        square += g * g
    norm = math.sqrt(square)
    if not math.isfinite(norm):
        return math.nan
    return clip / norm if norm > clip else 1.0
