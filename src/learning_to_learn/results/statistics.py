"""Statistics over replicas and families: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".

Scores are matrices [replicas, families]; one that is NaN ranks below every number. A bootstrap is stratified: it draws replicas
anew within each family. Nothing depends on the order in which the replicas stand.
"""

import numpy as np

from learning_to_learn.training.metrics import ranked

RESAMPLES = 2000
"""Resamples of a bootstrap of means."""
PERMUTATIONS = 9999
"""The most ways to swap pairs that a permutation test looks at; up to 13 pairs are all of them."""
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


def paired_interval(a: np.ndarray, b: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval (percentiles) of median(a) - median(b) of paired scores [n]; pairs are drawn anew."""
    rows = np.random.default_rng(seed).integers(len(a), size=(resamples, len(a)))
    low, high = _percentiles(np.median(a[rows], axis=1) - np.median(b[rows], axis=1))
    return float(low), float(high)


def paired_p(a: np.ndarray, b: np.ndarray, *, resamples: int = PERMUTATIONS, seed: int = 0) -> float:
    """Return the two-sided p of median(a) - median(b) of paired scores [n], where a pair may be swapped.

    It is exact where all 2^n ways to swap are at most `resamples`. Source: scipy.stats.permutation_test.
    """
    from scipy.stats import permutation_test

    def difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.median(x, axis=axis) - np.median(y, axis=axis)

    found = permutation_test(
        (a, b), difference, permutation_type="samples", vectorized=True, n_resamples=resamples, rng=np.random.default_rng(seed)
    )
    return float(found.pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values [m] after Holm's step-down correction for m comparisons (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1.0)
    return found
