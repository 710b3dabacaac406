"""What a trained network keeps in its cells (the paper's section 5).

Boolean: do the cells' states at the end of a sequence tell the function, and with how many bits? Semi-linear and quadratic: how
much of the function's parameters can be read off the cells by a linear map, as cycles go by, and does a cell count down like
1/t? Everything is fitted on one half of the test sequences and measured on the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.families import FAMILIES
from learning_to_learn.figures import lines_figure, map_figure, save
from learning_to_learn.randomness import Stream
from learning_to_learn.runs.run_folder import write_json
from learning_to_learn.training.evaluation import curves_on
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import held_out

RIDGE = 1e-3
"""The penalty of the read-outs, as a part of the states' variance."""
SIGNIFICANT = 0.5
"""A cell carries a bit where its sign says at least this many bits of the function."""


@dataclass(frozen=True)
class Trajectory:
    """The states of the cells of the median replica on test sequences."""

    states: np.ndarray
    """[N, T, cells]"""
    mappings: np.ndarray
    """[N, E]"""
    replica: int


def probe(learner: MetaLearner, folder: Path) -> dict:
    """Measure, draw, and write probe.json; return what it holds. Raise UserError on a network without cells."""
    if not any(layer.states for layer in learner.network.layers):
        raise UserError("this network has no cells: only units with a state keep something that could be read")
    family = learner.config.family.name
    names = FAMILIES[family].parameter_names
    seen = trajectory(learner)
    if not names and not _are_truth_tables(seen.mappings):
        raise UserError(f"no probe is known for the family {family}: it has no parameter_names, and no truth tables")
    folder.mkdir(parents=True, exist_ok=True)
    found = {"replica": seen.replica, "cells": seen.states.shape[2]}
    found |= _continuous(names, seen, folder) if names else _boolean(seen, folder)
    write_json(folder / "probe.json", found)
    return found


def _are_truth_tables(mappings: np.ndarray) -> bool:
    """Return whether every row [E] of the mappings is the four outputs of a Boolean function."""
    return mappings.shape[-1] == 4 and bool(np.isin(mappings, (0.0, 1.0)).all())


