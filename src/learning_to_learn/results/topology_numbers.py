"""What the comparison of topologies counts: cells of arch and family, interquartile means, performance profiles."""

import numpy as np
import pandas as pd

from learning_to_learn.results.statistics import (
    interquartile_interval,
    interquartile_mean,
    performance_profile,
    profile_interval,
)
from learning_to_learn.training.metrics import median, success_interval

PROFILE_RESAMPLES = 500
"""Resamples of the bootstrap of profiles, which are only drawn."""
THRESHOLDS = np.linspace(0.0, 1.0, 51)


def study_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every arch, gradient and family; `low` and `high` are Wilson's 95 % interval of the success rate."""
    rows = []
    for (arch, gradient, family), cell in frame.groupby(["arch.name", "arch.gradient", "family.name"], sort=False):
        low, high = success_interval(int(cell["success"].sum()), len(cell))
        rows.append(
            {"arch": arch, "gradient": gradient, "family": family, "replicas": len(cell),
             "success_rate": cell["success"].mean(), "low": low, "high": high,
             "score_median": median(cell["score"].to_numpy(), worst=-np.inf), "seconds": cell["seconds"].sum()}
        )  # fmt: skip
    return pd.DataFrame(rows)


def score_matrices(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return for each arch its scores [replicas, families], of those archs that have as many replicas of every family."""
    families = list(dict.fromkeys(frame["family.name"]))
    found = {}
    for arch, rows in frame.groupby("arch.name", sort=False):
        columns = [rows[rows["family.name"] == f].sort_values("seed")["score"].to_numpy() for f in families]
        if len({len(c) for c in columns}) == 1 and len(columns[0]):
            found[str(arch)] = np.stack(columns, 1)
    return found


def interquartile_means(matrices: dict[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Return each arch's interquartile mean over replicas and families, with its 95 % stratified bootstrap interval."""
    return {arch: (interquartile_mean(scores), *interquartile_interval(scores)) for arch, scores in matrices.items()}


def performance_profiles(matrices: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return for each arch the part of its runs that score above each of THRESHOLDS [51], and its interval [2, 51]."""
    profiles = {arch: performance_profile(scores, THRESHOLDS) for arch, scores in matrices.items()}
    return profiles, {a: profile_interval(s, THRESHOLDS, resamples=PROFILE_RESAMPLES) for a, s in matrices.items()}
