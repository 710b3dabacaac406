"""A trained job on test data: metrics, curves and pictures, written into a folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from learning_to_learn.config import Config
from learning_to_learn.figures import curve_figure, save, stream_figure
from learning_to_learn.randomness import Stream
from learning_to_learn.runs.run_folder import write_atomically, write_rows
from learning_to_learn.training.learner import ALIVE, MetaLearner
from learning_to_learn.training.metrics import summarise
from learning_to_learn.training.sequences import held_out, in_streams

STREAM = 5
"""Mappings in the stream of Figure 3."""


@dataclass(frozen=True)
class Evaluation:
    result: dict
    """The row of a table: medians and ranges over replicas, and what was measured."""
    curves: np.ndarray
    """mse[t] of every replica, [R, T]"""
    best: np.ndarray
    """The Bayes-optimal learner's, [T]"""
    stream: dict[str, np.ndarray]
    """Absolute errors [time] of the median replica over a stream of mappings, see `stream_errors`."""
    pictures: dict[str, Path]


def evaluate(learner: MetaLearner, folder: Path) -> Evaluation:
    """Measure the learner on the test data of its configuration; write result.json, replicas.csv, curve.csv, stream.csv,
    figures/.
    """
    config = learner.config
    curves = learner.curves(held_out(config, Stream.TEST))
    found = learner.measure(curves, learner.test_floor)
    rows = [
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
    best = bayes_curve(config)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "replicas.csv", rows)
    names = [f"seed_{config.seed + i}" for i in range(len(curves))]
    write_rows(
        folder / "curve.csv",
        [
            {"cycle": t + 1, "bayes": best[t], **dict(zip(names, column, strict=True))}
            for t, column in enumerate(curves.T.tolist())
        ],
    )
    stream = stream_errors(learner)
    times = zip(*(values.tolist() for values in stream.values()), strict=True)
    errors = [{"time": t, **dict(zip(stream, values, strict=True))} for t, values in enumerate(times)]
    write_rows(folder / "stream.csv", errors)
    pictures = _pictures(learner, curves, best, stream, folder / "figures")
    write_atomically(folder / "result.json", json.dumps(result, indent=2))
    return Evaluation(result, curves, best, stream, pictures)


def describe(config: Config) -> dict[str, object]:
    """What a result is a result of."""
    return {
        "arch": config.arch.name,
        "family": config.family.name,
        "gradient": config.arch.gradient,
        "sequence_length": config.family.sequence_length,
        "carry_state": config.family.carry_state,
        "seed": config.seed,
    }


def bayes_curve(config: Config) -> np.ndarray:
    """The Bayes-optimal learner's expected error at every cycle, [T], on the test family."""
    values = config.family.make(test=True).variances().values
    length = config.family.sequence_length
    return np.pad(np.array(values[:length]), (0, max(0, length - len(values))))


def stream_errors(learner: MetaLearner, mappings: int = STREAM) -> dict[str, np.ndarray]:
    """Absolute errors [time] over a stream of test mappings, once with the state carried over, once with it reset.

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


def _pictures(
    learner: MetaLearner, curves: np.ndarray, best: np.ndarray, stream: dict[str, np.ndarray], folder: Path
) -> dict[str, Path]:
    config = learner.config
    title = f"{config.arch.name} ({learner.network.describe()}) on {config.family.name}"
    return {
        "curve_picture": save(curve_figure(curves, best, title=title), folder / "curve.png"),
        "stream_picture": save(stream_figure(stream, config.family.sequence_length, title=title), folder / "stream.png"),
    }
