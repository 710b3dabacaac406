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
from learning_to_learn.families import FAMILIES, Family
from learning_to_learn.losses import divergence, loss_of
from learning_to_learn.randomness import Stream
from learning_to_learn.topology.size import size_of
from learning_to_learn.training.baselines import bayes_of_a_finite_prior
from learning_to_learn.training.curves import error_curves
from learning_to_learn.training.excess import Errors, bayes_outputs, join_errors, measure_outputs
from learning_to_learn.training.learner import ALIVE, MetaLearner
from learning_to_learn.training.metrics import (
    MEMORIES,
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
REMEMBERED = 128
"""Sequences that a replica is compared on with the learner of its own mappings, of each kind."""
REPLICAS_AT_ONCE = 32
"""Replicas that are measured at once: the outputs of more leave the caches."""
SAMPLED = 32
"""Test sequences that tell the variance of a sampler."""
STREAM = 5
"""Mappings in the stream of Figure 3."""
CARRIED, RESET = "state carried over", "state reset"


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
    """Return what the learner of one job does on the test data of its configuration."""
    [found] = evaluate_parts(learner)
    return found


def evaluate_parts(learner: MetaLearner) -> list[Evaluation]:
    """Return what the learner of each job does on the test data, which the jobs share. All are measured together."""
    errors, best, streams = errors_on_test_data(learner), bayes_curve(learner.config), stream_errors_of_all(learner)
    return [
        _evaluation(
            part, Errors(errors.curves[r], errors.excess[r], errors.steps[r]), best, {k: v[r] for k, v in streams.items()}
        )
        for part, r in zip(learner.parts, learner.places, strict=True)
    ]


def _evaluation(learner: MetaLearner, errors: Errors, best: np.ndarray, streams: dict[str, np.ndarray]) -> Evaluation:
    config = learner.config
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
        **size_of(learner.network, config.family.sequence_length),
        "engine": learner.engine.name,
        **memorizing(learner),
        **sampling(config),
    }
    return Evaluation(result, replicas, errors.curves, best, _of_the_median_replica(config, streams))


