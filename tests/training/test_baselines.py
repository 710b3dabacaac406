import numpy as np
import pytest

from learning_to_learn.families.boolean import Boolean
from learning_to_learn.families.quadratic import Quadratic
from learning_to_learn.families.semilinear import SemiLinear, best_rate, gradient_descent
from learning_to_learn.randomness import Stream
from learning_to_learn.training.baselines import recursive_least_squares
from learning_to_learn.training.sequences import draw_sequences


def sequences(family, length=12, count=200):
    import torch

    found = draw_sequences(family, length, count, [0], Stream.VALIDATION, 0, dtype=torch.float64)
    return found.x[0].numpy(), found.targets[0].numpy()


@pytest.mark.parametrize(("family", "unknowns"), [(SemiLinear(), 3), (Quadratic("global"), 6), (Quadratic("per_mapping"), 6)])
def test_least_squares_knows_everything_after_as_many_pairs_as_unknowns(family, unknowns):
    x, y = sequences(family)
    errors = (recursive_least_squares(family, x, y) - y) ** 2
    assert np.median(errors[:, unknowns + 2 :]) < 1e-6
    assert errors[:, 0].mean() > 1e-4


def test_least_squares_is_ridge_regression():
    """After k pairs: (Z'Z + noise)^-1 Z'u, solved at once."""
    x, y = sequences(SemiLinear(), length=6, count=5)
    found = recursive_least_squares(SemiLinear(), x, y)
    z = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    u = np.arctanh(2 * y[..., 0] - 1)
    for n in range(5):
        seen, target = z[n, :5], u[n, :5]
        weights = np.linalg.solve(seen.T @ seen + 1e-6 * np.eye(3), seen.T @ target)
        assert found[n, 5, 0] == pytest.approx((1 + np.tanh(weights @ z[n, 5])) / 2, abs=1e-6)


def test_on_booleans_least_squares_is_bayes_optimal():
    import torch

    x, y = sequences(Boolean())
    table = torch.zeros(len(y), 4, dtype=torch.float64)
    best = Boolean().bayes(table, torch.from_numpy(x), torch.from_numpy(y)).numpy()
    np.testing.assert_allclose(recursive_least_squares(Boolean(), x, y), best, atol=1e-5)


def test_gradient_descent_takes_the_step_of_the_chain_rule():
    x, y = np.array([[[0.5, -0.2], [1.0, 1.0]]]), np.array([[[0.9], [0.0]]])
    found = gradient_descent(x, y, 0.7)
    assert found[0, 0, 0] == 0.5
    weights = -0.7 * (0.5 - 0.9) * np.array([0.5, -0.2, 1.0])  # d/dw of (y - target)^2 is 2 e (1 - tanh^2) / 2 source
    assert found[0, 1, 0] == pytest.approx((1 + np.tanh(weights @ [1.0, 1.0, 1.0])) / 2)


def test_the_best_rate_is_better_than_its_neighbours():
    x, y = sequences(SemiLinear(), length=64)
    best = best_rate(x, y)

    def error(rate):
        return np.mean((gradient_descent(x, y, rate) - y) ** 2)

    assert error(best) <= min(error(best / 1.3), error(best * 1.3)) * 1.02
    assert error(best) < error(0.05)
