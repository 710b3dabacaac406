"""Learners beside the best one: their outputs and the Bayes predictor's on the same sequences.

Given the pairs before it, y differs from the Bayes predictor's m, the posterior mean, by something that no learner can know.
So the mean of (f - m)^2 over test sequences *is* the expected error of outputs f above the floor; with the log loss that is the
mean of KL(m || f). It is never negative, and the luck of the test sequences, by which even m may do better than its own
expectation, is not in it.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn import families
from learning_to_learn.compiled import cache_folder
from learning_to_learn.config import Config
from learning_to_learn.families import Family
from learning_to_learn.training.comparison import compare, kind_of
from learning_to_learn.training.sequences import Sequences

KEPT = 4
"""Test sets whose predictions a process keeps: the jobs of a sweep share them."""
SLOW = 10**9
"""A family of which fewer sequences can be predicted in seconds has a slow predictor."""
_kept: dict[tuple[Any, ...], Tensor] = {}


@dataclass(frozen=True)
class Errors:
    """What R learners do on N test sequences."""

    curves: np.ndarray
    """The mean loss at every cycle, [R, T]"""
    excess: np.ndarray
    """The mean expected loss above the Bayes predictor's over each of the first M sequences, [R, M]"""
    steps: np.ndarray
    """The cycle from which each sequence is learnt, [R, N], see `measure_outputs`"""


def measure_outputs(
    family: Family,
    outputs: Float[Tensor, "R N T m"],
    targets: Float[Tensor, "1 N T m"],
    best: Float[Tensor, "1 M T m"],
    length: int,
    threshold: float,
) -> Errors:
    """Compare the outputs of R learners with the targets, and with the Bayes predictor's outputs on the first M sequences.

    A sequence is learnt from the first cycle on, counted from 1, from which its loss stays at or below the threshold;
    T + 1 where its last loss is above it. Of streams of several mappings each counts as a sequence of `length` cycles, but for
    the first, as in `error_curves`. Raises ValueError where the shapes do not go together.
    """
    replicas, count, cycles, _ = outputs.shape
    if outputs.shape[1:] != targets.shape[1:] or best.shape[1] > count:
        raise ValueError(f"outputs {tuple(outputs.shape)}, targets {tuple(targets.shape)}, best {tuple(best.shape)}: unequal")
    in_a_row = cycles // length
    first, kept = (1, in_a_row - 1) if in_a_row > 1 else (0, 1)
    curves = np.zeros((replicas, length))
    excess, steps = np.zeros((replicas, best.shape[1] * kept)), np.ones((replicas, count * kept))
    arrays = (v.contiguous().numpy() for v in (outputs, targets[0], best[0]))
    compare(*arrays, kind_of(family.output, family.loss), length, first, threshold, curves, excess, steps)
    return Errors(curves / steps.shape[1], excess / length, steps)


def join_errors(found: list[Errors]) -> Errors:
    """Return what several pieces of a data set say together."""
    counts = [piece.steps.shape[1] for piece in found]
    curves = np.average([piece.curves for piece in found], axis=0, weights=counts) if len(found) > 1 else found[0].curves
    return Errors(curves, *(np.concatenate([getattr(p, key) for p in found], 1) for key in ("excess", "steps")))


def bayes_outputs(config: Config, data: Sequences) -> Float[Tensor, "1 M T m"]:
    """Return the Bayes predictor's outputs on the test data of a configuration: on all, or on as many as take seconds.

    They are computed once in a process, and where that takes long once on a machine. The predictor knows where a new mapping
    begins, also in a stream.
    """
    family, length = config.family.make(test=True), config.family.length(test=True)
    key = (type(family).__name__, family.floor_key, length, config.evaluation.seed, tuple(data.targets.shape))
    if key not in _kept:
        in_a_row = data.targets.shape[2] // length
        data = next(data.pieces(max(1, family.predictable // in_a_row)))
        x, y = (v[0].reshape(v.shape[1] * in_a_row, length, v.shape[3]) for v in (data.x, data.targets))
        mappings = data.mappings[0].flatten(0, 1) if in_a_row > 1 else data.mappings[0]
        if len(_kept) == KEPT:
            del _kept[next(iter(_kept))]
        slow = family.estimated() or family.predictable < SLOW
        stored = _stored(key) if slow and type(family).__module__.startswith("learning_to_learn.") else None
        known = family.certain_after or length
        _kept[key] = _predict(family, mappings, x, y, known, stored).reshape(data.targets.shape)
    return _kept[key]


def _predict(
    family: Family,
    mappings: Float[Tensor, "N E"],
    x: Float[Tensor, "N T d"],
    y: Float[Tensor, "N T m"],
    known: int,
    stored: Path | None,
) -> Float[Tensor, "N T m"]:
    """The Bayes predictions; those of the first `known` cycles, after which they are the truth, are kept in a file."""
    best = y.clone()
    if stored is not None:
        with suppress(OSError, ValueError):
            best[:, :known] = torch.from_numpy(np.load(stored, allow_pickle=False))
            return best
    best = family.bayes(mappings, x, y)
    if stored is not None:
        with suppress(OSError):  # a cache: where it cannot be written, the next job computes anew
            stored.parent.mkdir(parents=True, exist_ok=True)
            aside = stored.with_name(f".{stored.name}.{os.getpid()}.npy")
            np.save(aside, best[:, :known].numpy(), allow_pickle=False)
            aside.replace(stored)
    return best


def _stored(key: tuple[object, ...]) -> Path:
    """The file of these predictions; other predictors than today's would have other files."""
    code = b"".join(path.read_bytes() for path in sorted(Path(families.__file__).parent.glob("*.py")))
    return cache_folder() / "bayes" / f"{hashlib.sha256(repr(key).encode() + code).hexdigest()[:24]}.npy"
