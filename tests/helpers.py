"""Small networks, random data and small jobs for the tests."""

import torch

from learning_to_learn.composing import compose_config
from learning_to_learn.config import Config
from learning_to_learn.topology import UNITS, Network

NETWORKS = {
    "neurons": [{"neuron": 3}],
    "cells": [{"memory_cell": 2, "neuron": 2}],
    "two_layers": [{"memory_cell": 2, "neuron": 1}, {"neuron": 3}],
    "all_kinds": [{"forget_cell": 1, "logistic": 2}, {"memory_cell": 3}],
}


NETWORKS_AND_UNITS = [*NETWORKS, *UNITS]
"""The networks above, and two units of every kind that is registered."""


def network(name: str, **options) -> Network:
    """The network of that name, or two units of the kind of that name."""
    return Network.of(NETWORKS.get(name) or [{name: 2}], **options)


def random_case(net: Network, *, replicas=1, batch=3, length=7, dtype=torch.float64, seed=0, scale=1.0):
    """Parameters [R, P], inputs [R, B, T, 3] and targets [R, B, T]."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    parameters = scale * (2 * draw(replicas, net.parameters) - 1)
    return parameters, 2 * draw(replicas, batch, length, 3) - 1, draw(replicas, batch, length)


def job(*overrides: str) -> Config:
    """The configuration of a job of a second or two, with other values where `overrides` says so."""
    small = ["trainer=quick", "replicas=2", "family.sequence_length=20", "evaluation.mappings=16", "logger.mode=disabled"]
    return compose_config(*small, "trainer.epochs=6", "trainer.evaluate_every=2", *overrides)
