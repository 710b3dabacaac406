"""Families whose Bayes predictor integrates numerically or samples, against dense grids and draws from the prior."""

import numpy as np
import pytest
import torch

from learning_to_learn.families.estimation import draw
from learning_to_learn.families.quadratic import Quadratic
from learning_to_learn.families.random_network import RandomNetwork, covariance, gaussian_process
from learning_to_learn.families.semilinear import SemiLinear
from learning_to_learn.families.sinusoid import AMPLITUDE, Sinusoid


def some(family, count, cycles, seed=0):
    return draw(family, cycles, count, np.random.default_rng(seed))


def means_over(outputs, y, noise):
    """Posterior means [T] of one sequence, by the likelihoods of many mappings whose outputs are [P, T]."""
    fit = np.cumsum((outputs - y) ** 2, 1) / (-2 * noise**2)
    before = np.pad(fit[:, :-1], ((0, 0), (1, 0)))
    share = np.exp(before - before.max(0))
    return (share * outputs).sum(0) / share.sum(0), share.sum(0) ** 2 / (share**2).sum(0)


def test_sinusoids_before_two_pairs_by_a_grid_of_phases():
    """Each phase of a fine grid has one amplitude that fits the first pair, with the density 1 / |sin|."""
    family = Sinusoid()
    mapping, x, y = some(family, 15, 4)
    said = family.bayes(mapping, x, y).numpy()[..., 0]
    phase = (np.arange(200_000) + 0.5) / 200_000 * np.pi
    for n in range(15):
        first, second = x[n, :2, 0].numpy()
        assert said[n, 0] == pytest.approx(np.mean(AMPLITUDE) * np.sin(first - phase).mean(), abs=1e-6)
        amplitude = y[n, 0, 0].item() / np.sin(first - phase)
        weight = ((amplitude >= AMPLITUDE[0]) & (amplitude <= AMPLITUDE[1])) / np.abs(np.sin(first - phase))
        assert said[n, 1] == pytest.approx((weight * amplitude * np.sin(second - phase)).sum() / weight.sum(), abs=4e-3)
    torch.testing.assert_close(torch.from_numpy(said[:, 2:]), y[:, 2:, 0])


@pytest.mark.slow
def test_sinusoids_with_noise_by_a_grid():
    family, side = Sinusoid(noise=0.5), (np.arange(500) + 0.5) / 500
    mapping, x, y = some(family, 6, 6)
    said, variance = family.bayes(mapping, x, y).numpy()[..., 0], family.bayes_variance(x, y).mean().item()
    a, b = np.meshgrid(AMPLITUDE[0] + side * (AMPLITUDE[1] - AMPLITUDE[0]), side * np.pi)
    a, b = a.ravel(), b.ravel()
    exact = np.stack(
        [means_over(a[:, None] * np.sin(x[n, :, 0].numpy() - b[:, None]), y[n, :, 0].numpy(), 0.5)[0] for n in range(6)]
    )
    assert 0 < variance < 0.02
    assert np.mean((said - exact) ** 2) < 4 * variance


def test_semilinear_mappings_with_noise_by_a_grid():
    family, side = SemiLinear(noise=0.1), (np.arange(50) + 0.5) / 25 - 1
    mapping, x, y = some(family, 6, 6)
    said, variance = family.bayes(mapping, x, y).numpy()[..., 0], family.bayes_variance(x, y).mean().item()
    w = np.stack(np.meshgrid(side, side, side), -1).reshape(-1, 3)
    exact = np.empty((6, 6))
    for n in range(6):
        z = w[:, :2] @ x[n].numpy().T + w[:, 2:]
        exact[n] = means_over((1 + np.tanh(z)) / 2, y[n, :, 0].numpy(), 0.1)[0]
    assert 0 < variance < 1e-3
    assert np.mean((said - exact) ** 2) < 4 * variance


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "tolerance"),
    [(Quadratic("global", 0.05), 1e-4), (Quadratic("per_mapping", 0.2), 1e-3), (RandomNetwork(2, 2, 0.5), 2e-2)],
    ids=lambda f: getattr(f, "floor_key", ""),
)
def test_the_sampler_by_draws_from_the_prior(family, tolerance):
    """Likelihood weighting of 200 000 mappings, where enough of them still count."""
    mapping, x, y = some(family, 4, 4)
    said, variance = family.bayes(mapping, x, y).numpy()[..., 0], family.bayes_variance(x, y).mean().item()
    prior = family.mappings(
        torch.rand(200_000, family.dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    )
    errors = []
    for n in range(4):
        outputs = family.evaluate(prior, x[n].expand(len(prior), -1, -1))[..., 0].numpy()
        exact, effective = means_over(outputs, y[n, :, 0].numpy(), family.noise)
        errors += [(said[n, t] - exact[t]) ** 2 for t in range(4) if effective[t] > 2000]
    assert len(errors) >= 8
    assert 0 < variance < tolerance
    assert np.mean(errors) < 4 * variance + tolerance / 50


def test_noise_is_on_the_targets():
    for family in (SemiLinear(noise=0.1), Quadratic("global", 0.1), Sinusoid(0.1), RandomNetwork(2, 3, 0.1)):
        mapping, x, y = some(family, 500, 5)
        assert (y - family.evaluate(mapping, x)).std().item() == pytest.approx(0.1, rel=0.06)


@pytest.mark.parametrize("hidden", [1, 5, 20])
def test_random_networks_have_the_arc_cosine_covariance(hidden):
    """Whatever the number of units: over 100 000 networks."""
    family = RandomNetwork(2, hidden)
    x = torch.randn(1, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mapping = family.mappings(
        torch.rand(100_000, family.dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    y = family.evaluate(mapping, x.expand(len(mapping), -1, -1))[..., 0]
    np.testing.assert_allclose((y.T @ y) / len(y), covariance(x)[0], atol=0.06 * covariance(x).max().item())


def test_the_best_linear_predictor_by_conditioning():
    family = RandomNetwork(3, 30, 0.2)
    _, x, y = some(family, 3, 8)
    joint, said = covariance(x).numpy() + 0.2**2 * np.eye(8), gaussian_process(x, y, 0.2).numpy()
    for n in range(3):
        for t in range(1, 8):
            expected = joint[n, t, :t] @ np.linalg.solve(joint[n, :t, :t], y[n, :t, 0].numpy())
            assert said[n, t, 0] == pytest.approx(expected, abs=1e-9)
    assert (family.bayes(None, x, y).numpy() == said).all()
    assert not family.floor_is_known
