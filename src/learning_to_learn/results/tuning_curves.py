"""How hard an arch is to tune: the best score that so many random settings are expected to find, and the luck of a draw."""

import warnings
from dataclasses import dataclass

import numpy as np

from learning_to_learn.results.statistics import CONFIDENCE, RESAMPLES


@dataclass(frozen=True)
class TuningCurve:
    """The expected best of k random settings, k = 1..K."""

    expected: np.ndarray
    """[K]"""
    low: np.ndarray
    """The lower band, [K]: with 95 % confidence the curve of the true distribution of scores lies between both bands."""
    high: np.ndarray


def tuning_curve(scores: np.ndarray) -> TuningCurve:
    """Return the tuning curve of the scores [K] of independent random settings; scores are taken to lie in [0, 1].

    The bands hold for any distribution and for all k at once: they come from the Kolmogorov-Smirnov bands of the distribution
    function, which are exact for every K (Lourie, Cho & He 2024, "Show your work with confidence"; their library opda).
    """
    from opda.nonparametric import EmpiricalDistribution

    ys, ks = np.clip(np.nan_to_num(scores, nan=0.0), 0.0, 1.0), np.arange(1, len(scores) + 1)
    with warnings.catch_warnings():
        # Settings that find nothing have equal scores, for which the bands are wider than they need be (Noether 1963).
        warnings.filterwarnings("ignore", "Duplicates detected", RuntimeWarning)
        # The lower band of the distribution function has the larger scores.
        high, point, low = EmpiricalDistribution.confidence_bands(ys, CONFIDENCE, a=0.0, b=1.0, method="ks")
    return TuningCurve(*(np.asarray(one.average_tuning_curve(ks)) for one in (point, low, high)))


def redrawn_choices(validation: np.ndarray, count: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Return which of K settings is the best on validation data in each of `count` draws of K settings with replacement.

    Archs whose k-th setting is the same draw are given the same `seed`, so that they are drawn anew together.
    """
    scores = np.nan_to_num(validation, nan=-np.inf)
    drawn = np.random.default_rng(seed).integers(len(scores), size=(count, len(scores)))
    return drawn[np.arange(count), scores[drawn].argmax(1)]
