"""Measurements of a trained learner on data: outputs, then error curves, then metrics. Nothing here draws or writes."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn.config import Config
from learning_to_learn.families import FAMILIES
from learning_to_learn.losses import loss_of
from learning_to_learn.randomness import Stream
from learning_to_learn.topology.size import size_of
from learning_to_learn.training.baselines import bayes_of_a_finite_prior
from learning_to_learn.training.curves import error_curves
from learning_to_learn.training.excess import Errors, bayes_outputs, join_errors, measure_outputs
from learning_to_learn.training.learner import ALIVE, MetaLearner
from learning_to_learn.training.metrics import (
    Metrics,
    beside_the_best,
    cycles_until_learnt,
    learnt_below,
    measure_all,
    median,
    summarise,
)
from learning_to_learn.training.sequences import Sequences, draw_sequences, held_out, in_streams, training_mappings

AT_ONCE = 512
"""Test sequences that are measured at once."""
STREAM = 5
"""Mappings in the stream of Figure 3."""


@dataclass(frozen=True)
class Evaluation:
    """What a learner does on the test data of its configuration."""

    result: dict
    """The row of a table: medians and ranges over replicas, and what was measured."""
    replicas: list[dict]
    """A row for every replica: its seed and its metrics."""
    curves: np.ndarray
    """The loss at every cycle of every replica, [R, T]"""
    best: np.ndarray
    """The Bayes-optimal learner's, [T]"""
    stream: dict[str, np.ndarray]
    """Absolute errors [time] of the median replica over a stream of mappings, see `stream_errors`."""


def evaluate(learner: MetaLearner) -> Evaluation:
    """Return what the learner does on the test data of its configuration."""
    config = learner.config
    errors = errors_on_test_data(learner)
    found = metrics_of_errors(config, errors)
    replicas = [
        {"seed": config.seed + i, **asdict(m), "diverged_at_epoch": None if at == ALIVE else int(at)}
        for i, (m, at) in enumerate(zip(found, learner.diverged_at, strict=True))
    ]
    result = {
        **describe(config),
        **summarise(found, learner.test_floor),
        "diverged": len(learner.diverged),
        "epochs": learner.epochs_done,
        "seconds": learner.seconds,
        **size_of(learner.network),
        "engine": learner.engine.name,
        **memorizing(config),
    }
    return Evaluation(result, replicas, errors.curves, bayes_curve(config), stream_errors(learner))


