"""Linear regression, also sparse and with drifting weights, against scikit-learn, filterpy and joint normal distributions."""

from itertools import combinations

import numpy as np
import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.families.drifting_regression import DriftingRegression
from learning_to_learn.families.estimation import draw
from learning_to_learn.families.linear_regression import LinearRegression

CYCLES = 9


def some(family, count=4, cycles=CYCLES, seed=0):
    return draw(family, cycles, count, np.random.default_rng(seed))


@pytest.mark.parametrize(("inputs", "noise"), [(1, 0.3), (3, 0.1), (5, 0.5)])
def test_linear_regression_is_scikit_learns(inputs, noise):
    """BayesianRidge, its two precisions held by priors that are as good as certain."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    family = LinearRegression(inputs, noise)
    _, x, y = some(family)
    found = family.bayes(None, x, y).numpy()
    sure = 1e12
    model = linear_model.BayesianRidge(
        max_iter=1, fit_intercept=False, alpha_init=noise**-2, lambda_init=inputs, alpha_1=sure, alpha_2=sure * noise**2,
        lambda_1=sure, lambda_2=sure / inputs,
    )  # fmt: skip
    for n in range(len(x)):
        for t in range(1, CYCLES):
            model.fit(x[n, :t].numpy(), y[n, :t, 0].numpy())
            assert found[n, t, 0] == pytest.approx(model.predict(x[n, t : t + 1].numpy())[0], abs=1e-7)


def test_the_floor_of_linear_regression_is_the_posterior_variance():
    """noise^2 + x' Sigma x, the posterior covariance Sigma by one inverse each, over sequences of its own."""
    family, random = LinearRegression(3, 0.4), np.random.default_rng(7)
    found = np.empty((4000, CYCLES))
    for row in found:
        x = random.standard_normal((CYCLES, 3))
        for t in range(CYCLES):
            sigma = np.linalg.inv(3 * np.eye(3) + x[:t].T @ x[:t] / 0.4**2)
            row[t] = 0.4**2 + x[t] @ sigma @ x[t]
    floor = family.floor(CYCLES)
    error = found.mean(1).std() / len(found) ** 0.5
    assert abs(found.mean() - floor.floor) < 4 * (error + floor.floor_error)
    assert abs(1 + 0.4**2 - floor.no_learning) < 4 * floor.no_learning_error
    assert floor.limit == pytest.approx(0.4**2, rel=0.1)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_sparse_regression_is_a_mixture_over_supports(noise):
    """Each set of weights by the joint normal density of the targets so far."""
    family = LinearRegression(4, noise, sparse=2)
    _, x, y = some(family, cycles=6)
    found, jitter = family.bayes(None, x, y).numpy(), max(noise**2, 1e-9)
    for n in range(len(x)):
        inputs, targets = x[n].numpy(), y[n, :, 0].numpy()
        for t in range(6):
            weights, means = [], []
            for support in combinations(range(4), 2):
                z = inputs[:, support]
                joint = z[:t] @ z[:t].T / 2 + jitter * np.eye(t)
                solved = np.linalg.solve(joint, targets[:t])
                weights.append(-(targets[:t] @ solved + np.linalg.slogdet(joint)[1]) / 2)
                means.append(z[t] @ z[:t].T / 2 @ solved)
            share = np.exp(np.array(weights) - max(weights))
            assert found[n, t, 0] == pytest.approx((share * means).sum() / share.sum(), abs=2e-4 if noise == 0 else 1e-8), (
                n,
                t,
            )


def test_sparse_mappings_have_that_many_weights():
    mapping, _, y = some(LinearRegression(6, 0.1, sparse=2), count=4000, cycles=1)
    assert ((mapping != 0).sum(-1) == 2).all()
    assert mapping.square().sum(-1).mean().item() == pytest.approx(1, rel=0.1)
    assert (mapping != 0).double().mean(0).numpy() == pytest.approx(1 / 3, abs=0.03)
    assert y.square().mean().item() == pytest.approx(1.01, rel=0.15)


def test_a_sparse_learner_beats_ridge_regression():
    family = LinearRegression(8, 0.1, sparse=1)
    _, x, y = some(family, count=300, cycles=8)
    (ridge,) = family.learners(x.numpy(), y.numpy()).values()
    best = (family.bayes(None, x, y) - y).square().mean().item()
    assert best < 0.6 * ((ridge(x.numpy(), y.numpy()) - y.numpy()) ** 2).mean()


@pytest.mark.parametrize(("inputs", "sparse"), [(3, 4), (30, 10)])
def test_what_cannot_be_sparse_is_refused(inputs, sparse):
    with pytest.raises(UserError, match=f"family.sparse={sparse}"):
        LinearRegression(inputs, 0.1, sparse=sparse)


@pytest.mark.parametrize(("drift", "noise"), [(0.1, 0.1), (0.5, 0.3), (0.0, 0.2)])
def test_drifting_regression_is_filterpys(drift, noise):
    kalman = pytest.importorskip("filterpy.kalman")
    family = DriftingRegression(2, drift, noise)
    _, x, y = some(family)
    found = family.bayes(None, x, y).numpy()
    for n in range(len(x)):
        model = kalman.KalmanFilter(dim_x=2, dim_z=1)
        model.x, model.P = np.zeros((2, 1)), np.eye(2) / 2
        model.F, model.Q, model.R = (1 - drift) ** 0.5 * np.eye(2), drift * np.eye(2) / 2, np.array([[noise**2]])
        for t in range(CYCLES):
            model.H = x[n, t : t + 1].numpy()
            assert found[n, t, 0] == pytest.approx((model.H @ model.x).item(), abs=1e-10)
            model.update(y[n, t].numpy())
            model.predict()


def test_drifting_regression_by_the_joint_distribution():
    """E[y_s y_t] = x_s . x_t / d (1 - drift)^(|s - t| / 2), with the noise on the diagonal: the drawn targets have it, too."""
    family = DriftingRegression(3, 0.3, 0.2)
    _, x, y = some(family)
    found, lag = family.bayes(None, x, y).numpy(), np.abs(np.subtract.outer(np.arange(CYCLES), np.arange(CYCLES)))
    for n in range(len(x)):
        joint = (x[n] @ x[n].T).numpy() / 3 * 0.7 ** (lag / 2) + 0.2**2 * np.eye(CYCLES)
        for t in range(1, CYCLES):
            expected = joint[t, :t] @ np.linalg.solve(joint[:t, :t], y[n, :t, 0].numpy())
            assert found[n, t, 0] == pytest.approx(expected, abs=1e-10)
    path = family.mappings(torch.rand(40000, 3 * 4, dtype=torch.float64)).unflatten(-1, (4, 3))
    drawn = torch.einsum("nsi,nti->st", path, path) / len(path)
    np.testing.assert_allclose(drawn, 0.7 ** (lag[:4, :4] / 2), atol=0.03)
