"""Random numbers by counter: value j of (seed, stream, counter) is a pure function, the same in any batch of replicas.

This is what makes replica i of a job equal the same seed trained alone, a resumed run equal an unbroken one, and test
data unreachable for any training seed: nothing has a hidden position, and every stream has its own key. The mixing
function is splitmix64 (Steele, Lea & Flood 2014), whose published values a test checks.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from learning_to_learn.compiled import compiled, prange

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S40 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(40)


class Stream(IntEnum):
    """What random numbers are for. Streams of one seed never meet."""

    WEIGHTS = 1
    TRAIN = 2
    VALIDATION = 3
    TEST = 4
    CORPUS = 5


@compiled()
def mix(state: np.uint64) -> np.uint64:
    """The output of splitmix64 whose state was `state` before the call."""
    z = state + GOLDEN
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@compiled(parallel=True)
def _fill(keys, out):  # pragma: no cover - compiled
    n = out.shape[1]
    chunk = 8192
    pieces = (n + chunk - 1) // chunk
    for job in prange(keys.size * pieces):
        row, first = job // pieces, job % pieces * chunk
        for j in range(first, min(n, first + chunk)):
            out[row, j] = np.float32(mix(keys[row] + np.uint64(j) * GOLDEN) >> _S40) * np.float32(2.0**-24)


def _key(seed: int, stream: Stream, counter: int) -> np.uint64:
    words = (seed, int(stream), counter)
    key = np.uint64(0)
    for word in words:
        key = np.uint64(mix(key ^ np.uint64(word % 2**64)))
    return key


def uniform(seeds: Sequence[int], stream: Stream, counter: int, n: int) -> np.ndarray:
    """Uniform numbers in [0, 1), float32 of 24 random bits, shape [len(seeds), n]."""
    out = np.empty((len(seeds), n), np.float32)
    _fill(np.array([_key(seed, stream, counter) for seed in seeds], np.uint64), out)
    return out
