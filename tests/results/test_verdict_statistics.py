"""The statistics of verdicts against scipy, closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from learning_to_learn.results.statistics import on_the_frontier, probability_better, seed_p
from learning_to_learn.results.survival import epochs_to_success, logrank_p, survival
from learning_to_learn.results.tuning_curves import redrawn_choices, tuning_curve

NAN = float("nan")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(3))
def test_swapping_seeds_is_scipys_permutation_test_of_pairs(seed):
    a, b = rng(seed).random((2, 8)) + np.array([[0.2], [0.0]])
    found = stats.permutation_test((a, b), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples", n_resamples=np.inf)
    assert seed_p(a - b) == pytest.approx(found.pvalue)


def test_the_least_p_is_that_of_all_signs_equal():
    assert seed_p(np.full(16, 0.3)) == 2 / 2**16
    assert seed_p(np.zeros(16)) == 1.0


def test_drawn_swaps_agree_with_all_of_them():
    differences = rng(3).normal(0.3, 1, 17)
    sums = np.zeros(1)
    for one in differences:
        sums = np.concatenate([sums + one, sums - one])
    exact = np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-9)
    assert seed_p(differences) == pytest.approx(exact, abs=0.015)


def test_where_nothing_differs_p_is_below_a_level_that_often():
    p = np.array([seed_p(rng(seed).normal(size=10)) for seed in range(400)])
    assert abs(np.mean(p <= 0.05) - 0.05) < 3 * (0.05 * 0.95 / 400) ** 0.5


def test_the_probability_of_being_better_is_that_of_mann_and_whitney():
    a, b = rng(0).integers(0, 6, (2, 16, 1)) / 5
    u = stats.mannwhitneyu(a[:, 0], b[:, 0]).statistic
    assert probability_better(a, b)[0] == pytest.approx(u / 256)
    assert probability_better(b, a)[0] == pytest.approx(1 - u / 256)


def test_one_side_that_always_wins_has_an_interval_all_the_same():
    found, low, high = probability_better(np.full((16, 1), 0.9), np.full((16, 1), 0.1))
    assert (found, high) == (1.0, 1.0)
    assert 0.75 < low < 0.95


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_its_interval_covers_the_truth(shift):
    truth = stats.norm.cdf(shift / 2**0.5)
    draws = rng(1).normal(size=(300, 2, 16, 1)) + np.array([shift, 0.0])[:, None, None]
    covered = [low <= truth <= high for _, low, high in (probability_better(*draw) for draw in draws)]
    assert np.mean(covered) > 0.92


def test_the_frontier_has_what_nobody_beats():
    costs, scores = np.array([1.0, 2.0, 2.0, 3.0, 3.0]), np.array([0.5, 0.9, 0.8, 0.9, 0.95])
    assert on_the_frontier(costs, scores).tolist() == [True, True, False, False, True]


def test_success_counts_from_the_look_from_which_it_stays():
    epochs = np.array([10, 20, 30, 40])
    assert epochs_to_success(epochs, np.array([0.95, 0.2, 0.91, 0.99])) == 30
    assert epochs_to_success(epochs, np.full(4, 0.9)) == 10
    assert np.isnan(epochs_to_success(epochs, np.array([0.95, 0.95, 0.95, 0.89])))
    assert np.isnan(epochs_to_success(epochs, np.array([0.95, NAN, 0.95, NAN])))


def test_a_survival_curve_by_hand():
    epochs, left = survival(np.array([10.0, 20.0, 20.0, NAN]), 40.0)
    assert dict(zip(epochs.tolist(), left.tolist(), strict=True)) == pytest.approx({0: 1, 10: 0.75, 20: 0.25, 40: 0.25})


def times(seed, scale, count=12, last=50.0):
    drawn = np.ceil(rng(seed).exponential(scale, count))
    return np.where(drawn > last, NAN, drawn)


def scipys(a, b, last=50.0):
    return stats.logrank(*(stats.CensoredData.right_censored(np.nan_to_num(t, nan=last), np.isnan(t)) for t in (a, b)))


@pytest.mark.parametrize("seed", range(4))
def test_with_one_family_it_is_scipys_logrank(seed):
    a, b = times(seed, 20.0), times(seed + 100, 50.0)
    assert logrank_p([a], [b], [50.0]) == pytest.approx(scipys(a, b).pvalue)


def test_equal_families_add_up():
    a, b = times(0, 20.0), times(7, 30.0)
    alone = stats.norm.isf(logrank_p([a], [b], [50.0]) / 2)
    assert stats.norm.isf(logrank_p([a] * 4, [b] * 4, [50.0] * 4) / 2) == pytest.approx(2 * alone)


def test_where_nobody_succeeds_there_is_nothing_to_test():
    assert np.isnan(logrank_p([np.full(4, NAN)], [np.full(4, NAN)], [50.0]))


def test_the_expected_best_of_k_is_the_mean_over_all_draws_of_k():
    scores = np.array([0.1, 0.4, 0.7])
    expected = [np.mean([max(draw) for draw in np.stack(np.meshgrid(*[scores] * k), -1).reshape(-1, k)]) for k in (1, 2, 3)]
    assert tuning_curve(scores).expected == pytest.approx(expected)


def test_the_bands_hold_the_true_curve():
    """Of uniform scores the best of k is k / (k + 1) in the mean."""
    truth = np.arange(1, 13) / np.arange(2, 14)
    found = [tuning_curve(rng(seed).random(12)) for seed in range(200)]
    inside = [bool(np.all((curve.low <= truth) & (truth <= curve.high))) for curve in found]
    assert np.mean(inside) >= 0.93
    assert all(np.all((curve.low <= curve.expected) & (curve.expected <= curve.high)) for curve in found)


def test_settings_that_diverge_count_as_nothing_found():
    assert tuning_curve(np.array([NAN, -3.0, 0.5])).expected[0] == pytest.approx(0.5 / 3)


def test_settings_drawn_anew_have_the_best_as_often_as_they_should():
    validation = np.array([0.1, 0.9, NAN, 0.5])
    chosen = redrawn_choices(validation, 20_000)
    assert np.mean(chosen == 1) == pytest.approx(1 - 0.75**4, abs=0.015)
    assert np.mean(chosen == 2) == pytest.approx(0.25**4, abs=0.005)
