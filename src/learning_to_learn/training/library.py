"""A library of learning algorithms, to ask which of them a network has learned (Akyürek et al. 2023; von Oswald et al. 2023).

Each predicts y[t] from x[t] and the pairs before it, and starts from nothing: x [N, T, d], y [N, T, m] to predictions [N, T,
m]. They are linear in the features in which the family is (`Family.linear_form`); without such, in the inputs and a 1, and for
a time series in its last values and a 1.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from learning_to_learn.families import Family
from learning_to_learn.families.family import Learner
from learning_to_learn.families.kalman import predictions
from learning_to_learn.losses import loss_of
from learning_to_learn.training.baselines import bayes_of_a_finite_prior, reference_learners

LAGS = 4
"""Last values of a time series that its features are."""
STEPS = (1, 2, 5)
"""Steps of gradient descent on all pairs so far, from zero."""
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Of ridge regression, for features of unit variance."""
NEIGHBOURS = (1, 3)
RATES = np.geomspace(0.02, 2.0, 9)
"""Learning rates that are tried, divided by the mean square of the features."""

Linear = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Features z [N, T, K] and targets [N, T, m] to predictions [N, T, m]."""


def library(family: Family, x: np.ndarray, y: np.ndarray, mappings: torch.Tensor | None = None) -> dict[str, Learner]:
    """Return the learners by name; x and y are validation data, on which learning rates are chosen.

    `mappings` [M, E] are those that a network was trained on, if they were few.
    """
    z, _, _ = _linear(family, x, y)
    unit = 1 / float((z**2).sum(-1).mean())
    found: dict[str, Learner] = {"no learning": partial(_no_learning, family)}
    for steps in STEPS:
        rate = _best(family, x, y, RATES * unit, partial(partial, gradient_descent, steps))
        found[f"gradient descent, {steps} step{'s' * (steps > 1)}"] = _of(family, partial(gradient_descent, steps, rate))
    rate = _best(family, x, y, RATES * unit, partial(partial, least_mean_squares))
    found["least mean squares"] = _of(family, partial(least_mean_squares, rate))
    scale = float((z**2).mean())
    for strength in STRENGTHS:
        found[f"ridge, strength {strength:g}"] = _of(family, partial(ridge, strength * scale))
    if family.input_size:
        found |= {f"nearest neighbours, {k}": partial(nearest_neighbours, k) for k in NEIGHBOURS}
    found |= reference_learners(family, x, y)
    if mappings is not None:
        found["Bayes of the training mappings"] = partial(bayes_of_a_finite_prior, family, mappings)
    return found


def gradient_descent(steps: int, rate: float, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict with weights that take some steps from zero down the mean squared error of all pairs so far."""
    count = np.maximum(np.arange(z.shape[1]), 1)[:, None, None]
    square = (np.einsum("nti,ntj->ntij", z, z).cumsum(1) - np.einsum("nti,ntj->ntij", z, z)) / count
    cross = (np.einsum("nti,ntm->ntim", z, y).cumsum(1) - np.einsum("nti,ntm->ntim", z, y)) / count
    weights = np.zeros_like(cross)
    for _ in range(steps):
        weights = weights - rate * (square @ weights - cross)
    return np.einsum("nti,ntim->ntm", z, weights)


def least_mean_squares(rate: float, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict with weights that take a step down the squared error of every pair as it comes (Widrow & Hoff 1960)."""
    weights, found = np.zeros((len(z), z.shape[2], y.shape[2])), np.empty(y.shape)
    for t in range(z.shape[1]):
        found[:, t] = np.einsum("ni,nim->nm", z[:, t], weights)
        weights += rate * z[:, t, :, None] * (y[:, t] - found[:, t])[:, None]
    return found


def ridge(strength: float, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict by ridge regression on all pairs so far: least squared errors plus `strength` times the squared weights."""
    prior = torch.eye(z.shape[2], dtype=torch.float64)
    features = torch.from_numpy(np.ascontiguousarray(z)).double()
    columns = [predictions(features, torch.from_numpy(c).double(), prior, strength**0.5) for c in np.moveaxis(y, -1, 0)]
    return torch.stack(columns, -1).numpy()


def nearest_neighbours(k: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict the mean of the k earlier targets whose inputs are the nearest; of all, while they are fewer; at first, 0."""
    distance = ((x[:, :, None] - x[:, None]) ** 2).sum(-1)
    later = np.triu(np.ones(distance.shape[1:], bool))
    order = np.argsort(np.where(later, np.inf, distance), -1, kind="stable")[..., :k]
    there = order < np.arange(x.shape[1])[:, None]
    picked = y[np.arange(len(y))[:, None, None], order] * there[..., None]
    return picked.sum(2) / np.maximum(there.sum(2), 1)[..., None]


def _linear(family: Family, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Features, the targets that are linear in them, and what makes outputs of their predictions."""
    form = family.linear_form()
    if form is not None:
        return form.features(x), form.inverse(y), form.output
    one = np.ones((*y.shape[:2], 1))
    if family.input_size:
        return np.concatenate([x, one], -1), y - family.nothing_known, lambda s: s + family.nothing_known
    centred = np.pad(y - family.nothing_known, ((0, 0), (LAGS, 0), (0, 0)))
    lags = [centred[:, LAGS - k - 1 : centred.shape[1] - k - 1] for k in range(LAGS)]
    return np.concatenate([*lags, one], -1), y - family.nothing_known, lambda s: s + family.nothing_known


def _of(family: Family, linear: Linear) -> Learner:
    """A linear learner on the family's features, its outputs within what the output neurons can say."""

    def learner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        z, targets, output = _linear(family, x, y)
        said = output(linear(z, targets))
        return said if family.output == "linear" else np.clip(said, 0.0, 1.0)

    return learner


def _best(family: Family, x: np.ndarray, y: np.ndarray, rates: np.ndarray, of: Callable[[float], Linear]) -> float:
    """The rate whose learner has the least squared error."""

    def error(rate: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            said = torch.from_numpy(_of(family, of(rate))(x, y))
        found = float(loss_of(said, torch.from_numpy(y), family.output, "squared").mean())
        return found if np.isfinite(found) else np.inf

    return float(min(rates, key=error))


def _no_learning(family: Family, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    said = family.no_learning_outputs(inputs, targets)
    return np.full(y.shape, y.mean()) if said is None else said.numpy()
