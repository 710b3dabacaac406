"""Chalmers's rule: the vectorised learner against the network of constant weights, and searches that must find something."""

import numpy as np
import pytest
import torch

from learning_to_learn.paper.rule_evolution import (
    BITS,
    CHALMERS,
    CYCLES,
    INPUTS,
    Tasks,
    answers,
    best_delta,
    cosine,
    decode,
    evolve,
    fitness,
    formula,
)  # fmt: skip
from learning_to_learn.topology.fixed_weight import chalmers, fixed_weight, learner


def test_the_neuron_is_the_network_of_constant_weights():
    tasks, rule = Tasks.draw(3, count=4), np.random.default_rng(0).normal(size=len(CHALMERS)) / 30
    made = fixed_weight(learner(INPUTS), chalmers(rule))
    target = torch.from_numpy(tasks.t)[None]
    previous = torch.cat([torch.full_like(target[..., :1], 0.5), target[..., :-1]], -1)
    x = torch.cat([torch.from_numpy(tasks.x)[None], previous.unsqueeze(-1)], -1)
    found = made.network.forward(made.parameters(), x)[0][..., 0]
    np.testing.assert_allclose(found.numpy(), answers(rule[None], tasks), rtol=0, atol=1e-12)


def test_the_delta_rule_learns_what_no_rule_does_not():
    delta = best_delta()
    assert delta.is_delta
    assert delta.held_out > 0.8
    assert fitness(np.zeros((1, len(CHALMERS))), Tasks.draw(1))[0] == pytest.approx(0.5)


def test_a_genome_says_the_delta_rule():
    genome = np.zeros((1, BITS), int)
    genome[0, 1:5] = [1, 0, 0, 1]  # 2^(9 - 9)
    genome[0, 5 + 3 * CHALMERS.index("xt") + 1] = 1  # + 2
    genome[0, [5 + 3 * CHALMERS.index("xy"), 5 + 3 * CHALMERS.index("xy") + 1]] = 1  # - 2
    rule = decode(genome)[0]
    assert formula(rule) == "Δw = 2 xt - 2 xy"
    assert cosine(rule) == pytest.approx(1)


def test_evolution_never_loses_its_best_and_gets_better():
    few, many = evolve(0, 0), evolve(0, 15)
    assert many.fitness >= few.fitness
    assert many.fitness > 0.6
    assert many.learnt == 16 * 40 * 20


def test_targets_are_those_of_a_half_space():
    tasks = Tasks.draw(0)
    assert tasks.x.shape == (20, CYCLES, INPUTS)
    for x, t in zip(tasks.x, tasks.t, strict=True):
        first, second = x[t == 0], x[t == 1]
        assert not {tuple(row) for row in first} & {tuple(row) for row in second}
