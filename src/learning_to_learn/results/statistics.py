"""Statistics over replicas and families: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice".

Scores are matrices [replicas, families]; one that is NaN ranks below every number. A bootstrap is stratified: it draws replicas
anew within each family. Nothing depends on the order in which the replicas stand.
"""

from statistics import NormalDist

import numpy as np

from learning_to_learn.training.metrics import ranked

RESAMPLES = 2000
"""Resamples of a bootstrap of means."""
PERMUTATIONS = 9999
"""The most ways to swap pairs that a permutation test looks at; up to 13 pairs are all of them."""
CONFIDENCE = 0.95
EXACT = 16
"""The most seeds of which all ways to swap are looked at."""
ROUNDING = 1e-12
"""Sums that are equal but for rounding count as equal."""


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


def seed_p(differences: np.ndarray, *, resamples: int = PERMUTATIONS, seed: int = 0) -> float:
    """Return the two-sided p of a mean difference over seeds, [n]: the two scores of a seed may be swapped in all families.

    It is exact where all 2^n ways to swap are at most 2^16, else they are drawn, and the observed one counts among them
    (Phipson & Smyth 2010). scipy's permutation test of paired samples is the same test, and takes a hundred times longer.
    """
    count, observed = len(differences), abs(differences.sum())
    if count <= EXACT:
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
        return float(np.mean(np.abs(sums) >= observed * (1 - ROUNDING)))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(resamples, count))
    return float((1 + np.sum(np.abs(signs @ differences) >= observed * (1 - ROUNDING))) / (1 + resamples))


def probability_better(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Return how probable it is that a replica of `a` scores above one of `b`, and its 95 % interval; ties count half.

    Scores are [replicas, families]; the probability is the mean over families. The interval is the score interval of Newcombe
    (2006, method 5) for one family, its variance divided by the number of families: it is no point where one side always wins.
    """
    a, b = ranked(a, worst=-np.inf), ranked(b, worst=-np.inf)
    above = np.mean(a[:, None] > b[None], axis=(0, 1)) + np.mean(a[:, None] == b[None], axis=(0, 1)) / 2
    found, (m, n), families = float(above.mean()), (len(a), len(b)), a.shape[1]
    half = (m + n) / 2 - 1
    grid = np.linspace(0.0, 1.0, 20_001)
    variance = grid * (1 - grid) * (1 + half * ((1 - grid) / (2 - grid) + grid / (1 + grid))) / (m * n * families)
    inside = grid[(found - grid) ** 2 <= NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2 * variance]
    return found, min(found, float(inside.min(initial=found))), max(found, float(inside.max(initial=found)))


def on_the_frontier(costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return which of n things no other one beats, by costing no more and scoring no less, and one of both strictly.

    >>> on_the_frontier(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.4, 0.9])).tolist()
    [True, False, True]
    """
    cheaper, better = costs[:, None] <= costs, scores[:, None] >= scores
    strictly = (costs[:, None] < costs) | (scores[:, None] > scores)
    return ~np.any(cheaper & better & strictly, axis=0)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values [m] after Holm's step-down correction for m comparisons (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1.0)
    return found