@torch.no_grad()
def trajectory(learner: MetaLearner) -> Trajectory:
    """Run the median replica through the test data, in plain torch; return its cells' states."""
    data = held_out(learner.config, Stream.TEST)
    errors = curves_on(learner, data).mean(1)
    replica = int(np.argsort(errors)[(len(errors) - 1) // 2])
    network, weights = learner.network, learner.evaluated[replica : replica + 1]
    layers, states = network.split(weights), []
    state = network.initial_state(weights, data.inputs.shape[1])
    for t in range(data.inputs.shape[2]):
        _, state = network.step(layers, state, data.inputs[:, :, t])
        states.append(torch.cat(network.split_state(state)[1], -1)[0])
    return Trajectory(torch.stack(states, 1).double().numpy(), data.mappings[0].double().numpy(), replica)


def read_out(states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return predictions [N/2, K] of `wanted` [N, K] by a linear map of `states` [N, cells], fitted on the other half."""
    half = len(states) // 2
    centre, spread = states[:half].mean(0), states[:half].std(0) + 1e-9
    z = np.hstack([(states - centre) / spread, np.ones((len(states), 1))])
    penalty = RIDGE * half * np.eye(z.shape[1])
    penalty[-1, -1] = 0
    weights = np.linalg.solve(z[:half].T @ z[:half] + penalty, z[:half].T @ wanted[:half])
    return z[half:] @ weights


def explained(states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return R^2 of the read-out, [K], on rows that it was not fitted on."""
    truth = wanted[len(wanted) // 2 :]
    return 1 - ((read_out(states, wanted) - truth) ** 2).sum(0) / ((truth - truth.mean(0)) ** 2).sum(0)


def accuracy(states: np.ndarray, classes: np.ndarray) -> float:
    """Return how often the largest of one linear read-out a class is the right class [N]."""
    names, index = np.unique(classes, return_inverse=True)
    guess = read_out(states, np.eye(len(names))[index]).argmax(1)
    return float((guess == index[len(index) // 2 :]).mean())


def table_accuracy(states: np.ndarray, tables: np.ndarray) -> float:
    """Return how often a linear read-out of each output gets the whole truth table [N, 4] right: a code of four bits."""
    truth = tables[len(tables) // 2 :] > 0.5
    return float(((read_out(states, tables) > 0.5) == truth).all(1).mean())


def information(bit: np.ndarray, classes: np.ndarray) -> float:
    """Return the mutual information, in bits, of a truth value [N] and a class [N]."""
    total = 0.0
    for value in (False, True):
        for name in np.unique(classes):
            both = np.mean((bit == value) & (classes == name))
            if both > 0:
                total += both * np.log2(both / (np.mean(bit == value) * np.mean(classes == name)))
    return float(total)


def _boolean(seen: Trajectory, folder: Path) -> dict:
    functions = (seen.mappings @ (2 ** np.arange(4))).astype(int)
    last = seen.states[:, -1]
    signs = last > np.median(last, axis=0)
    bits = [information(signs[:, i], functions) for i in range(last.shape[1])]
    code = signs @ (2 ** np.arange(signs.shape[1]))
    named = np.unique(functions)
    means = np.stack([last[functions == f].mean(0) for f in named], 1)
    width = np.abs(means).max(1, keepdims=True) + 1e-9
    save(map_figure(means / width, columns=[f"{f:04b}" for f in named], rows="cell", title="Cells' mean states at the end, by "
                    "function (its outputs for 11, 10, 01, 00)"), folder / "cells.png")  # fmt: skip
    by_cycle = [accuracy(seen.states[:, t], functions) for t in range(seen.states.shape[1])]
    save(lines_figure({"linear read-out": np.array(by_cycle)}, ylabel="functions told apart", title="Which function is it?"),
         folder / "readout.png")  # fmt: skip
    return {
        "accuracy": by_cycle[-1],
        "accuracy_of_all_outputs": table_accuracy(last, seen.mappings),
        "accuracy_of_the_outputs": {f"{i:02b}": accuracy(last, seen.mappings[:, i]) for i in range(4)},
        "bits_of_each_cell": bits,
        "binary_cells": int(sum(b >= SIGNIFICANT for b in bits)),
        "bits_of_all_signs": _joint_information(code, functions),
    }


def _joint_information(code: np.ndarray, classes: np.ndarray) -> float:
    """Return the mutual information of two classes, in bits: what all the cells' signs say together."""

    def entropy(values: np.ndarray) -> float:
        share = np.unique(values, return_counts=True)[1] / len(values)
        return float(-(share * np.log2(share)).sum())

    return entropy(code) + entropy(classes) - entropy(code * (classes.max() + 1) + classes)


def _continuous(names: Sequence[str], seen: Trajectory, folder: Path) -> dict:
    length = seen.states.shape[1]
    cycles = np.unique(np.geomspace(1, length, 60).astype(int))
    r2 = np.array([explained(seen.states[:, t - 1], seen.mappings) for t in cycles])
    save(lines_figure({n: r2[:, i] for i, n in enumerate(names)}, x=cycles, ylabel="R² of a linear read-out of the cells",
                      title="What the cells know of the function"), folder / "readout.png")  # fmt: skip
    mean = seen.states.mean(0)
    decay = 1 / np.arange(1, length + 1)
    correlation = [float(np.corrcoef(mean[:, i], decay)[0, 1]) for i in range(mean.shape[1])]
    found = {
        "r2_at_the_end": dict(zip(names, r2[-1].tolist(), strict=True)),
        "correlation_of_each_cell_with_1_over_t": correlation,
        "largest_correlation_with_1_over_t": max(correlation, key=abs),
    }
    for t in (3, 6, 10, 35, 50):
        if t <= length:
            found[f"r2_after_{t}"] = dict(zip(names, explained(seen.states[:, t - 1], seen.mappings).tolist(), strict=True))
    return found
