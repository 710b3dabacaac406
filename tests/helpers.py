"""Small networks, random data and small jobs for the tests."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from learning_to_learn.composing import compose_config
from learning_to_learn.config import Config, fingerprint, to_yaml
from learning_to_learn.runs import run_folder as files
from learning_to_learn.topology import UNITS, Network, VectorUnit

NETWORKS = {
    "neurons": [{"neuron": 3}],
    "cells": [{"memory_cell": 2, "neuron": 2}],
    "two_layers": [{"memory_cell": 2, "neuron": 1}, {"neuron": 3}],
    "all_kinds": [{"forget_cell": 1, "logistic": 2}, {"memory_cell": 3}],
}


SCALAR_UNITS = [name for name, unit in UNITS.items() if not isinstance(unit, VectorUnit)]
VECTOR_UNITS = [name for name in UNITS if name not in SCALAR_UNITS]
SCALAR_NETWORKS = [*NETWORKS, *SCALAR_UNITS]
NETWORKS_AND_UNITS = [*SCALAR_NETWORKS, *VECTOR_UNITS]
"""The networks above, and two units of every kind that is registered."""


def several(name: str, count: int, width: int = 3) -> dict:
    """`count` units of a kind as a layer is given them; of a vector unit groups of `width`."""
    return {name: {"count": count, "width": width} if name in VECTOR_UNITS else count}


def network(name: str, **options) -> Network:
    """The network of that name, or two units of the kind of that name."""
    return Network.of(NETWORKS.get(name) or [several(name, 2)], **options)


def random_case(net: Network, *, replicas=1, batch=3, length=7, dtype=torch.float64, seed=0, scale=1.0):
    """Parameters [R, P], inputs [R, B, T, I] and targets [R, B, T, m]; of classes, one-hot."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    parameters = scale * (2 * draw(replicas, net.parameters) - 1)
    targets = draw(replicas, batch, length, net.outputs)
    if net.kind == "softmax":
        targets = torch.nn.functional.one_hot(targets.argmax(-1), net.outputs).to(dtype)
    return parameters, 2 * draw(replicas, batch, length, net.inputs) - 1, targets


def job(*overrides: str) -> Config:
    """The configuration of a job of a second or two, with other values where `overrides` says so."""
    small = ["trainer=quick", "replicas=2", "family.sequence_length=20", "evaluation.mappings=16", "logger.mode=disabled"]
    return compose_config(*small, "trainer.epochs=6", "trainer.evaluate_every=2", *overrides)


def finished_run(folder: Path, config: Config, scores: Mapping[int, float], overrides=()) -> Path:
    """Write the folder of a finished job whose replicas, by seed, have reached these scores: MSE = 0.1 - 0.08 score."""
    folder.mkdir(parents=True)
    (folder / files.CONFIG).write_text(to_yaml(config), encoding="utf-8")
    mse = {seed: 0.1 - 0.08 * score for seed, score in scores.items()}
    middle = sorted(scores.values())[len(scores) // 2]
    look = {files.EPOCH: config.trainer.epochs, files.SECONDS: 2.0, files.SCORE: middle, files.SCORE_LOWER: middle,
            files.SCORE_UPPER: middle}  # fmt: skip
    files.write_rows(folder / files.METRICS, [look])
    files.write_rows(folder / files.REPLICAS, [
        {"seed": seed, "mse": mse[seed], "score": score, "success": score >= 0.9, "cycles_to_learn": None,
         "mse_after_learning": mse[seed], "diverged_at_epoch": None}
        for seed, score in scores.items()
    ])  # fmt: skip
    result = {
        "no_learning": 0.1, "no_learning_error": 0.0, "floor": 0.02, "floor_error": 0.0, "seconds": 2.0 * len(scores),
        "epochs": config.trainer.epochs, "replicas": len(scores), "successes": sum(s >= 0.9 for s in scores.values()),
        "score_median": middle, "mse_median": 0.1 - 0.08 * middle,
    }  # fmt: skip
    (folder / files.RESULT).write_text(json.dumps(result), encoding="utf-8")
    stamp = {"overrides": list(overrides), "fingerprint": fingerprint(config), "epochs": config.trainer.epochs, "seconds": 2.0}
    files.set_status(folder, files.Status.FINISHED, **stamp)
    return folder
