"""Noisy oscillations, linear-Gaussian state spaces: a series that is predicted from its own past (Kalman 1960).

With known dynamics the Kalman filter is the Bayes predictor. With random ones it is a mixture of Kalman filters, one for each
of many dynamics, weighed by how well it has predicted. The states are integrated out exactly (Rao & Blackwell), and what is
left, two numbers, by Gauss and Legendre's rule: a particle filter would have random points where the rule has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner, normal
from learning_to_learn.families.recursions import rotating
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number, one_of

if TYPE_CHECKING:
    from torch import Tensor

DAMPING = (0.8, 0.98)
"""Random dynamics: what is left of the state after a cycle."""
FREQUENCY = (0.0, np.pi)
"""Random dynamics: by how much the state turns in a cycle, in radians."""
GRID = (20, 80)
"""Points of the rule over damping and frequency: enough for 100 cycles, as a test shows with more of them."""

AT_ONCE = 64
"""Sequences whose filters are held at once."""


@dataclass
class LinearGaussianAtTest(AtTest):
    """What can be different in the test data."""

    noise: float | None = number(None, above=0)
    """Standard deviation of the observations' noise; null: that of training."""


@dataclass
class LinearGaussianConfig(FamilyConfig):
    """The keys of noisy oscillations."""

    name: str = "linear_gaussian"
    dynamics: str = one_of(("known", "random"), "random")
    """`known`: the same damping and frequency in every sequence; `random`: uniform in [0.8, 0.98] and in [0, pi]."""
    damping: float = number(0.95, least=0, below=1)
    """What is left of the state after a cycle; with known dynamics."""
    frequency: float = number(0.5, least=0)
    """Radians that the state turns in a cycle; with known dynamics."""
    noise: float = number(0.1, above=0)
    """Standard deviation of the observations' noise. Without noise the series' is 1."""
    test: LinearGaussianAtTest = field(default_factory=LinearGaussianAtTest)


class LinearGaussian(Family):
    """s[t+1] = damping * (s[t] turned by `frequency`) + N(0, (1 - damping^2) I), and y[t] = the first of s[t], with noise.

    One sequence with frequency pi / 2 and little noise: 1.0 0.1 -0.9 -0.2 0.8 0.1 -0.7 ... No inputs. With random dynamics the
    Kalman filter that knows them (`known`) is a lower bound of the loss, not the floor.
    """

    config: ClassVar[type[FamilyConfig]] = LinearGaussianConfig
    input_size, output = 0, "linear"
    noise_uniforms = 3

    def __init__(
        self, dynamics: str = "random", damping: float = 0.95, frequency: float = 0.5, noise: float = 0.1,
        grid: tuple[int, int] = GRID,
    ) -> None:  # fmt: skip
        self.random, self.fixed, self.noise, self.grid = dynamics == "random", (damping, frequency), noise, grid
        self.dimensions = 2 if self.random else 0
        self.parameter_names = ("damping", "frequency") if self.random else ()

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.dynamics, config.damping, config.frequency, config.noise)

    @property
    def floor_key(self) -> str:
        dynamics = "random" if self.random else "{:g}_{:g}".format(*self.fixed)
        return f"linear_gaussian_{dynamics}_noise{self.noise:g}"

    @property
    def predictable(self) -> int:
        return 1024 if self.random else super().predictable

    def mappings(self, u: Tensor) -> Tensor:
        """Damping and frequency, [*n, 2]; also where they are known."""
        if not self.random:
            return u.new_tensor(self.fixed).expand(*u.shape[:-1], 2)
        low, high = u.new_tensor([DAMPING[0], FREQUENCY[0]]), u.new_tensor([DAMPING[1], FREQUENCY[1]])
        return low + u * (high - low)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        """0: without the past, nothing is known of y."""
        return mapping.new_zeros(*x.shape[:-1], 1)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        del x
        e, damping = normal(u), mapping[..., 0]
        cos, sin = damping * mapping[..., 1].cos(), damping * mapping[..., 1].sin()
        new = (1 - damping**2).sqrt()
        found = rotating(e.reshape(-1, *e.shape[-2:]).numpy(), *(value.flatten().numpy() for value in (cos, sin, new)))
        return (torch.from_numpy(found).view(e.shape[:-1]) + self.noise * e[..., 2]).unsqueeze(-1)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.zeros_like(y)

    def known(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The Kalman filter that knows the dynamics of each sequence."""
        del x
        return self._filters(mapping, y)[0].unsqueeze(-1).to(y)

    def log_likelihood(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del x
        mean, variance = self._filters(mapping, y)
        return -((y[..., 0] - mean) ** 2 / variance + variance.log()) / 2

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:
        del x, y
        return {f"least squares on the last {k} values": partial(autoregression, k, self.noise) for k in (2, 4)}

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        if not self.random:
            return self.known(mapping, x, y)
        mean, _ = mixture_of_filters(y[..., 0].double().numpy(), self.noise, self.grid)
        return torch.from_numpy(mean).unsqueeze(-1).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the posterior means of damping and frequency before y[t], if they are random, and the prediction of y[t]."""
        if not self.random:
            return {"predicted": self.bayes(y.new_tensor(self.fixed).expand(len(y), 2), x, y).double()}
        mean, theta = mixture_of_filters(y[..., 0].double().numpy(), self.noise, self.grid)
        found = {"damping": theta[..., :1], "frequency": theta[..., 1:], "predicted": mean[..., None]}
        return {name: torch.from_numpy(value) for name, value in found.items()}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, 1] that follow from `statistics`."""
        del x
        return statistics["predicted"]

    def _filters(self, mapping: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The means and variances [N, T] of y, each sequence by its own Kalman filter."""
        theta = mapping.double().numpy()
        gains, variances = kalman_gains(theta, y.shape[1], self.noise)
        mean = np.empty(y.shape[:2])
        for t, state in enumerate(_states(theta, gains, y[..., 0].double().numpy())):
            mean[:, t] = state[:, 0]
        return torch.from_numpy(mean).to(y), torch.from_numpy(variances.T.copy()).to(y)


