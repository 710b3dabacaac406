"""Is it Bayes inside? (Mikulik et al. 2020): a network's states beside what the Bayes learner knows.

The Bayes learner's sufficient statistics are read off the states by a linear map, cycle by cycle. Then one machine simulates
the other: from the states of one, a fitted map makes states of the other, and these are run. The two compute the same where
that goes well in both directions. The fit is on one half of the sequences, everything is measured on the other.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learning_to_learn.families import Family
from learning_to_learn.figures import lines_figure, response_figure, save
from learning_to_learn.randomness import Stream
from learning_to_learn.results.read_out import explained
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import Sequences, held_out

SEQUENCES = 1024
"""Test sequences, at most."""
KEPT = 24
"""Cycles at which states are compared, at most."""
FEATURES = 192
"""Random tanh features of a map, besides the linear ones (Rahimi & Recht 2008)."""
PENALTY = 1e-4
"""Of the map, as a part of the features' variance."""
FAR = 5.0
"""How far from 0 the far inputs go, in units of what is usual in training."""
CONSTANT = 1e-10
"""A statistic whose variance is below this at a cycle is the same in all sequences: there is nothing to read."""


@dataclass(frozen=True)
class Walk:
    """One replica on test sequences, at some cycles."""

    cycles: np.ndarray
    """The C cycles, from 1; none is the first, for the cycle before is wanted, too."""
    states: np.ndarray
    """The whole state after each cycle, [N, C, D]"""
    before: np.ndarray
    """The state before it, [N, C, D]"""
    outputs: np.ndarray
    """[N, C, m]"""


@torch.no_grad()
def walk(learner: MetaLearner, replica: int, data: Sequences) -> Walk:
    """Run one replica in plain torch."""
    network, weights = learner.network, learner.evaluated[replica : replica + 1]
    layers, length = network.split(weights), data.inputs.shape[2]
    cycles = np.unique(np.geomspace(2, max(2, length), KEPT).astype(int))
    state, kept = network.initial_state(weights, data.inputs.shape[1]), []
    for t in range(length):
        before = state
        outputs, state = network.step(layers, state, data.inputs[:, :, t])
        if t + 1 in cycles:
            kept.append([v[0].double().numpy() for v in (state, before, outputs)])
    return Walk(cycles, *(np.stack(part, 1) for part in zip(*kept, strict=True)))


class Map:
    """A map from rows [N, K] to rows [N, L]: linear, and of random features, fitted by ridge regression on the rows given."""

    def __init__(self, source: np.ndarray, wanted: np.ndarray) -> None:
        random = np.random.default_rng(0)
        self._centre, self._scale = source.mean(0), source.std(0) + 1e-9
        self._weights = random.standard_normal((source.shape[1] + 1, FEATURES)) / source.shape[1] ** 0.5
        z = self._features(source)
        penalty = PENALTY * len(z) * np.eye(z.shape[1])
        penalty[-1, -1] = 0
        self._out = np.linalg.solve(z.T @ z + penalty, z.T @ wanted)

    def __call__(self, source: np.ndarray) -> np.ndarray:
        """Return the rows [N, L] that the map makes of some others."""
        return self._features(source) @ self._out

    def _features(self, source: np.ndarray) -> np.ndarray:
        one = np.ones((len(source), 1))
        z = (source - self._centre) / self._scale
        return np.hstack([z, np.tanh(np.hstack([z, one]) @ self._weights), one])


