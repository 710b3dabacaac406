"""Learners to compare a trained network with, that know the family's form and learn one sequence from nothing.

Each predicts y[t] from the pairs before it: arrays x [N, T, 2], y [N, T] to predictions [N, T]. Those that suit one family
only stand in its file (`Family.learners`).
"""

from functools import partial

import numpy as np
import torch

from learning_to_learn.families import Family
from learning_to_learn.families.family import Learner

ROUNDING = 1e-9
"""Squared errors this near to each other are equal."""
NOISE = 1e-6
"""The variance of the targets' noise, as a part of a coefficient's prior variance: outputs are exact, but rounded."""


def recursive_least_squares(family: Family, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares on the family's own features, one pair at a time, from a Gaussian prior as wide as the family's.

    (Plackett 1950; the Bayes-optimal learner if coefficients were normal.) Raises NotImplementedError on a family whose
    outputs are not linear in anything.
    """
    form = family.linear_form()
    if form is None:
        raise NotImplementedError(f"{family.name} is not linear in any features we know")
    z, target = form.features(x), form.inverse(y)
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
    return form.output(predictions)


def bayes_of_a_finite_prior(family: Family, mappings: torch.Tensor, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict as the Bayes-optimal learner whose prior is these mappings [M, E] and no others: one that has memorised them.

    It predicts the mean of those that agree with every pair so far; where none does, the mean of those whose squared error so
    far is the least, which is the limit of vanishing noise. (Raventós et al. 2023 tell memorising from learning by it.)
    """
    predictions = np.empty(y.shape)
    for n in range(len(y)):
        said = family.evaluate(mappings, torch.from_numpy(x[n]).to(mappings).expand(len(mappings), -1, -1)).double().numpy()
        distance = np.cumsum((said - y[n]) ** 2, 1)
        before = np.concatenate([np.zeros((len(said), 1)), distance[:, :-1]], 1)
        near = before <= before.min(0) + ROUNDING
        predictions[n] = (said * near).sum(0) / near.sum(0)
    return predictions


def reference_learners(family: Family, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:
    """Return the learners that a family is compared with, by name; x and y are validation data, for choosing their rates."""
    known = {} if family.linear_form() is None else {"recursive least squares": partial(recursive_least_squares, family)}
    return {**known, **family.learners(x, y)}
