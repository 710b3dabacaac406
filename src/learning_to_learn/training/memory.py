"""How much memory a job needs, from its shapes alone: nothing of it is allocated.

>>> check_memory(compose_config("replicas=1000000000"))  # doctest: +SKIP
UserError: this job needs about 3.2 PB of memory, most of it for sequences (...), and this machine has 67 GB
"""

import math
import os
from pathlib import Path

import torch

from learning_to_learn.config import Config
from learning_to_learn.config_check import make_gradient_of, make_network
from learning_to_learn.engine.lane_use import LANES, blocks_of_lanes, mixes_lanes
from learning_to_learn.errors import UserError
from learning_to_learn.optimizers import OptimizerConfig, make_optimizer
from learning_to_learn.topology import Network

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
WORD = 4
"""Bytes of a number."""
HELD_OUT, COMPARED = 20, 4
"""Numbers for each cycle of validation and test data, and of each replica's outputs on them, of one output and three inputs."""
COPIES = 4
"""Weights, gradient, running average, and a temporary."""


def check_memory(config: Config, *, training: bool = True) -> None:
    """Raise UserError, one line, where a job needs more memory than this machine has."""
    needed, have = estimate_memory(config, training=training), machine_memory()
    total = sum(needed.values())
    if total > have:
        most = max(needed, key=lambda part: needed[part])
        raise UserError(
            f"this job needs about {shown_bytes(total)} of memory, most of it for {most}, "
            f"and this machine has {shown_bytes(have)}"
        )


def estimate_memory(config: Config, *, training: bool = True) -> dict[str, int]:
    """Return the bytes that a job needs at its peak, besides those of the libraries, by what they are for.

    Without `training` they are those of an evaluation.
    """
    network, gradient = make_network(config), make_gradient_of(config)
    replicas, sequences = config.replicas, config.trainer.sequences if training else 0
    length = max([config.family.sequence_length, *map(int, config.trainer.curriculum)])
    # Inputs, targets and outputs of two epochs, and what one is drawn from.
    drawn = 2 * (network.inputs + 2 * network.outputs) + network.inputs + 2
    measured, cycles = config.evaluation.mappings, config.family.length(test=True)
    wider = math.ceil((network.inputs + network.outputs) / 4)
    threads = config.threads or os.cpu_count() or 1
    mixed = mixes_lanes(config.trainer.batch, network.parameters, forward_mode=gradient.forward_mode)
    blocks = blocks_of_lanes(replicas, config.trainer.batch, mixed=mixed)
    lanes = (blocks if config.engine == "reference" else min(threads, blocks)) * LANES
    if gradient.forward_mode:
        kept = config.arch.update_every is not None or config.family.carry_state
        work = (blocks if kept else min(threads, blocks)) * LANES * network.state_size * network.parameters
    else:
        work = lanes * length * sum(layer.sources + 1 + 2 * layer.rows for layer in network.all_layers)
    weights = (replicas * COPIES + blocks * (LANES if mixed else 1)) * network.parameters * WORD
    return {
        "weights (replicas, arch.layers)": weights,
        "the optimizer (replicas, arch.layers, optimizer)": replicas * optimizer_memory(network, config.optimizer),
        "sequences (replicas, trainer.sequences, family.sequence_length)": replicas * sequences * length * drawn * WORD,
        "evaluation (replicas, evaluation.mappings, family.sequence_length)": (
            measured * cycles * (HELD_OUT * wider + COMPARED * network.outputs * replicas) * WORD
        ),
        "gradients (arch.layers, arch.gradient, family.sequence_length)": work * WORD,
    }


def optimizer_memory(network: Network, config: OptimizerConfig) -> int:
    """Return the bytes that an optimizer keeps for one replica.

    They are a polynomial of degree two at most in the number of weights, which three small networks determine.
    """

    def of(weights: int) -> int:
        kept = make_optimizer(torch.nn.Parameter(torch.zeros(1, weights)), config).memory()
        return sum(tensor.nbytes for tensor in kept.values())

    one, two, three = of(1), of(2), of(3)
    more = network.parameters - 1
    return one + more * (two - one) + more * (more - 1) // 2 * (three - 2 * two + one)


def machine_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or fewer where a container has a limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(limits)


def shown_bytes(count: int) -> str:
    """Return a number of bytes such as 3.2 GB."""
    count = min(count, 10**30)  # more than any float need hold
    power = min(int(math.log10(max(count, 1))) // 3, len(UNITS) - 1)
    return f"{count / 1000**power:.3g} {UNITS[power]}"