def left_over(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the squared error of rows [N, L] as a part of the variance: 0 is perfect, 1 is as good as their mean."""
    varies = truth.var(0) > CONSTANT
    if not varies.any():
        return float("nan")
    return float((((found - truth) ** 2).mean(0) / np.where(varies, truth.var(0), 1))[varies].mean())


def simulate(source: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
    """Return rows of `wanted` [N, C, L] made from `source` [N, C, K] for the second half of N, and what is left over.

    One map serves all cycles.
    """
    half = len(source) // 2
    flat = [v.reshape(-1, v.shape[-1]) for v in (source[:half], wanted[:half], source[half:], wanted[half:])]
    made = Map(flat[0], flat[1])(flat[2])
    return made.reshape(wanted[half:].shape), left_over(made, flat[3])


def bayes_inside(learner: MetaLearner, replica: int, folder: Path) -> dict:
    """Measure, draw, and return what the states of one replica know of what the Bayes learner knows."""
    family = learner.config.family.make(test=True)
    evaluation = dataclasses.replace(learner.config.evaluation, mappings=min(SEQUENCES, family.predictable))
    config = dataclasses.replace(
        learner.config, evaluation=evaluation, family=dataclasses.replace(learner.config.family, carry_state=False)
    )
    data = held_out(config, Stream.TEST)
    x, y = data.x[0].double(), data.targets[0].double()
    statistics = {name: value.double() for name, value in family.statistics(x, y).items()}
    found: dict = {}
    if statistics:
        seen = walk(learner, replica, data)
        found |= _read(seen, statistics, folder)
        found |= {"simulation": _both_ways(learner, replica, family, data, seen, statistics)}
    if family.input_size and not bool(((data.x == 0) | (data.x == 1)).all()):  # there is nothing farther than 0 and 1
        found |= {"far_inputs": _far(learner, replica, family, data, folder)}
    return found


def _read(seen: Walk, statistics: dict[str, torch.Tensor], folder: Path) -> dict:
    """R^2 of linear read-outs by cycle, and of shuffled sequences."""
    random, curves, chance = np.random.default_rng(0), {}, []
    for name, value in statistics.items():
        wanted = value[:, seen.cycles - 1].numpy()
        r2 = np.full(len(seen.cycles), np.nan)
        for i in range(len(seen.cycles)):
            varies = wanted[:, i].var(0) > CONSTANT
            if varies.any():
                r2[i] = explained(seen.states[:, i], wanted[:, i][:, varies]).mean()
                chance.append(explained(seen.states[:, i], random.permutation(wanted[:, i][:, varies])).mean())
        if np.isfinite(r2).any():
            curves[name] = r2
    save(lines_figure(curves, x=seen.cycles, ylabel="R² of a linear read-out of the state",
                      title="What the state knows of what the Bayes learner knows"), folder / "statistics.png")  # fmt: skip
    return {
        "r2_of_statistics": {name: float(np.nanmean(curve)) for name, curve in curves.items()},
        "r2_of_statistics_at_the_end": {name: float(curve[-1]) for name, curve in curves.items()},
        "r2_of_shuffled_statistics": float(np.mean(chance)),
    }


@torch.no_grad()
def _both_ways(
    learner: MetaLearner, replica: int, family: Family, data: Sequences, seen: Walk, statistics: dict[str, torch.Tensor]
) -> dict[str, float]:
    """What is left over of states and outputs where the Bayes learner simulates the network, and the network the Bayes learner.

    The network's state also holds the last input, which the Bayes learner's statistics do not: it is given. Simulated states of
    the network before a cycle make the cycle's outputs with its own inputs; simulated statistics, predictions with x[t].
    """
    x, at = data.x[0].double(), seen.cycles - 1
    together = torch.cat(list(statistics.values()), -1).numpy()
    half = len(together) // 2
    # The network before cycle t has seen x[t-1] and y[t-2]: the Bayes learner's knowledge at t-1.
    source = np.concatenate([together[:, at - 1], x[:, at - 1].numpy()], -1)
    states, state_error = simulate(source, seen.before)
    network, layers = learner.network, learner.network.split(learner.evaluated[replica : replica + 1])
    outputs = np.empty(seen.outputs[half:].shape)
    for i, t in enumerate(at):
        before = torch.from_numpy(states[:, i]).to(data.inputs)[None]
        outputs[:, i] = network.step(layers, before, data.inputs[:, half:, t])[0][0].double().numpy()
    made, statistics_error = simulate(seen.states, together[:, at])
    sizes = [value.shape[-1] for value in statistics.values()]
    pieces = dict(zip(statistics, torch.from_numpy(made).split(sizes, -1), strict=True))
    said = family.predict(pieces, x[half:, at]).numpy()
    best = family.predict({name: value[half:, at] for name, value in statistics.items()}, x[half:, at]).numpy()

    def apart(one: np.ndarray, other: np.ndarray) -> float:
        return left_over(one.reshape(-1, one.shape[-1]), other.reshape(-1, other.shape[-1]))

    return {
        "network_from_bayes_states": state_error,
        "network_from_bayes_outputs": apart(outputs, seen.outputs[half:]),
        "bayes_from_network_states": statistics_error,
        "bayes_from_network_outputs": apart(said, best),
    }


@torch.no_grad()
def _far(learner: MetaLearner, replica: int, family: Family, data: Sequences, folder: Path) -> dict[str, float]:
    """What the network and the Bayes learner say to inputs up to five times as far as usual, after a usual sequence."""
    last, scales = data.inputs.shape[2] - 1, np.linspace(-FAR, FAR, 41)
    direction = np.random.default_rng(0).standard_normal(family.input_size)
    usual = float(data.x[0].square().mean().sqrt()) * family.input_size**0.5
    direction *= usual / np.linalg.norm(direction)
    count = max(4, min(64, len(data.targets[0]) // 16))
    sure = family.certain_after is not None and last >= family.certain_after  # then the truth, which need not be asked for
    x, y = data.x[0, :count].double(), data.targets[0, :count].double()
    said, best = np.empty((count, len(scales))), np.empty((count, len(scales)))
    inputs = data.inputs[:, :count].clone()
    for i, scale in enumerate(scales):
        there = torch.from_numpy(scale * direction)
        inputs[:, :, last, : family.input_size] = there.to(inputs)  # x[t] is the first of what a cycle shows
        piece = Sequences(inputs, data.targets[:, :count], data.mappings[:, :count], data.input_size, data.epoch)
        said[:, i] = learner.outputs(piece)[replica, :, last, 0].double().numpy()
        x[:, last] = there
        mapping = data.mappings[0, :count].double()
        best[:, i] = (family.evaluate(mapping, x) if sure else family.bayes(mapping, x, y))[:, last, 0].numpy()
    save(response_figure(scales, said[:4], best[:4], title="The last answer, by how far away the input is"), folder / "far.png")
    near, far = np.abs(scales) <= 1, np.abs(scales) >= FAR - 1
    return {
        "distance_near": float(((said - best) ** 2)[:, near].mean()),
        "distance_far": float(((said - best) ** 2)[:, far].mean()),
        "size_of_bayes_far": float((best**2)[:, far].mean() ** 0.5),
        "size_of_network_far": float((said**2)[:, far].mean() ** 0.5),
    }
