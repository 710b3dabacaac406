import numpy as np
import pytest

from learning_to_learn.families import Floor
from learning_to_learn.families.boolean import Boolean
from learning_to_learn.training.metrics import measure, success_interval, summarise

FLOOR = Floor(0.25, 0.0, 0.05, 0.0)


def test_score_runs_from_no_learning_to_the_optimum():
    assert measure(np.full(10, 0.25), FLOOR, 5).score == pytest.approx(0)
    assert measure(np.full(10, 0.05), FLOOR, 5).score == pytest.approx(1)
    assert not measure(np.full(10, 0.071), FLOOR, 5).success
    assert measure(np.full(10, 0.069), FLOOR, 5).success


def test_cycles_to_learn_is_the_first_cycle_from_which_the_error_stays_low():
    curve = np.array([0.25, 0.02, 0.03, 0.02, 0.02])
    assert measure(curve, FLOOR, 2).cycles_to_learn == 4
    assert measure(np.full(5, 0.02), FLOOR, 2).cycles_to_learn == 1
    assert measure(np.array([0.0, 0.0, 0.3]), FLOOR, 2).cycles_to_learn is None
    assert measure(np.array([0.0, np.nan]), FLOOR, 1).cycles_to_learn is None


def test_the_optimal_boolean_learner_needs_nine_examples():
    """At cycle t it has seen t - 1; (3/4)^8 = 0.1001 is just too much, so that cycle 10 is the first."""
    curve = np.array([0.25 * 0.75**t for t in range(256)])
    found = measure(curve, Boolean().floor(256), 10)
    assert found.cycles_to_learn == 10
    assert found.score == pytest.approx(1, abs=1e-6)
    assert found.mse_after_learning == pytest.approx(curve[10:].mean())


def test_a_diverged_replica_fails():
    found = measure(np.full(5, np.nan), FLOOR, 2)
    assert not found.success
    assert found.cycles_to_learn is None


def test_wilsons_interval():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert success_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert success_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_medians_and_ranges():
    curves = [np.full(4, v) for v in (0.05, 0.06, 0.25)]
    found = summarise([measure(c, FLOOR, 2) for c in curves], FLOOR)
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert found["mse_median"] == pytest.approx(0.06)
    assert (found["mse_min"], found["mse_max"]) == pytest.approx((0.05, 0.25))
    assert found["cycles_to_learn"] is None  # none of them is ever below a tenth


def test_nan_ranks_worst():
    """The medians of 0.05, 0.06 and a replica that is worse than any number."""
    curves = [np.full(4, v) for v in (np.nan, 0.05, 0.06)]
    for order in ([0, 1, 2], [1, 0, 2], [1, 2, 0]):
        found = summarise([measure(curves[i], FLOOR, 2) for i in order], FLOOR)
        assert found["mse_median"] == pytest.approx(0.06)
        assert found["mse_after_learning"] == pytest.approx(0.06)
        assert found["score_median"] == pytest.approx(0.95)
        assert found["mse_min"] == pytest.approx(0.05)
        assert np.isnan(found["mse_max"])
        assert found["worse_than_no_learning"] == 1


def test_the_median_of_replicas_without_a_number_is_none():
    found = summarise([measure(np.full(4, v), FLOOR, 2) for v in (np.nan, np.nan, 0.05)], FLOOR)
    assert np.isnan(found["score_median"])
    assert np.isnan(found["mse_median"])


@pytest.mark.parametrize(("level", "count"), [(0.2, 0), (0.25, 0), (0.26, 3), (np.inf, 3)])
def test_replicas_that_are_worse_than_no_learning_are_counted(level, count):
    found = summarise([measure(np.full(4, level), FLOOR, 2)] * 3, FLOOR)
    assert found["worse_than_no_learning"] == count
    assert found["score_median"] < 0 or not count or level == np.inf
