"""Learners to compare a trained network with, that know the family's form and learn one sequence from nothing.

Each predicts y[t] from the pairs before it: arrays x [N, T, 2], y [N, T] to predictions [N, T].
"""

from collections.abc import Callable

import numpy as np

from learning_to_learn.families import Boolean, Family, Quadratic, SemiLinear
from learning_to_learn.families.quadratic import SLOPE, phi

RATES = np.geomspace(0.03, 30, 31)
NOISE = 1e-6
"""Of the targets, as a part of a coefficient's prior variance: outputs are exact, but rounded."""
EDGE = 1e-6


def recursive_least_squares(family: Family, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares on the family's own features, one pair at a time, from a Gaussian prior as wide as the family's.

    (Plackett 1950; the Bayes-optimal learner if coefficients were normal.) Raises NotImplementedError on a family whose
    outputs are not linear in anything.
    """
    features, forward, inverse = _linear_form(family)
    z, target = features(x), inverse(y)
    n, length, size = z.shape
    covariance, weights = np.tile(np.eye(size), (n, 1, 1)), np.zeros((n, size))
    predictions = np.empty((n, length))
    for t in range(length):
        f = z[:, t]
        predictions[:, t] = np.einsum("ni,ni->n", weights, f)
        gain = np.einsum("nij,nj->ni", covariance, f)
        gain /= (NOISE + np.einsum("ni,ni->n", gain, f))[:, None]
        weights = weights + gain * (target[:, t] - predictions[:, t])[:, None]
        covariance = covariance - gain[:, :, None] * np.einsum("nij,ni->nj", covariance, f)[:, None]
    return forward(predictions)


def gradient_descent(x: np.ndarray, y: np.ndarray, rate: float) -> np.ndarray:
    """One neuron y = (1 + tanh(w1 x1 + w2 x2 + w3)) / 2, a step of gradient descent after every pair, from zero weights."""
    source = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    weights, predictions = np.zeros((len(x), 3)), np.empty(y.shape)
    for t in range(y.shape[1]):
        tanh = np.tanh(np.einsum("ni,ni->n", weights, source[:, t]))
        predictions[:, t] = (1 + tanh) / 2
        slope = (predictions[:, t] - y[:, t]) * (1 - tanh**2)
        weights -= rate * slope[:, None] * source[:, t]
    return predictions


def best_rate(x: np.ndarray, y: np.ndarray) -> float:
    """The rate with which gradient descent errs least on these sequences (not those that are reported)."""
    errors = [np.mean((gradient_descent(x, y, rate) - y) ** 2) for rate in RATES]
    return float(RATES[int(np.argmin(errors))])


def _linear_form(family: Family) -> tuple[Callable, Callable, Callable]:
    """Features of x, the output of a weighted sum of them, and its inverse; weights of mean 0 and equal variance."""
    if isinstance(family, Boolean):  # one feature a row of the truth table: +1/2 or -1/2
        return lambda x: np.eye(4)[(2 * x[..., 0] + x[..., 1]).astype(int)], lambda s: s + 0.5, lambda y: y - 0.5
    if isinstance(family, SemiLinear):
        return (
            lambda x: np.concatenate([x, np.ones_like(x[..., :1])], -1),
            lambda s: (1 + np.tanh(s)) / 2,
            lambda y: np.arctanh(np.clip(2 * y - 1, EDGE - 1, 1 - EDGE)),
        )
    if isinstance(family, Quadratic):
        return phi, lambda q: 0.5 + SLOPE * q, lambda y: (y - 0.5) / SLOPE
    raise NotImplementedError(f"{family.name} is not linear in any features we know")
