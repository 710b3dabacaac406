"""Weights as well as they can be known after every pair: recursive least squares, and the Kalman filter where they drift.

One recursion serves every family whose outputs are linear in something normal: y[t] = w[t] . z[t] + noise, with
w[t+1] = A w[t] + N(0, Q). (Kalman 1960; with A = 1 and Q = 0 it is Bayesian linear regression, Bishop 2006, eq. 3.50.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from learning_to_learn.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-12
"""A predictive variance below this is rounding: there is nothing left to learn from the pair."""


@dataclass(frozen=True)
class Belief:
    """What is known before y[t]: of the weights, and of y[t] itself."""

    weights: Tensor
    """Their mean, [N, K]"""
    covariance: Tensor
    """[N, K, K]"""
    mean: Tensor
    """Of y[t], [N]"""
    variance: Tensor
    """Of y[t], its noise included, [N]"""


def beliefs(
    features: Tensor,
    y: Tensor,
    covariance: Tensor,
    noise: float,
    transition: Tensor | None = None,
    renewal: Tensor | None = None,
) -> Iterator[Belief]:
    """Yield what is known before each of the T targets y [N, T], of weights that are N(0, covariance [K, K]) at first.

    features [N, T, K]; `noise` is a standard deviation; `transition` [K, K] is A and `renewal` [K, K] is Q, both None where
    weights stay as they are. The targets after the t-th have no part in the t-th belief.
    """
    n, _, size = features.shape
    mean, known = features.new_zeros(n, size), covariance.to(features).expand(n, size, size)
    for t in range(y.shape[1]):
        z = features[:, t]
        gain = torch.einsum("nij,nj->ni", known, z)
        variance = torch.einsum("ni,ni->n", gain, z) + noise**2
        said = torch.einsum("ni,ni->n", mean, z)
        yield Belief(mean, known, said, variance)
        certain = variance <= TINY
        scale = torch.where(certain, 0.0, 1 / torch.where(certain, 1.0, variance))
        mean = mean + gain * (scale * (y[:, t] - said))[:, None]
        known = known - gain[:, :, None] * gain[:, None] * scale[:, None, None]
        if transition is not None:
            mean = mean @ transition.T
            known = transition @ known @ transition.T
        if renewal is not None:
            known = known + renewal


def predictions(
    features: Tensor,
    y: Tensor,
    covariance: Tensor,
    noise: float,
    transition: Tensor | None = None,
    renewal: Tensor | None = None,
) -> Tensor:
    """Return the mean of each of the targets y [N, T] given those before it, [N, T]; the arguments are those of `beliefs`."""
    return torch.stack([b.mean for b in beliefs(features, y, covariance, noise, transition, renewal)], 1)
