"""Measurements of a trained learner on data: outputs, then error curves, then metrics. Nothing here draws or writes."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from learning_to_learn.config import Config
from learning_to_learn.families import FAMILIES
from learning_to_learn.randomness import Stream
from learning_to_learn.training.curves import error_curves
from learning_to_learn.training.learner import ALIVE, MetaLearner
from learning_to_learn.training.metrics import Metrics, cycles_until_learnt, measure_all, summarise
from learning_to_learn.training.sequences import Sequences, held_out, in_streams

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
    """mse[t] of every replica, [R, T]"""
    best: np.ndarray
    """The Bayes-optimal learner's, [T]"""
    stream: dict[str, np.ndarray]
    """Absolute errors [time] of the median replica over a stream of mappings, see `stream_errors`."""


def evaluate(learner: MetaLearner) -> Evaluation:
    """Return what the learner does on the test data of its configuration."""
    config = learner.config
    curves = curves_on(learner, held_out(config, Stream.TEST))
    found = metrics_of(config, curves, test=True)
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
        "parameters": learner.network.parameters,
        "engine": learner.engine.name,
    }
    return Evaluation(result, replicas, curves, bayes_curve(config), stream_errors(learner))


def curves_on(learner: MetaLearner, data: Sequences) -> np.ndarray:
    """Return the error curve of every replica on data that are the same for all, [R, T]."""
    return error_curves(learner.outputs(data), data.targets, learner.config.family.sequence_length)


def metrics_of(config: Config, curves: np.ndarray, *, test: bool = False) -> list[Metrics]:
    """Return the metrics of error curves [R, T] on the validation data of a configuration, or on its test data."""
    length = config.family.sequence_length
    floor = config.family.make(test=test).floor(length)
    return measure_all(curves, floor, cycles_until_learnt(FAMILIES[config.family.name], length))


def validation_metrics(learner: MetaLearner) -> list[Metrics]:
    """Return the metrics of every replica when training last looked at the validation data."""
    assert learner.validation_curves is not None
    family = learner.config.family
    after = cycles_until_learnt(FAMILIES[family.name], family.sequence_length)
    return measure_all(learner.validation_curves, learner.validation_floor, after)


def describe(config: Config) -> dict[str, object]:
    """Return what a result is a result of."""
    return {
        "arch": config.arch.name,
        "family": config.family.name,
        "gradient": config.arch.gradient,
        "sequence_length": config.family.sequence_length,
        "carry_state": config.family.carry_state,
        "seed": config.seed,
    }


def bayes_curve(config: Config) -> np.ndarray:
    """Return the Bayes-optimal learner's expected error at every cycle, [T], on the test family."""
    values = config.family.make(test=True).variances().values
    length = config.family.sequence_length
    return np.pad(np.array(values[:length]), (0, max(0, length - len(values))))


def stream_errors(learner: MetaLearner, mappings: int = STREAM) -> dict[str, np.ndarray]:
    """Return absolute errors [time] over a stream of test mappings, once with the state carried over, once with it reset.

    Both are of one replica: the one whose error is the median in the way it was trained.
    """
    stream = in_streams(learner.config, Stream.TEST, mappings, 1)
    length = learner.config.family.sequence_length
    pieces = [stream.cut(slice(i * length, (i + 1) * length)) for i in range(mappings)]
    carried = (learner.outputs(stream) - stream.targets).abs()[:, 0].numpy()
    reset = torch.cat([(learner.outputs(p) - p.targets).abs()[:, 0] for p in pieces], -1).numpy()
    trained = carried if learner.config.family.carry_state else reset
    replica = np.argsort(trained.mean(1))[(len(trained) - 1) // 2]
    return {"state carried over": carried[replica], "state reset": reset[replica]}
