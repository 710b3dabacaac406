"""Noisy oscillations against filterpy, statsmodels, joint normal distributions and a particle filter."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from learning_to_learn.families.estimation import draw
from learning_to_learn.families.linear_gaussian import DAMPING, FREQUENCY, LinearGaussian, mixture_of_filters

CYCLES = 9


def some(family, count=4, cycles=CYCLES, seed=0):
    return draw(family, cycles, count, np.random.default_rng(seed))


def joint(damping, frequency, noise, cycles=CYCLES):
    """The covariance of y: damping^h cos(h frequency) at lag h, and the noise."""
    lag = np.abs(np.subtract.outer(np.arange(cycles), np.arange(cycles)))
    return damping**lag * np.cos(frequency * lag) + noise**2 * np.eye(cycles)


def test_known_dynamics_are_filterpys():
    kalman = pytest.importorskip("filterpy.kalman")
    family = LinearGaussian("known", 0.9, 0.7, 0.2)
    mapping, x, y = some(family)
    found = family.bayes(mapping, x, y).numpy()
    turn = 0.9 * np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    for n in range(len(y)):
        model = kalman.KalmanFilter(dim_x=2, dim_z=1)
        model.x, model.P, model.F, model.H = np.zeros((2, 1)), np.eye(2), turn, np.array([[1.0, 0.0]])
        model.Q, model.R = (1 - 0.9**2) * np.eye(2), np.array([[0.2**2]])
        for t in range(CYCLES):
            assert found[n, t, 0] == pytest.approx((model.H @ model.x).item(), abs=1e-10)
            model.update(y[n, t].numpy())
            model.predict()


def test_known_dynamics_are_statsmodels():
    kalman = pytest.importorskip("statsmodels.tsa.statespace.kalman_filter")
    family = LinearGaussian("known", 0.9, 0.7, 0.2)
    mapping, x, y = some(family)
    log_likelihood = family.log_likelihood(mapping, x, y).numpy()
    for n in range(len(y)):
        model = kalman.KalmanFilter(k_endog=1, k_states=2)
        model.bind(y[n].numpy().copy())
        model["design"], model["obs_cov"] = np.array([[1.0, 0.0]]), np.array([[0.2**2]])
        model["transition"] = 0.9 * np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
        model["selection"], model["state_cov"] = np.eye(2), (1 - 0.9**2) * np.eye(2)
        model.initialize_known(np.zeros(2), np.eye(2))
        result = model.filter()
        np.testing.assert_allclose(family.bayes(mapping, x, y)[n, :, 0], result.forecasts[0], atol=1e-8)
        np.testing.assert_allclose(log_likelihood[n] - np.log(2 * np.pi) / 2, result.llf_obs, atol=1e-8)


def test_drawn_series_have_the_stated_covariance():
    _, _, y = some(LinearGaussian("known", 0.9, 0.7, 0.2), count=40000, cycles=5)
    np.testing.assert_allclose((y[..., 0].T @ y[..., 0]) / len(y), joint(0.9, 0.7, 0.2, 5), atol=0.03)


def test_random_dynamics_by_joint_distributions():
    """The posterior over damping and frequency on a grid of other points, the densities of the series so far from scipy."""
    family = LinearGaussian("random", noise=0.2)
    _, x, y = some(family, count=2, cycles=6)
    found, told = family.bayes(None, x, y).numpy(), family.statistics(x, y)
    dampings = DAMPING[0] + (np.arange(16) + 0.5) / 16 * (DAMPING[1] - DAMPING[0])
    frequencies = FREQUENCY[0] + (np.arange(160) + 0.5) / 160 * (FREQUENCY[1] - FREQUENCY[0])
    for n in range(len(y)):
        series = y[n, :, 0].numpy()
        for t in (1, 3, 5):
            density, mean, seen = [], [], []
            for d in dampings:
                for f in frequencies:
                    c = joint(d, f, 0.2, 6)
                    density.append(multivariate_normal(np.zeros(t), c[:t, :t]).logpdf(series[:t]))
                    mean.append(c[t, :t] @ np.linalg.solve(c[:t, :t], series[:t]))
                    seen.append(f)
            share = np.exp(np.array(density) - max(density))
            assert found[n, t, 0] == pytest.approx((share * mean).sum() / share.sum(), abs=2e-3)
            assert told["frequency"][n, t, 0].item() == pytest.approx((share * seen).sum() / share.sum(), abs=5e-3)


@pytest.mark.slow
def test_random_dynamics_by_a_particle_filter():
    """Damping, frequency and the states themselves are particles, drawn anew by their weights at every cycle."""
    family, particles = LinearGaussian("random", noise=0.3), 200_000
    _, x, y = some(family, count=2, cycles=8, seed=3)
    exact, random = family.bayes(None, x, y).numpy()[..., 0], np.random.default_rng(1)
    for n in range(len(y)):
        runs = []
        for _ in range(4):
            d, f = random.uniform(*DAMPING, particles), random.uniform(*FREQUENCY, particles)
            state, said = random.standard_normal((2, particles)), []
            for t in range(8):
                said.append(state[0].mean())
                weight = np.exp(-((y[n, t, 0].item() - state[0]) ** 2) / (2 * 0.3**2))
                keep = random.choice(particles, particles, p=weight / weight.sum())
                d, f, (a, b) = d[keep], f[keep], state[:, keep]
                step = np.sqrt(1 - d**2) * random.standard_normal((2, particles))
                state = d * np.array([np.cos(f) * a - np.sin(f) * b, np.sin(f) * a + np.cos(f) * b]) + step
            runs.append(said)
        error = np.std(runs, axis=0, ddof=1) / 2
        assert (np.abs(np.mean(runs, axis=0) - exact[n]) < 5 * error + 2e-3).all()


def test_the_rule_has_points_enough():
    """With 1.6 times as many on each side, predictions of 100 cycles differ by a hundredth of what is left to know."""
    family = LinearGaussian("random")
    mapping, x, y = some(family, count=6, cycles=100)
    series = y[..., 0].numpy()
    few, many = (mixture_of_filters(series, 0.1, grid)[0] for grid in ((20, 80), (32, 128)))
    excess = np.mean((family.known(mapping, x, y)[..., 0].numpy() - many) ** 2)
    assert np.mean((few - many) ** 2) < 0.01 * excess


def test_the_filter_that_knows_the_dynamics_is_better():
    family = LinearGaussian("random")
    mapping, x, y = some(family, count=200, cycles=30)
    known, best = family.known(mapping, x, y), family.bayes(mapping, x, y)
    assert (known - y).square().mean() < (best - y).square().mean() < y.square().mean()
    for learner in family.learners(x.numpy(), y.numpy()).values():
        assert (best - y).square().mean() < np.mean((learner(x.numpy(), y.numpy()) - y.numpy()) ** 2)
    assert torch.equal(family.evaluate(mapping, x), torch.zeros_like(y))
