"""How long a job trains: as long as one of the same shape has, or else what its kernels do times a rate of this machine.

The shape is every key that decides how much is computed in an epoch. The rates are measured once on a machine, in some tenths
of a second, and kept in rates.json in the cache folder.
"""

import json
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from learning_to_learn.compiled import cache_folder
from learning_to_learn.config import Config
from learning_to_learn.config_check import make_gradient_of, make_network
from learning_to_learn.engine.lane_use import LANES, blocks_of_lanes, mixes_lanes
from learning_to_learn.gradients import make_gradient
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.lazy import torch
from learning_to_learn.runs.run_folder import DamagedRun, RunFolder, Status, read_json
from learning_to_learn.runs.sweep_folder import run_folders
from learning_to_learn.runs.varying import flatten, typed
from learning_to_learn.topology import Network

RATES = "rates.json"
RUNS_READ = 100
"""The most finished runs that are looked at, from the last."""
BACKWARD = 3
"""Multiplications for each weight and cycle: one forward, two back."""
NONLINEARITY = 20
"""Multiplications that take as long as a pre-activation's nonlinearity and its derivative."""
SENSITIVITY = 6
"""Multiplications that take as long as a sensitivity takes in a cycle, by the rows of rtrl in reports/bench.csv."""
SHAPE = (
    "arch.layers", "arch.parameters", "arch.module", "arch.hidden_size", "arch.options", "arch.gradient", "arch.window",
    "arch.update_every", "engine", "replicas", "family.carry_state", "family.sequence_length", "family.feedback",
    "family.encoding", "optimizer.name", "trainer.sequences", "trainer.batch", "trainer.average", "trainer.curriculum",
    "trainer.curriculum_part", "threads", "launcher.name", "launcher.jobs", "launcher.cores",
)  # fmt: skip
REPLICAS, UPDATES = 4, 10
SHORT, LONG = 1, 256
"""The epochs that are measured: replicas, updates, and cycles of the two."""


@dataclass(frozen=True)
class Rates:
    """What a machine takes, in seconds."""

    update: float
    """An update that does next to nothing: the calls of a kernel and an optimizer."""
    multiplication: float
    """One of a kernel's, on one thread, with what belongs to it."""


def shape(settings: Mapping[str, Any]) -> str:
    """Return what decides how long an epoch of a job takes, as text, from flat settings."""
    return " ".join(typed(settings.get(key)) for key in SHAPE)


def measured_seconds(runs: Path) -> dict[str, float]:
    """Return the seconds of training that an epoch took, by shape, of the latest finished runs under a folder."""
    found: dict[str, list[float]] = {}
    looked = 0
    for path in reversed(run_folders(runs)):
        try:
            said = RunFolder(path).said()
        except DamagedRun:
            continue
        if said.status is Status.FINISHED and said.seconds and said.epochs:
            found.setdefault(shape(RunFolder(path).settings()), []).append(said.seconds / said.epochs)
            looked += 1
        if looked == RUNS_READ:
            break
    return {one: median(seconds) for one, seconds in found.items()}


def estimate_seconds(config: Config, measured: Mapping[str, float], rates: Callable[[], Rates]) -> float | None:
    """Return the seconds that a job trains, as its result.json will have them; None where nothing is known.

    They are those of finished runs of its shape, from `measured_seconds`, or of a model of the fused engine's kernels; start-up
    and evaluation come on top, and whatever else the machine does. `rates` is called for the model only.
    """
    known = measured.get(shape(flatten(asdict(config))))
    if known is not None:
        return known * config.trainer.epochs
    if config.engine == "reference" or config.arch.module:
        return None
    trainer, cycles = config.trainer, _cycles(config)
    updates = trainer.sequences // trainer.batch * math.ceil(cycles / (config.arch.update_every or cycles))
    network, forward_mode = make_network(config), _is_forward_mode(config)
    mixed = mixes_lanes(trainer.batch, network.parameters, forward_mode=forward_mode)
    blocks = blocks_of_lanes(config.replicas, trainer.batch, mixed=mixed)
    turns = math.ceil(blocks / min(threads_of_a_job(config), blocks))
    each = LANES * multiplications(network, forward_mode=forward_mode)
    work = trainer.sequences // trainer.batch * cycles * turns * each
    found = rates()
    return trainer.epochs * (updates * found.update + work * found.multiplication)


def multiplications(network: Network, *, forward_mode: bool) -> float:
    """Return how many multiplications a cycle of a sequence takes, forward and for the gradient."""
    layers = sum(BACKWARD * layer.weights + NONLINEARITY * layer.rows for layer in network.all_layers)
    return layers + (SENSITIVITY * network.state_size * network.parameters if forward_mode else 0)


def machine_rates() -> Rates:
    """Return this machine's rates, which are measured where its cache folder has none."""
    path = cache_folder() / RATES
    kept = read_json(path) or {}
    found = kept.get(platform.node())
    if isinstance(found, dict) and set(found) == {"update", "multiplication"} and all(map(_is_time, found.values())):
        return Rates(**found)
    rates = measure_rates()
    path.write_text(json.dumps(kept | {platform.node(): asdict(rates)}, indent=2), encoding="utf-8")
    return rates


def measure_rates(seconds: float = 0.15) -> Rates:
    """Measure epochs of the paper's LSTM with Adam, on one thread; `seconds` for each of two lengths of sequences."""
    import numba

    from learning_to_learn.engine import make_engine
    from learning_to_learn.optimizers import make_optimizer
    from learning_to_learn.optimizers.adam import AdamConfig

    network = Network.of([{"memory_cell": 6, "neuron": 6}])
    gradient = make_gradient("truncated")
    engine = make_engine("fused", network, gradient)

    def epoch(cycles: int) -> Callable[[], None]:
        weights = torch.nn.Parameter(torch.rand(REPLICAS, network.parameters) - 0.5)
        optimizer, alive = make_optimizer(weights, AdamConfig()), torch.ones(REPLICAS, dtype=torch.bool)
        inputs = torch.rand(REPLICAS, LANES * UPDATES, cycles, network.inputs)
        targets = torch.rand(REPLICAS, LANES * UPDATES, cycles, network.outputs)
        outputs = torch.empty_like(targets)

        def run() -> None:
            for x, y, output in zip(*(v.split(LANES, 1) for v in (inputs, targets, outputs)), strict=True):
                segment = engine.segment(weights.detach(), x, y)
                optimizer.step(segment.gradient, 0.0, alive)
                output.copy_(segment.outputs)

        return run

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        short, long = (_time_of(epoch(cycles), seconds) / UPDATES for cycles in (SHORT, LONG))
    finally:
        numba.set_num_threads(threads)
    count = REPLICAS * LANES * (LONG - SHORT) * multiplications(network, forward_mode=gradient.forward_mode)
    return Rates(short, max(long - short, 0.1 * long) / count)


def _time_of(work: Callable[[], None], seconds: float) -> float:
    """The median CPU time of a piece of work on one thread: what else the machine does now is none of its speed."""
    work()  # compiles
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return median(times)


def _cycles(config: Config) -> float:
    """The mean length of a training sequence, over the epochs of a curriculum."""
    whole, lengths = config.family.sequence_length, config.trainer.curriculum
    if not lengths:
        return whole
    part = config.trainer.curriculum_part
    short = sum(length if length >= 1 else max(1, length * whole) for length in lengths) / len(lengths)
    return part * short + (1 - part) * whole


def _is_forward_mode(config: Config) -> bool:
    return make_gradient_of(config).forward_mode


def _is_time(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1
