"""A unit of one's own: `python -m examples.leaky_neuron`, with any override of `python -m src.train` behind it.

It is written once, in plain torch; the engine traces it and its derivative and compiles both into its loop over time.
"""

import torch
from torch import Tensor

from learning_to_learn.commands.train import main
from learning_to_learn.topology import unit


@unit(states=1)
def leaky_neuron(z: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """A neuron whose potential leaks: it forgets a tenth of what it holds in every cycle."""
    v = 0.9 * v + 0.1 * z
    return torch.tanh(v), v


if __name__ == "__main__":
    main("arch=bptt", "arch.name=leaky", "arch.layers=[{leaky_neuron: 12}]")
