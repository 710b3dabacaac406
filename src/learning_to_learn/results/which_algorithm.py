"""Which algorithm did the network learn? Its outputs by cycle, beside those of a library of learners."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learning_to_learn.figures import distances_figure, save
from learning_to_learn.randomness import Stream
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.library import library
from learning_to_learn.training.sequences import held_out, training_mappings

SEQUENCES = 256
"""Test sequences on which outputs are compared, at most."""
BAYES_NAME = "Bayes"
DRAWN = 7
"""Learners in the picture: the nearest of them."""


@dataclass(frozen=True)
class Distances:
    """How far a network's outputs are from those of each learner."""

    by_cycle: dict[str, np.ndarray]
    """The mean squared difference at every cycle, [T]"""

    @property
    def means(self) -> dict[str, float]:
        """The mean over cycles, the nearest first."""
        found = {name: float(values.mean()) for name, values in self.by_cycle.items()}
        return dict(sorted(found.items(), key=lambda item: item[1]))

    @property
    def nearest(self) -> str:
        """The learner whose outputs are the nearest, on average over the cycles."""
        return next(iter(self.means))

    def nearest_at(self, cycle: int) -> str:
        """The learner whose outputs are the nearest at a cycle, counted from 1."""
        return min(self.by_cycle, key=lambda name: self.by_cycle[name][cycle - 1])


def distances(outputs: np.ndarray, learners: dict[str, np.ndarray]) -> Distances:
    """Compare outputs [N, T, m] with those of each learner, of the same shape."""
    return Distances({name: ((outputs - said) ** 2).mean((0, 2)) for name, said in learners.items()})


def which_algorithm(learner: MetaLearner, replica: int, folder: Path) -> dict:
    """Measure, draw algorithms.png, and return the distances and the nearest learner of one replica."""
    config, family = learner.config, learner.config.family.make(test=True)
    data = next(held_out(config, Stream.TEST).pieces(min(SEQUENCES, family.predictable)))
    seen = next(held_out(config, Stream.VALIDATION).pieces(SEQUENCES))
    validation = seen.x[0].double().numpy(), seen.targets[0].double().numpy()
    sets = training_mappings(config, dtype=torch.float64)
    among = None if sets is None or family.moving else sets[min(replica, len(sets) - 1)]
    x, y = data.x[0].double(), data.targets[0].double()
    said = {name: one(x.numpy(), y.numpy()) for name, one in library(family, *validation, among).items()}
    said[BAYES_NAME] = family.bayes(data.mappings[0].double(), x, y).numpy()
    found = distances(learner.outputs(data)[replica].double().numpy(), said)
    nearest = list(found.means)[:DRAWN]
    kept = [name for name in (*nearest, BAYES_NAME, "no learning") if name in found.by_cycle]
    title = f"How far the network is from other learners (nearest: {found.nearest})"
    save(distances_figure({name: found.by_cycle[name] for name in dict.fromkeys(kept)}, best=BAYES_NAME, title=title),
         folder / "algorithms.png")  # fmt: skip
    cycles = sorted({1, 2, 3, 5, 10, 20, 50, 100, y.shape[1]})
    return {
        "nearest": found.nearest,
        "nearest_after": {str(t): found.nearest_at(t) for t in cycles if t <= y.shape[1]},
        "distances": found.means,
    }
