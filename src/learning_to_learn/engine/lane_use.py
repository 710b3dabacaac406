"""How sequences fill the lanes of a kernel: replica by replica, or one after the other whatever replica they are of."""

import math

LANES = 16
"""Sequences that a kernel runs side by side: one AVX-512 register of float32, two of AVX2, four of NEON."""
FULL = 0.65
"""The share of lanes in use up to which mixed lanes are faster, though each weight is then LANES numbers."""
MOST_PARAMETERS = 2000
"""The size of a network up to which its parameters, once for every lane, stay in the core's cache."""


def mixes_lanes(batch: int | None, parameters: int, *, forward_mode: bool) -> bool:
    """Whether lanes hold sequences of any replicas, in updates of `batch` sequences: where else too many would be idle.

    It depends on nothing but a replica alone, so that its numbers are the same whatever is trained beside it.
    """
    if batch is None or forward_mode:  # the columns of sensitivities are of one replica
        return False
    return batch / (math.ceil(batch / LANES) * LANES) <= FULL and parameters <= MOST_PARAMETERS


def blocks_of_lanes(replicas: int, batch: int, *, mixed: bool) -> int:
    """How many blocks of lanes an update of `replicas` times `batch` sequences takes."""
    return math.ceil(replicas * batch / LANES) if mixed else replicas * math.ceil(batch / LANES)
