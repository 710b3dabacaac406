"""What rtrl costs beside bptt where a parameter changes few states: layers whose units do not hear each other."""

from statistics import median

import torch

from benchmarks import peers
from benchmarks.turns import take_turns
from learning_to_learn.topology import Network

LAYERS = {
    "12 minGRU": {"min_gru": 12},
    "12 LRU": {"linear_recurrent": 12},
    "12 neurons, 12 heads": {"neuron": 12, "heads": 12},
    "12 forget cells, 12 heads": {"forget_cell": 12, "heads": 12},
    "12 neurons, dense": {"neuron": 12},
}


def rtrl_against_bptt(length: int = 256, batch: int = 64, seconds: float = 1.5) -> list[tuple[str, int, float, float]]:
    """For each layer its name, its network's parameters, and the milliseconds of bptt and of rtrl, which take turns."""
    rows = []
    for name, layer in LAYERS.items():
        network = Network.of([layer])
        p = torch.rand(1, network.parameters) - 0.5
        x, y = torch.rand(1, batch, length, 3), torch.rand(1, batch, length)
        work = {gradient: peers.engine("fused", network, gradient, p, x, y) for gradient in ("bptt", "rtrl")}
        times = {gradient: 1e3 * median(found) for gradient, found in take_turns(work, seconds).items()}
        rows.append((name, network.parameters, times["bptt"], times["rtrl"]))
    return rows
