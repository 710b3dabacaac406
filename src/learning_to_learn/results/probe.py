"""What a trained network keeps in its cells (the paper's section 5).

Boolean: do the cells' states at the end of a sequence tell the function, and with how many bits? Semi-linear and quadratic: how
much of the function's parameters can be read off the cells by a linear map, as cycles go by, and does a cell count down like
1/t? Of any family: does the state hold what the Bayes learner knows (bayes_inside.py), and to which of a library of learners is
the network nearest (which_algorithm.py)? Everything is fitted on one half of the sequences and measured on the other. A read-
out of shuffled mappings, each sequence with the mapping of another, stands beside every figure: what the estimate itself finds
where there is nothing.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.figures import lines_figure, map_figure, save
from learning_to_learn.randomness import Stream
from learning_to_learn.results.bayes_inside import bayes_inside
from learning_to_learn.results.read_out import explained, read_out
from learning_to_learn.results.which_algorithm import which_algorithm
from learning_to_learn.runs.run_folder import write_json
from learning_to_learn.training.evaluation import curves_on
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import held_out

SEQUENCES = 16_384
"""Test sequences of a probe: a plug-in estimate of 4 bits from 6 signs is then too high by 0.04 bits, from 512 by 0.7."""
KEPT = 60
"""Cycles at which there is a read-out, at most."""
TOLD = (3, 6, 10, 35, 50)
"""Cycles whose read-out is also told in numbers."""
SHUFFLED = "shuffled"
SIGNIFICANT = 0.5
"""A cell carries a bit where its sign says at least this many bits of the function."""


@dataclass(frozen=True)
class Trajectory:
    """The states of the cells of the median replica on test sequences."""

    cycles: np.ndarray
    """The C cycles, from 1, whose states are kept, about evenly on a logarithmic axis; the last is T."""
    states: np.ndarray
    """[N, C, cells]"""
    means: np.ndarray
    """The mean over sequences of the states of every cycle, [T, cells]"""
    mappings: np.ndarray
    """[N, E]"""
    replica: int

    @property
    def shuffled(self) -> np.ndarray:
        """The mappings of other sequences, [N, E]."""
        return np.random.default_rng(0).permutation(self.mappings)


def probe(learner: MetaLearner, folder: Path) -> dict:
    """Measure, draw, and write probe.json; return what it holds. Raise UserError on a network without cells."""
    if not learner.network.cells:
        raise UserError("this network has no cells: only units with a state keep something that could be read")
    names = learner.config.family.make(test=True).parameter_names
    seen = trajectory(learner)
    folder.mkdir(parents=True, exist_ok=True)
    found = {"replica": seen.replica, "cells": seen.states.shape[2], "sequences": len(seen.states)}
    if names:
        found |= _continuous(names, seen, folder)
    elif _are_truth_tables(seen.mappings):
        found |= _boolean(seen, folder)
    found |= {"bayes_inside": bayes_inside(learner, seen.replica, folder)}
    found |= {"which_algorithm": which_algorithm(learner, seen.replica, folder)}
    write_json(folder / "probe.json", found)
    return found


def _are_truth_tables(mappings: np.ndarray) -> bool:
    """Return whether every row [E] of the mappings is the four outputs of a Boolean function."""
    return mappings.shape[-1] == 4 and bool(np.isin(mappings, (0.0, 1.0)).all())


@torch.no_grad()
def trajectory(learner: MetaLearner, sequences: int = SEQUENCES) -> Trajectory:
    """Run the median replica through so many test sequences, in plain torch; return its cells' states."""
    errors = curves_on(learner, held_out(learner.config, Stream.TEST), test=True).mean(1)
    replica = int(np.argsort(errors)[(len(errors) - 1) // 2])
    evaluation = dataclasses.replace(learner.config.evaluation, mappings=sequences)
    data = held_out(dataclasses.replace(learner.config, evaluation=evaluation), Stream.TEST)
    network, weights = learner.network, learner.evaluated[replica : replica + 1]
    length = data.inputs.shape[2]
    cycles = np.unique([*np.geomspace(1, length, KEPT).astype(int), *(t for t in TOLD if t <= length)])
    state, states, means = None, [], []
    for t in range(length):
        _, state = network.forward(weights, data.inputs[:, :, t : t + 1], state)
        cells = torch.cat(network.split_state(state)[1], -1)[0].double()
        means.append(cells.mean(0))
        if t + 1 in cycles:
            states.append(cells)
    mappings = data.mappings[0].double().numpy()
    return Trajectory(cycles, torch.stack(states, 1).numpy(), torch.stack(means).numpy(), mappings, replica)


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
    functions, shuffled = ((m @ (2 ** np.arange(4))).astype(int) for m in (seen.mappings, seen.shuffled))
    last = seen.states[:, -1]
    signs = last > np.median(last, axis=0)
    bits, chance = ([information(signs[:, i], f) for i in range(last.shape[1])] for f in (functions, shuffled))
    code = signs @ (2 ** np.arange(signs.shape[1]))
    named = np.unique(functions)
    means, others = (np.stack([last[f == one].mean(0) for one in named], 1) for f in (functions, shuffled))
    width = np.abs(means).max(1, keepdims=True) + 1e-9
    rows = [f"cell {i + 1}{of}" for of in ("", f", {SHUFFLED}") for i in range(len(means))]
    save(map_figure(np.concatenate([means, others]) / np.concatenate([width, width]), columns=[f"{f:04b}" for f in named],
                    rows=rows, title="Cells' mean states at the end, by function (its outputs for 11, 10, 01, 00)"),
         folder / "cells.png")  # fmt: skip
    by_cycle = {
        name: np.array([accuracy(seen.states[:, i], f) for i in range(len(seen.cycles))])
        for name, f in (("linear read-out", functions), (f"{SHUFFLED} functions", shuffled))
    }
    save(lines_figure(by_cycle, x=seen.cycles, ylabel="functions told apart", title="Which function is it?"),
         folder / "readout.png")  # fmt: skip
    return {
        "accuracy": float(by_cycle["linear read-out"][-1]),
        f"accuracy_{SHUFFLED}": float(by_cycle[f"{SHUFFLED} functions"][-1]),
        "accuracy_of_all_outputs": table_accuracy(last, seen.mappings),
        f"accuracy_of_all_outputs_{SHUFFLED}": table_accuracy(last, seen.shuffled),
        "accuracy_of_the_outputs": {f"{i:02b}": accuracy(last, seen.mappings[:, i]) for i in range(4)},
        "bits_of_each_cell": bits,
        f"bits_of_each_cell_{SHUFFLED}": chance,
        "binary_cells": int(sum(b >= SIGNIFICANT for b in bits)),
        "bits_of_all_signs": _joint_information(code, functions),
        f"bits_of_all_signs_{SHUFFLED}": _joint_information(code, shuffled),
    }


def _joint_information(code: np.ndarray, classes: np.ndarray) -> float:
    """Return the mutual information of two classes, in bits: what all the cells' signs say together."""

    def entropy(values: np.ndarray) -> float:
        share = np.unique(values, return_counts=True)[1] / len(values)
        return float(-(share * np.log2(share)).sum())

    return entropy(code) + entropy(classes) - entropy(code * (classes.max() + 1) + classes)


def _continuous(names: Sequence[str], seen: Trajectory, folder: Path) -> dict:
    r2, chance = (
        np.array([explained(states, m) for states in seen.states.swapaxes(0, 1)]) for m in (seen.mappings, seen.shuffled)
    )
    curves = {n: r2[:, i] for i, n in enumerate(names)} | {f"{SHUFFLED}, the highest": chance.max(1)}
    save(lines_figure(curves, x=seen.cycles, ylabel="R² of a linear read-out of the cells",
                      title="What the cells know of the function"), folder / "readout.png")  # fmt: skip
    decay = 1 / np.arange(1, len(seen.means) + 1)
    correlation = [float(np.corrcoef(mean, decay)[0, 1]) for mean in seen.means.T]
    found = {
        "r2_at_the_end": dict(zip(names, r2[-1].tolist(), strict=True)),
        f"r2_at_the_end_{SHUFFLED}": dict(zip(names, chance[-1].tolist(), strict=True)),
        "correlation_of_each_cell_with_1_over_t": correlation,
        "largest_correlation_with_1_over_t": max(correlation, key=abs),
    }
    for t in TOLD:
        if t in seen.cycles:
            found[f"r2_after_{t}"] = dict(zip(names, r2[list(seen.cycles).index(t)].tolist(), strict=True))
    return found