def errors_on_test_data(learner: MetaLearner) -> Errors:
    """Return what every replica does on the test data, piece by piece: the outputs of all at once can be gigabytes."""
    config = learner.config
    data = held_out(config, Stream.TEST)
    best = bayes_outputs(config, data)
    count = max(1, AT_ONCE * config.family.length(test=True) // data.targets.shape[2])
    pieces = list(zip(data.pieces(count), _pieces(best, count), strict=False))
    found = [
        join_errors([errors_of(config, learner.outputs(piece, replicas=some), piece, m) for piece, m in pieces])
        for some in _blocks(len(learner.weights))
    ]
    return Errors(*(np.concatenate([getattr(one, key) for one in found]) for key in ("curves", "excess", "steps")))


def _blocks(replicas: int) -> list[slice]:
    return [slice(first, first + REPLICAS_AT_ONCE) for first in range(0, replicas, REPLICAS_AT_ONCE)]


def _pieces(best: Float[Tensor, "1 M T m"], count: int) -> Iterator[Float[Tensor, "1 _ T m"]]:
    """Yield the Bayes predictor's outputs in pieces of `count` sequences; pieces past the last are empty."""
    for first in itertools.count(0, count):
        yield best[:, first : first + count]


def memorizing(learner: MetaLearner) -> dict[str, float]:
    """Return what the Bayes-optimal learner of the training mappings alone does, and how near the network is to it; nothing
    where these are not a finite set.

    `floor_of_training_mappings` is its loss on new sequences of its own mappings, `mse_of_memorizing` that on the test
    mappings; both are of the first replica's mappings. `mse_on_training_mappings` is the network's loss on the same new
    sequences, `distance_to_memorizing` the divergence of its outputs from that learner's on the test mappings, to be held
    against the excess, which is that from the family's own Bayes learner; both are medians over replicas. (Raventós et al.
    2023, whose "dMMSE" and ridge these two learners are.)
    """
    config, family = learner.config, learner.family
    sets = None if family.moving else training_mappings(config, dtype=torch.float64)
    if sets is None:
        return {}
    kind, found = (family.output, family.loss), []
    for replica in range(len(sets)):
        data = _of_training_mappings(config, sets[replica : replica + 1], REMEMBERED if replica else AT_ONCE)
        told = [_memorized(family, sets[replica], one) for one in data]
        own, others = (next(one.pieces(REMEMBERED)) for one in data)
        said = [_outputs_of(learner, replica, one) for one in (own, others)]
        found.append(
            [
                *(float(loss_of(m, one.targets, *kind).mean()) for m, one in zip(told, data, strict=True)),
                float(loss_of(said[0], own.targets, *kind).mean()),
                float(divergence(told[1][:, :REMEMBERED], said[1], *kind).mean()),
            ]
        )
    prior, network = found[0][:2], (median(column, worst=math.inf) for column in list(zip(*found, strict=True))[2:])
    return dict(zip(MEMORIES, (*prior, *network), strict=True))


def _of_training_mappings(config: Config, mappings: Float[Tensor, "1 M *E"], most: int) -> tuple[Sequences, Sequences]:
    """Return new sequences of these mappings, and the first ones of the test data."""
    family, seed = config.family, [config.evaluation.seed]
    count, stacked = min(most, config.evaluation.mappings), family.encoding == "stacked"
    own = draw_sequences(
        family.make(), family.sequence_length, count, seed, Stream.TEST, 2, dtype=torch.float64, among=mappings, stacked=stacked
    )
    length = family.length(test=True)
    test = draw_sequences(family.make(test=True), length, count, seed, Stream.TEST, 0, dtype=torch.float64, stacked=stacked)
    return own, test


def _memorized(family: Family, mappings: Float[Tensor, "M *E"], data: Sequences) -> Float[Tensor, "1 N T m"]:
    """Return the outputs of the learner that knows these mappings and no others."""
    x, y = data.x[0].numpy(), data.targets[0].numpy()
    return torch.from_numpy(bayes_of_a_finite_prior(family, mappings, x, y))[None]


def _outputs_of(learner: MetaLearner, replica: int, data: Sequences) -> Float[Tensor, "1 N T m"]:
    """Return one replica's outputs."""
    weights = learner.evaluated[replica : replica + 1]
    with torch.no_grad():
        return learner.engine.outputs(weights, data.inputs.to(weights))[0].double()


def sampling(config: Config) -> dict[str, float]:
    """Return the Bayes predictor's own variance where it is a sampler: so much of the excess is its."""
    family = config.family.make(test=True)
    data = next(held_out(config, Stream.TEST).pieces(SAMPLED))
    length = config.family.length(test=True)
    x, y = (v[0, :, :length].double() for v in (data.x, data.targets))
    variance = family.bayes_variance(x, y)
    return {} if variance is None else {"bayes_variance": float(variance.mean())}


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
    return _of_the_median_replica(learner.config, stream_errors_of_all(learner, mappings))


def stream_errors_of_all(learner: MetaLearner, mappings: int = STREAM) -> dict[str, np.ndarray]:
    """Return what `stream_errors` does, of every replica: [R, time]."""
    stream = in_streams(learner.config, Stream.TEST, mappings, 1)
    length = learner.config.family.length(test=True)
    pieces = [stream.cut(slice(i * length, (i + 1) * length)) for i in range(mappings)]
    carried = (learner.outputs(stream) - stream.targets).abs()[:, 0].mean(-1).numpy()
    reset = torch.cat([(learner.outputs(p) - p.targets).abs()[:, 0].mean(-1) for p in pieces], -1).numpy()
    return {CARRIED: carried, RESET: reset}


def _of_the_median_replica(config: Config, streams: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    trained = streams[CARRIED if config.family.carry_state else RESET]
    replica = np.argsort(trained.mean(1))[(len(trained) - 1) // 2]
    return {key: errors[replica] for key, errors in streams.items()}
