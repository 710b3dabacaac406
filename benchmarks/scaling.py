"""How the fused engine's cost grows: `python -m benchmarks.scaling` writes its part of docs/benchmarks.md."""

from statistics import median

import torch

from benchmarks import peers
from benchmarks.page import put
from benchmarks.turns import take_turns
from learning_to_learn.topology import Network

CASES = [
    (6, 64, 1), (6, 256, 1), (6, 1000, 1), (6, 4000, 1), (6, 256, 2), (6, 256, 4), (6, 256, 16),
    (3, 256, 1), (12, 256, 1), (24, 256, 1), (48, 256, 1),
]  # fmt: skip
"""Cells (and as many neurons), cycles, replicas."""
SHORT, LONG, PAIRS = 256, 4000, 15


def section(seconds: float = 1.5) -> list[str]:
    """Measure, for so many seconds each, and return the lines of the part."""
    lines = ["## Scaling", "", "LSTM layers of n cells and n neurons, bptt, 128 sequences; milliseconds.", ""]
    lines += ["| n | T | replicas | fused | ns a cycle and sequence |", "|--:|--:|--:|--:|--:|"]
    for n, length, replicas in CASES:
        ns = median(_nanoseconds(n, length, replicas, seconds))
        lines.append(f"| {n} | {length} | {replicas} | {1e-6 * ns * replicas * 128 * length:.2f} | {ns:.1f} |")
    pairs = [(_nanoseconds(6, SHORT, 1, seconds / 2), _nanoseconds(6, LONG, 1, seconds / 2)) for _ in range(PAIRS)]
    ratios = sorted(median(long) / median(short) for short, long in pairs)
    fastest = min(min(long) for _, long in pairs) / min(min(short) for short, _ in pairs)
    found = f"{median(ratios):.2f} times one at T = {SHORT}: the median of {PAIRS} pairs, measured one after the other"
    lines += ["", f"A cycle at T = {LONG} costs {found} ({ratios[0]:.2f} to {ratios[-1]:.2f})."]
    return [*lines, f"By the fastest run of each, which other work disturbs least, it is {fastest:.2f} times.", ""]


def _nanoseconds(n: int, length: int, replicas: int, seconds: float) -> list[float]:
    """The times of a cycle of one sequence, forward and backward, run after run."""
    network = Network.of([{"memory_cell": n, "neuron": n}])
    p = torch.rand(replicas, network.parameters) - 0.5
    x, y = torch.rand(replicas, 128, length, 3), torch.rand(replicas, 128, length)
    times = take_turns({"fused": peers.engine("fused", network, "bptt", p, x, y)}, seconds)
    return [1e9 * time / (replicas * 128 * length) for time in times["fused"]]


if __name__ == "__main__":
    torch.manual_seed(0)
    put(section())
