"""Initial weights are uniform in [-scale, scale]. Biases are shifted by the initial bias that their unit asks for. The
numbers that units have of their own begin as their unit says, and the weights of a delay line with 1. A layer with a spectral
radius is scaled to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float

from learning_to_learn.errors import unknown
from learning_to_learn.lazy import torch
from learning_to_learn.randomness import Stream, uniform
from learning_to_learn.topology.module import ModuleNetwork
from learning_to_learn.topology.network import Network


def initial_parameters(
    network: Network, seeds: list[int], *, scale: float = 0.5, bias: Mapping[str, float] | None = None
) -> Float[torch.Tensor, "R P"]:
    """Return a row of parameters for each seed. The weights of a replica depend on its own seed only.

    `bias` maps names of pre-activations to initial biases, which replace the units' own. Raises UserError if no unit of the
    network has such a pre-activation.
    """
    bias = dict(bias or {})
    if isinstance(network, ModuleNetwork):
        return network.initial_parameters(seeds, scale)
    known = {name for layer in network.layers for b in layer.blocks for name in b.unit.pre_activations}
    for name in bias:
        if name not in known:
            raise unknown("pre-activation in arch.bias", name, known)
    draws = torch.from_numpy(uniform(seeds, Stream.WEIGHTS, 0, network.parameters))
    parameters = (2 * draws - 1) * scale
    first = 0
    for layer in network.all_layers:
        for block in layer.blocks:
            for name, rows in zip(block.unit.pre_activations, block.rows(), strict=True):
                biases = [first + row[-1] for row in layer.places[rows] if row[-1] < layer.parameters]
                parameters[:, biases] += bias.get(name, block.unit.bias.get(name, 0.0))
            for start, numbers in zip(block.unit.trained.values(), block.numbers(), strict=True):
                places = slice(first + layer.weights + numbers.start, first + layer.weights + numbers.stop)
                parameters[:, places] = start(draws[:, places]) if callable(start) else start
        if layer.delays:
            parameters[:, first : first + layer.weights] = 1.0
        if layer.radius:
            mine = slice(first, first + layer.parameters)
            matrix = layer.split(parameters[:, mine]).matrix[..., : layer.own]
            found = torch.linalg.eigvals(matrix.double()).abs().amax(-1, keepdim=True)
            own = [first + place for row in layer.places for place in row[: layer.own] if place < layer.parameters]
            parameters[:, own] *= (layer.radius / found).to(parameters.dtype)
        first += layer.parameters
    return parameters
