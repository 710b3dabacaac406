"""The statistics against hand computation and scipy."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from learning_to_learn.results.statistics import (
    interquartile_interval,
    interquartile_mean,
    performance_profile,
    profile_interval,
)

SCORES = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 10.0]])
THRESHOLDS = np.array([0.0, 0.4, 0.75, 20.0])


def test_the_interquartile_mean_is_that_of_the_middle_half():
    assert interquartile_mean(SCORES) == pytest.approx((0.3 + 0.4 + 0.7 + 0.8) / 4)


@pytest.mark.parametrize("shape", [(8, 3), (7, 3), (5, 1), (1, 1)])
def test_the_interquartile_mean_is_scipys_trimmed_mean(shape):
    scores = np.random.default_rng(1).normal(size=shape)
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores.ravel(), 0.25))


def test_equal_scores_have_an_interval_without_width():
    assert interquartile_interval(np.full((6, 2), 0.5)) == (0.5, 0.5)


def test_the_bootstrap_draws_within_families():
    """Replicas of a family are equal, and so every draw is the data."""
    scores = np.tile([0.0, 0.4, 0.6, 9.0], (5, 1))
    assert interquartile_interval(scores) == pytest.approx((0.5, 0.5))
    np.testing.assert_allclose(profile_interval(scores, THRESHOLDS), [performance_profile(scores, THRESHOLDS)] * 2)


def test_the_interval_is_that_of_the_mean_where_it_is_known():
    """Of normal scores the interquartile mean has a standard error of 1.09 / sqrt(n), from its asymptotic variance of 1.195."""
    scores = np.random.default_rng(2).normal(size=(400, 1))
    low, high = interquartile_interval(scores)
    assert high - low == pytest.approx(2 * 1.96 * 1.09 / 20, rel=0.15)


def test_a_profile_by_hand():
    np.testing.assert_allclose(performance_profile(SCORES, THRESHOLDS), [1, 4 / 8, 3 / 8, 0])


def test_the_order_of_replicas_does_not_matter():
    random = np.random.default_rng(3)
    scores = random.normal(size=(16, 3))
    other = random.permuted(scores, axis=0)
    assert interquartile_mean(scores) == pytest.approx(interquartile_mean(other), abs=1e-15)
    assert interquartile_interval(scores) == interquartile_interval(other)
    np.testing.assert_array_equal(profile_interval(scores, THRESHOLDS), profile_interval(other, THRESHOLDS))


def test_nan_ranks_below_every_number():
    """A quarter of NaN is cut off with the worst quarter; wherever it stands; more of it makes the mean worse than any."""
    scores = np.array([[0.5, np.nan, 0.75, 0.25], [np.nan, 0.5, 0.25, 0.75]]).T
    assert interquartile_mean(scores) == pytest.approx(0.5 * (0.25 + 0.5))
    assert interquartile_mean(np.where(np.isnan(scores), -9.0, scores)) == interquartile_mean(scores)
    low, high = interquartile_interval(scores)
    assert low == -np.inf
    assert high < 0.75
    assert interquartile_mean(np.array([[np.nan, np.nan, np.nan, 1.0]]).T) == -np.inf
    np.testing.assert_allclose(performance_profile(scores, np.array([-1.0, 0.4])), [6 / 8, 4 / 8])
