"""Learners beside the best one: their outputs and the Bayes predictor's on the same sequences.

Given the pairs before it, y differs from the Bayes predictor's m, the posterior mean, by something that no learner can know.
So the mean of (f - m)^2 over test sequences *is* the expected error of outputs f above the floor. It is never negative, and the
luck of the test sequences, by which even m may do better than its own expectation, is not in it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn.config import Config
from learning_to_learn.training.curves import error_curves
from learning_to_learn.training.sequences import Sequences

KEPT = 4
"""Test sets whose predictions a process keeps: the jobs of a sweep share them."""
_kept: dict[tuple[Any, ...], Tensor] = {}


@dataclass(frozen=True)
class Errors:
    """What R learners do on N test sequences."""

    curves: np.ndarray
    """The mean squared error at every cycle, [R, T]"""
    excess: np.ndarray
    """The mean squared difference to the Bayes predictor over each sequence, [R, N]"""
    steps: np.ndarray
    """The cycles after which each sequence is learnt, [R, N], see `steps_to_learn`"""


def measure_outputs(
    outputs: Float[Tensor, "R N T"],
    targets: Float[Tensor, "1 N T"],
    best: Float[Tensor, "1 N T"],
    length: int,
    threshold: float,
) -> Errors:
    """Compare the outputs of R learners with the targets and with the Bayes predictor's outputs.

    Of streams of several mappings each counts as a sequence of `length` cycles, but for the first, as in `error_curves`.
    """
    wrong, above = (_folded((outputs - other).square_(), length) for other in (targets, best))
    return Errors(
        error_curves(outputs, targets, length),
        above.mean(-1, dtype=torch.float64).numpy(),
        steps_to_learn(wrong, threshold).numpy(),
    )


def join_errors(found: list[Errors]) -> Errors:
    """Return what several pieces of a data set say together."""
    counts = [piece.excess.shape[1] for piece in found]
    curves = np.average([piece.curves for piece in found], axis=0, weights=counts) if len(found) > 1 else found[0].curves
    return Errors(curves, *(np.concatenate([getattr(p, key) for p in found], 1) for key in ("excess", "steps")))


def steps_to_learn(wrong: Float[Tensor, "R N T"], threshold: float) -> Float[Tensor, "R N"]:
    """Return the first cycle, from 1, from which the squared error of a sequence stays at or below the threshold.

    A sequence whose last error is still above it counts as T + 1.
    """
    # The first of the reversed cycles that is above it; `argmax` of a bool would be slower than of bytes.
    above = (~(wrong <= threshold)).flip(-1).to(torch.uint8)
    last = wrong.shape[-1] - above.argmax(-1)
    return torch.where(above.any(-1).bool(), last + 1, 1).double()


def _folded(values: Float[Tensor, "R N S"], length: int) -> Float[Tensor, "R M T"]:
    """Streams as the sequences they are made of, without the first of each; other sequences as they are."""
    folded = values.unflatten(-1, (-1, length))
    return (folded[:, :, 1:] if folded.shape[2] > 1 else folded).flatten(1, 2)


def bayes_outputs(config: Config, data: Sequences) -> Float[Tensor, "1 N T"]:
    """Return the Bayes predictor's outputs on the test data of a configuration, computed once in a process.

    It knows where a new mapping begins, also in a stream.
    """
    family, length = config.family.make(test=True), config.family.sequence_length
    key = (type(family), family.floor_key, length, config.evaluation.seed, tuple(data.targets.shape))
    if key not in _kept:
        x, y = (v[0].reshape(-1, length, *v.shape[3:]) for v in (data.inputs[..., :2], data.targets))
        mappings = data.mappings.reshape(len(y), -1)
        if len(_kept) == KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = family.bayes(mappings, x, y).reshape(data.targets.shape)
    return _kept[key]
