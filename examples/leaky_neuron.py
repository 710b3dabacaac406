"""A unit of your own, as a plugin:

    python -m src.train plugins=[examples/leaky_neuron.py] arch=bptt arch.name=leaky "arch.layers=[{leaky_neuron: 12}]"

Any other override works beside it, and so does a sweep with -m. The unit is written once, in plain torch; the engine traces it
and its derivative and compiles both into its loop over time.
"""

import torch
from torch import Tensor

from learning_to_learn import unit


@unit(states=1)
def leaky_neuron(z: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """A neuron whose potential leaks: it forgets a tenth of what it holds in every cycle."""
    v = 0.9 * v + 0.1 * z
    return torch.tanh(v), v
