"""Epochs to success as survival curves: how many replicas have not yet succeeded, and whether two archs differ in it.

A replica that never succeeds is censored at its last epoch: all that is known is that it would take longer.
"""

import numpy as np

from learning_to_learn.training.metrics import SUCCESS


def epochs_to_success(epochs: np.ndarray, scores: np.ndarray) -> float:
    """Return the first look, of `epochs` [L], from which a replica's scores [L] stay at success; NaN where there is none.

    >>> epochs_to_success(np.array([10, 20, 30]), np.array([0.95, 0.5, 0.91]))
    30.0
    """
    below = np.flatnonzero(~(scores >= SUCCESS))
    first = below[-1] + 1 if len(below) else 0
    return float(epochs[first]) if first < len(epochs) else float("nan")


def survival(times: np.ndarray, last: float) -> tuple[np.ndarray, np.ndarray]:
    """Return epochs [K] and the part of replicas [K] that have not succeeded by then (Kaplan & Meier 1958), by scipy's `ecdf`.

    `times` [n] are NaN where a replica has not succeeded by epoch `last`.
    """
    from scipy.stats import CensoredData, ecdf

    censored = np.isnan(times)
    curve = ecdf(CensoredData.right_censored(np.where(censored, last, times), censored)).sf
    parts = np.concatenate([[1.0], curve.probabilities, curve.probabilities[-1:]])
    return np.concatenate([[0.0], curve.quantiles, [last]]), parts


def logrank_p(first: list[np.ndarray], second: list[np.ndarray], last: list[float]) -> float:
    """Return the two-sided p of the stratified log-rank test (Mantel 1966): do the replicas of two archs succeed equally soon?

    Each list has one array of epochs to success for every family, NaN where a replica has not succeeded by the family's `last`
    epoch. The observed and expected numbers of successes are summed over families. With one family it is scipy's `logrank`.
    NaN where nobody succeeds.
    """
    from scipy.stats import norm

    difference = variance = 0.0
    for a, b, end in zip(first, second, last, strict=True):
        times, mine = np.concatenate([a, b]), np.arange(len(a) + len(b)) < len(a)
        until = np.where(np.isnan(times), end, times)
        for time in np.unique(times[~np.isnan(times)]):
            at_risk = until >= time
            total, own = at_risk.sum(), (at_risk & mine).sum()
            events = (times == time).sum()
            difference += (mine & (times == time)).sum() - events * own / total
            if total > 1:
                variance += events * (own / total) * (1 - own / total) * (total - events) / (total - 1)
    return float(2 * norm.sf(abs(difference) / variance**0.5)) if variance > 0 else float("nan")
