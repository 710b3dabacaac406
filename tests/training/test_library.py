"""The library of learning algorithms, against loops and scikit-learn."""

import numpy as np
import pytest

from learning_to_learn.families import FAMILIES
from learning_to_learn.families.estimation import draw
from learning_to_learn.training.library import gradient_descent, least_mean_squares, library, nearest_neighbours, ridge


def pairs(seed=0, n=3, cycles=8, d=2):
    random = np.random.default_rng(seed)
    x, w = random.standard_normal((n, cycles, d)), random.standard_normal((n, d, 1))
    return x, x @ w + 0.1 * random.standard_normal((n, cycles, 1))


@pytest.mark.parametrize("steps", [1, 3])
def test_gradient_descent_on_all_pairs_so_far(steps):
    x, y = pairs()
    said = gradient_descent(steps, 0.2, x, y)
    for n in range(len(x)):
        for t in range(8):
            w = np.zeros(2)
            for _ in range(steps if t else 0):
                w -= 0.2 * x[n, :t].T @ (x[n, :t] @ w - y[n, :t, 0]) / t
            assert said[n, t, 0] == pytest.approx(x[n, t] @ w)


def test_many_steps_of_it_are_least_squares():
    x, y = pairs()
    expected = [x[n, -1] @ np.linalg.lstsq(x[n, :-1], y[n, :-1, 0], rcond=None)[0] for n in range(len(x))]
    np.testing.assert_allclose(gradient_descent(5000, 0.2, x, y)[:, -1, 0], expected, atol=1e-6)


def test_least_mean_squares_takes_a_step_a_pair():
    x, y = pairs()
    said = least_mean_squares(0.1, x, y)
    for n in range(len(x)):
        w = np.zeros(2)
        for t in range(8):
            assert said[n, t, 0] == pytest.approx(w @ x[n, t])
            w += 0.1 * (y[n, t, 0] - w @ x[n, t]) * x[n, t]


def test_ridge_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = pairs()
    said = ridge(0.7, x, y)
    for n in range(len(x)):
        for t in range(1, 8):
            model = linear_model.Ridge(alpha=0.7, fit_intercept=False).fit(x[n, :t], y[n, :t, 0])
            assert said[n, t, 0] == pytest.approx(model.predict(x[n, t : t + 1])[0])


@pytest.mark.parametrize("k", [1, 3])
def test_nearest_neighbours_are_scikit_learns(k):
    neighbors = pytest.importorskip("sklearn.neighbors")
    x, y = pairs()
    said = nearest_neighbours(k, x, y)
    assert (said[:, 0] == 0).all()
    for n in range(len(x)):
        for t in range(1, 8):
            model = neighbors.KNeighborsRegressor(min(k, t)).fit(x[n, :t], y[n, :t, 0])
            assert said[n, t, 0] == pytest.approx(model.predict(x[n, t : t + 1])[0])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_library_that_sees_nothing_of_what_comes_later(name):
    family = FAMILIES[name].from_config(FAMILIES[name].config())
    _, x, y = (v.numpy() if v is not None else v for v in draw(family, 7, 5, np.random.default_rng(0)))
    later = y.copy()
    later[:, 4:] = np.roll(later[:, 4:], 1, -1) if family.output_size > 1 else 1 - later[:, 4:]
    for title, learner in library(family, x, y).items():
        said = learner(x, y)
        assert said.shape == y.shape, title
        assert np.isfinite(said).all(), title
        if title != "no learning":
            np.testing.assert_allclose(said[:, :5], learner(x, later)[:, :5], atol=1e-9, err_msg=title)
