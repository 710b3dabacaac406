"""Learners to compare a trained network with, that know the family's form and learn one sequence from nothing.

Each predicts y[t] from the pairs before it: arrays x [N, T, d], y [N, T, m] to predictions [N, T, m]. Those that suit one
family only stand in its file (`Family.learners`).
"""

from functools import partial

import numpy as np
import torch

from learning_to_learn.families import Family
from learning_to_learn.families.family import Learner

ROUNDING = 1e-9
"""Squared errors this near to each other are equal."""
NOISE = 1e-6
"""The least variance of the targets' noise, as a part of a coefficient's prior variance: exact outputs are rounded, too."""


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
    covariance, weights = np.tile(np.eye(size), (n, 1, 1)), np.zeros((n, size, y.shape[2]))
    predictions, noise = np.empty(y.shape), NOISE + family.noise**2
    for t in range(length):
        f = z[:, t]
        predictions[:, t] = np.einsum("nim,ni->nm", weights, f)
        gain = np.einsum("nij,nj->ni", covariance, f)
        gain /= (noise + np.einsum("ni,ni->n", gain, f))[:, None]
        weights = weights + gain[:, :, None] * (target[:, t] - predictions[:, t])[:, None]
        covariance = covariance - gain[:, :, None] * np.einsum("nij,ni->nj", covariance, f)[:, None]
    return form.output(predictions)


def bayes_of_a_finite_prior(family: Family, mappings: torch.Tensor, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict as the Bayes-optimal learner whose prior is these mappings [M, E] and no others: one that has memorised them.

    It predicts the mean of what they say, weighted by how likely each makes the pairs so far. Without noise these are the
    mappings that agree with every pair; where none does, those whose squared error so far is the least, which is the limit of
    vanishing noise. (Raventós et al. 2023 tell memorising from learning by it.)
    """
    predictions, exact = np.empty(y.shape), family.loss == "squared" and not family.noise_uniforms
    for n in range(len(y)):
        inputs, targets = (torch.from_numpy(v[n]).to(mappings).expand(len(mappings), -1, -1) for v in (x, y))
        said = family.known(mappings, inputs, targets).double().numpy()
        if exact:
            weights = _nearest(np.cumsum(((said - y[n]) ** 2).sum(-1), 1))
        else:
            weights = _likely(np.cumsum(family.log_likelihood(mappings, inputs, targets).double().numpy(), 1))
        predictions[n] = (said * weights[..., None]).sum(0) / weights.sum(0)[:, None]
    return predictions


def _nearest(distance: np.ndarray) -> np.ndarray:
    """Return weights [M, T] of mappings from their squared errors at each cycle, added up, [M, T]."""
    before = np.pad(distance[:, :-1], ((0, 0), (1, 0)))
    return before <= before.min(0) + ROUNDING


def _likely(log_likelihood: np.ndarray) -> np.ndarray:
    """Return weights [M, T] of mappings from their logarithmic likelihoods at each cycle, added up, [M, T]."""
    before = np.pad(log_likelihood[:, :-1], ((0, 0), (1, 0)))
    return np.exp(before - before.max(0))


def reference_learners(family: Family, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:
    """Return the learners that a family is compared with, by name; x and y are validation data, for choosing their rates."""
    known = {} if family.linear_form() is None else {"recursive least squares": partial(recursive_least_squares, family)}
    return {**known, **family.learners(x, y)}
