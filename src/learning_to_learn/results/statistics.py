"""Statistics over replicas and families: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".

Scores are matrices [replicas, families]; one that is NaN ranks below every number. A bootstrap is stratified: it draws replicas
anew within each family. Nothing depends on the order in which the replicas stand.
"""

import numpy as np

from learning_to_learn.training.metrics import ranked

RESAMPLES = 2000
"""Resamples of a bootstrap of means."""
CONFIDENCE = 0.95


def interquartile_mean(scores: np.ndarray) -> float:
    """Return the mean of the middle half of all scores, of all families together."""
    return float(_middle_means(ranked(scores, worst=-np.inf)[None])[0])


def interquartile_interval(scores: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % stratified bootstrap interval of the interquartile mean."""
    low, high = _percentiles(_middle_means(_resampled(scores, resamples, seed)))
    return float(low), float(high)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the part of all runs that score above each of the thresholds, [K]."""
    return np.mean(scores.reshape(-1, 1) > thresholds, axis=0)  # NaN is above none


def profile_interval(scores: np.ndarray, thresholds: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Return the 95 % stratified bootstrap interval of the performance profile, [2, K]."""
    return _percentiles(np.stack([performance_profile(s, thresholds) for s in _resampled(scores, resamples, seed)]))


def _middle_means(samples: np.ndarray) -> np.ndarray:
    from scipy.stats import trim_mean

    return trim_mean(samples.reshape(len(samples), -1), 0.25, axis=1)


def _resampled(scores: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return so many matrices, each with as many replicas drawn, with replacement, from every family's own."""
    ordered = np.sort(ranked(scores, worst=-np.inf), axis=0)  # else the draws would depend on the order of the replicas
    rows = np.random.default_rng(seed).integers(len(ordered), size=(count, *ordered.shape))
    return np.take_along_axis(ordered[None], rows, axis=1)


def _percentiles(samples: np.ndarray) -> np.ndarray:
    tail = 50 * (1 - CONFIDENCE)
    with np.errstate(invalid="ignore"):  # no number lies between minus infinity and another
        return ranked(np.percentile(samples, [tail, 100 - tail], axis=0), worst=-np.inf)