def errors_on_test_data(learner: MetaLearner) -> Errors:
    """Return what every replica does on the test data, piece by piece: the outputs of all at once can be gigabytes."""
    config = learner.config
    data = held_out(config, Stream.TEST)
    best = bayes_outputs(config, data)
    count = max(1, AT_ONCE * config.family.length(test=True) // data.targets.shape[2])
    pieces = zip(data.pieces(count), _pieces(best, count), strict=False)
    return join_errors([errors_of(config, learner.outputs(piece), piece, m) for piece, m in pieces])


def _pieces(best: Float[Tensor, "1 M T m"], count: int) -> Iterator[Float[Tensor, "1 _ T m"]]:
    """Yield the Bayes predictor's outputs in pieces of `count` sequences; pieces past the last are empty."""
    for first in itertools.count(0, count):
        yield best[:, first : first + count]


def memorizing(config: Config) -> dict[str, float]:
    """Return what a learner reaches that knows the training mappings and no others; nothing where these are not a finite set.

    `floor_of_training_mappings` is its loss on new sequences of its own mappings, `mse_of_memorizing` that on the test
    mappings. Both are of the first replica's mappings.
    """
    family, test = config.family.make(), config.family.make(test=True)
    sets = None if family.moving else training_mappings(config, dtype=torch.float64)
    if sets is None:
        return {}
    count, seed, found = min(AT_ONCE, config.evaluation.mappings), [config.evaluation.seed], []
    length, test_length = config.family.sequence_length, config.family.length(test=True)
    own = draw_sequences(family, length, count, seed, Stream.TEST, 2, dtype=torch.float64, among=sets[:1])
    others = draw_sequences(test, test_length, count, seed, Stream.TEST, 0, dtype=torch.float64)
    for data in (own, others):
        x, y = data.x[0].numpy(), data.targets[0].numpy()
        said = torch.from_numpy(bayes_of_a_finite_prior(family, sets[0], x, y))
        found.append(float(loss_of(said, data.targets[0], family.output, family.loss).mean()))
    return dict(zip(("floor_of_training_mappings", "mse_of_memorizing"), found, strict=True))


def errors_of(config: Config, outputs: Float[Tensor, "R N T m"], data: Sequences, best: Float[Tensor, "1 N T m"]) -> Errors:
    """Return what learners with these outputs do on test data, of which `best` are the Bayes predictor's outputs."""
    family, length = config.family.make(test=True), config.family.length(test=True)
    return measure_outputs(family, outputs, data.targets, best, length, learnt_below(family.floor(length)))


def metrics_of_errors(config: Config, errors: Errors) -> list[Metrics]:
    """Return the metrics of every learner on test data."""
    found = metrics_of(config, errors.curves, test=True)
    noisy = config.family.make(test=True).floor(config.family.length(test=True)).limit > 0
    return [
        beside_the_best(m, excess, None if noisy else steps)
        for m, excess, steps in zip(found, errors.excess, errors.steps, strict=True)
    ]


def curves_on(learner: MetaLearner, data: Sequences, *, test: bool = False) -> np.ndarray:
    """Return the error curve of every replica on validation or test data, which are the same for all, [R, T]."""
    length = learner.config.family.length(test=test)
    return error_curves(learner.family, learner.outputs(data), data.targets, length)


def metrics_of(config: Config, curves: np.ndarray, *, test: bool = False) -> list[Metrics]:
    """Return the metrics of error curves [R, T] on the validation data of a configuration, or on its test data."""
    length = config.family.length(test=test)
    floor = config.family.make(test=test).floor(length)
    return measure_all(curves, floor, cycles_until_learnt(FAMILIES[config.family.name], length))


def validation_metrics(learner: MetaLearner) -> list[Metrics]:
    """Return the metrics of every replica when training last looked at the validation data."""
    assert learner.validation_curves is not None
    family = learner.config.family
    after = cycles_until_learnt(FAMILIES[family.name], family.sequence_length)
    return measure_all(learner.validation_curves, learner.validation_floor, after)


def validation_score(learner: MetaLearner) -> float:
    """Return the median score when training last looked at the validation data. NaN ranks worst."""
    return median([m.score for m in validation_metrics(learner)], worst=-math.inf)


def describe(config: Config) -> dict[str, object]:
    """Return what a result is a result of."""
    return {
        "arch": config.arch.name,
        "family": config.family.name,
        "gradient": config.arch.gradient,
        "sequence_length": config.family.length(test=True),
        "loss": config.family.make().loss,
        "carry_state": config.family.carry_state,
        "seed": config.seed,
    }


def bayes_curve(config: Config) -> np.ndarray:
    """Return the Bayes-optimal learner's expected loss at every cycle, [T], on the test family."""
    return np.array(config.family.make(test=True).losses(config.family.length(test=True)).values)


def stream_errors(learner: MetaLearner, mappings: int = STREAM) -> dict[str, np.ndarray]:
    """Return absolute errors [time] over a stream of test mappings, once with the state carried over, once with it reset.

    Both are of one replica: the one whose error is the median in the way it was trained.
    """
    stream = in_streams(learner.config, Stream.TEST, mappings, 1)
    length = learner.config.family.length(test=True)
    pieces = [stream.cut(slice(i * length, (i + 1) * length)) for i in range(mappings)]
    carried = (learner.outputs(stream) - stream.targets).abs()[:, 0].mean(-1).numpy()
    reset = torch.cat([(learner.outputs(p) - p.targets).abs()[:, 0].mean(-1) for p in pieces], -1).numpy()
    trained = carried if learner.config.family.carry_state else reset
    replica = np.argsort(trained.mean(1))[(len(trained) - 1) // 2]
    return {"state carried over": carried[replica], "state reset": reset[replica]}