def kalman_gains(theta: np.ndarray, cycles: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return gains [T, P, 2] and predictive variances [T, P] of the filters for P dynamics [P, 2], whatever is observed."""
    damping, turn = theta[:, 0], theta[:, 1]
    a = damping[:, None, None] * np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], -1).reshape(-1, 2, 2)
    new = (1 - damping**2)[:, None, None] * np.eye(2)
    covariance = np.tile(np.eye(2), (len(theta), 1, 1))
    gains, variances = np.empty((cycles, len(theta), 2)), np.empty((cycles, len(theta)))
    for t in range(cycles):
        variances[t] = covariance[:, 0, 0] + noise**2
        gains[t] = covariance[:, :, 0] / variances[t][:, None]
        kept = covariance - gains[t][:, :, None] * covariance[:, None, 0]
        covariance = a @ kept @ a.swapaxes(1, 2) + new
    return gains, variances


def _states(theta: np.ndarray, gains: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """The mean states [N, 2] before each observation of y [N, T], of a filter for each sequence."""
    cos, sin = theta[:, 0] * np.cos(theta[:, 1]), theta[:, 0] * np.sin(theta[:, 1])
    state = np.zeros((len(y), 2))
    for t in range(y.shape[1]):
        yield state
        state = state + gains[t] * (y[:, t] - state[:, 0])[:, None]
        state = np.stack([cos * state[:, 0] - sin * state[:, 1], sin * state[:, 0] + cos * state[:, 1]], 1)


def mixture_of_filters(y: np.ndarray, noise: float, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of y[t] given those before it, [N, T], and that of damping and frequency, [N, T, 2]."""
    points, weights = zip(*(np.polynomial.legendre.leggauss(n) for n in grid), strict=True)
    sides = [low + (high - low) * (p + 1) / 2 for p, (low, high) in zip(points, (DAMPING, FREQUENCY), strict=True)]
    theta = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 2)
    prior = np.outer(*weights).ravel() / 4
    gains, variances = kalman_gains(theta, y.shape[1], noise)
    turn = theta[:, :1] * np.stack([np.cos(theta[:, 1]), np.sin(theta[:, 1])], 1)
    found = [_mix(piece, theta, turn, prior, gains, variances) for piece in np.array_split(y, -(-len(y) // AT_ONCE))]
    mean, parameters = (np.concatenate(part) for part in zip(*found, strict=True))
    return mean, parameters


def _mix(
    y: np.ndarray, theta: np.ndarray, turn: np.ndarray, prior: np.ndarray, gains: np.ndarray, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The means [N, T] and [N, T, 2] of some sequences; filters are P columns."""
    series, (cos, sin) = torch.from_numpy(y), torch.from_numpy(turn.T.copy())
    read = torch.from_numpy(np.column_stack([np.ones(len(theta)), theta]))  # sums of weights, and of what they weigh
    log_weight = torch.from_numpy(np.log(prior)).repeat(len(y), 1)
    a, b = torch.zeros_like(log_weight), torch.zeros_like(log_weight)
    mean, found = np.empty(y.shape), np.empty((*y.shape, 2))
    for t in range(y.shape[1]):
        weight = (log_weight - log_weight.amax(1, keepdim=True)).exp_()
        total, *moments = (weight @ read).T
        mean[:, t] = ((weight * a).sum(1) / total).numpy()
        found[:, t] = (torch.stack(moments, 1) / total[:, None]).numpy()
        gain, variance = torch.from_numpy(gains[t]), torch.from_numpy(variances[t])
        error = series[:, t, None] - a
        log_weight -= (error.square() / variance + variance.log()) / 2
        s, r = a + gain[:, 0] * error, b + gain[:, 1] * error
        a, b = cos * s - sin * r, sin * s + cos * r
    return mean, found


def autoregression(order: int, noise: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict by least squares on the last `order` values, one cycle at a time; x is not used."""
    from learning_to_learn.families.kalman import predictions

    del x
    series = np.pad(y[..., 0], ((0, 0), (order, 0)))
    lags = np.stack([series[:, order - k - 1 : series.shape[1] - k - 1] for k in range(order)], -1)
    said = predictions(
        torch.from_numpy(lags), torch.from_numpy(y[..., 0]), torch.eye(order, dtype=torch.float64), max(noise, 0.1)
    )
    return said.unsqueeze(-1).numpy()
