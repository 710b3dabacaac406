"""Measure, print one table, and write reports/bench.csv and docs/benchmarks.md."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numba
import torch
from rich.console import Console
from rich.progress import track

from benchmarks import checkpoints, fast_weights, peers, recurrences, scaling, trainer
from benchmarks.packed import EPOCHS, RATES, packed_against_apart, table, write
from benchmarks.page import PAGE, processor
from benchmarks.startup import start_up
from benchmarks.structure import rtrl_against_bptt
from benchmarks.turns import Row, rows_of, take_turns, write_rows
from learning_to_learn.topology import Network

ROOT = Path(__file__).parent.parent
CSV = ROOT / "reports" / "bench.csv"
SECONDS = 4.0
"""To spend on one engine of one case."""
TOPOLOGIES = {
    "lstm": [{"memory_cell": 6, "neuron": 6}],
    "lstm4": [{"memory_cell": 12, "neuron": 6}, {"neuron": 40}],
    "neurons": [{"neuron": 12}],
}
MODULES: dict[str, Callable[[], list[torch.nn.Module]]] = {
    "lstm": lambda: [torch.nn.LSTM(3, 12, batch_first=True)],
    "lstm4": lambda: [torch.nn.LSTM(3, 18, batch_first=True), torch.nn.RNN(18, 40, batch_first=True)],
    "neurons": lambda: [torch.nn.RNN(3, 12, batch_first=True)],
}


def main() -> None:
    torch.manual_seed(0)
    quick = "--quick" in sys.argv
    cases = [(name, "bptt", length, 128, replicas) for name in TOPOLOGIES for replicas in (1, 8) for length in (64, 256, 1000)]
    cases += [(name, "truncated", 256, 128, 1) for name in TOPOLOGIES]
    cases += [("neurons", "rtrl", 256, 64, 1), ("neurons", "bptt", 256, 64, 1), ("lstm", "rtrl", 256, 64, 1)]
    cases += [("lstm", "bptt", 256, 5, 16)]  # updates so small that replicas share the lanes of a vector
    if quick:
        cases = [("lstm", "bptt", 64, 32, 1), ("neurons", "rtrl", 64, 16, 1)]
    rows: list[Row] = []
    for case in track(cases, description="cases", console=Console(stderr=True)):
        rows += compare(*case, seconds=0.2 if quick else SECONDS)
    text = [*_table(rows), *_claims(rows)]
    if not quick:
        text += [
            *scaling.section(),
            *_structure(),
            *recurrences.measure_and_write(),
            *_fast_weights(),
            *trainer.measure_and_write(),
            *checkpoints.table(),
            *_packed(),
            "",
            *start_up(),
            *_compiling(),
        ]
    print("\n".join(text))
    if not quick:
        CSV.parent.mkdir(exist_ok=True)
        write_rows(rows, CSV)
        PAGE.write_text("\n".join([*_head(), "", *text]) + "\n")


def compare(name: str, gradient: str, length: int, batch: int, replicas: int, *, seconds: float = SECONDS) -> list[Row]:
    """A row for every engine. They take turns, so that a slow moment of the machine hits all of them."""
    network = Network.of(TOPOLOGIES[name])
    p = torch.rand(replicas, network.parameters) - 0.5
    x, y = torch.rand(replicas, batch, length, 3), torch.rand(replicas, batch, length)
    work: dict[str, peers.Work] = {"fused": peers.engine("fused", network, gradient, p, x, y)}
    slow = gradient == "rtrl" and name != "neurons"
    if not slow:
        work["reference"] = peers.engine("reference", network, gradient, p, x, y)
    if gradient == "bptt":
        work["torch.nn"] = peers.torch_modules(MODULES[name](), x, y)
        work["plain loop"] = peers.plain_loop(network, p, x, y)
    if find_spec("jax") and gradient != "truncated" and not slow:
        work["jax"] = (peers.jax_rtrl if gradient == "rtrl" else peers.jax_scan)(network, p, x, y)
    times = take_turns(work, seconds)
    return rows_of(name, gradient, length, batch, replicas, times)


def _table(rows: list[Row]) -> list[str]:
    lines = [
        "## Forward and backward, one update's worth", "",
        "Medians in milliseconds; in brackets, times the fused engine's.", "",
        "| topology | gradient | T | batch | replicas | fused | reference | torch.nn | plain loop | JAX, jitted |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    keys = list(dict.fromkeys((r["case"], r["gradient"], r["T"], r["batch"], r["replicas"]) for r in rows))
    for key in keys:
        found = {r["engine"]: r for r in rows if (r["case"], r["gradient"], r["T"], r["batch"], r["replicas"]) == key}
        cells = [f"{found['fused']['median_ms']:.2f}"]
        for engine in ("reference", "torch.nn", "plain loop", "jax"):
            r = found.get(engine)
            cells.append(f"{r['median_ms']:.1f} ({r['ratio_to_fused']:.1f})" if r else "")
        lines.append("| " + " | ".join([*map(str, key), *cells]) + " |")
    return [*lines, ""]


def _claims(rows: list[Row]) -> list[str]:
    """The figures one looks for first."""

    def ms(case: str, gradient: str, length: int, batch: int, replicas: int, engine: str = "fused") -> float | None:
        key = {"case": case, "gradient": gradient, "T": length, "batch": batch, "replicas": replicas, "engine": engine}
        return next((float(str(r["median_ms"])) for r in rows if key.items() <= r.items()), None)

    lstm, eight = ms("lstm", "bptt", 256, 128, 1), ms("lstm", "bptt", 256, 128, 8)
    rtrl, bptt = ms("neurons", "rtrl", 256, 64, 1), ms("neurons", "bptt", 256, 64, 1)
    lines = []
    if lstm and eight:
        lines.append(f"- LSTM 6+6, 128 x 256: eight replicas cost {eight / lstm:.2f} times one.")
    if rtrl and bptt:
        lines.append(f"- 12 neurons, 64 x 256: rtrl costs {rtrl / bptt:.1f} times bptt.")
    return [*lines, ""]


def _structure() -> list[str]:
    lines = ["## rtrl where units do not hear each other", "", "The fused engine, 64 x 256; milliseconds.", ""]
    lines += ["| layer | parameters | bptt | rtrl | rtrl / bptt |", "|---|--:|--:|--:|--:|"]
    for name, parameters, bptt, rtrl in rtrl_against_bptt():
        lines.append(f"| {name} | {parameters} | {bptt:.2f} | {rtrl:.2f} | {rtrl / bptt:.1f} |")
    return [*lines, ""]


def _fast_weights() -> list[str]:
    cases = [(unit, replicas) for unit in fast_weights.UNITS for replicas in (1, 8)]
    return fast_weights.table({c: take_turns(fast_weights.works(c[0], replicas=c[1]), SECONDS) for c in cases})


def _packed() -> list[str]:
    found = packed_against_apart()
    write(found)
    return f"""\
## A search packed into replicas

{RATES} learning rates of one replica of the LSTM on Boolean, {EPOCHS} epochs each, with every job's evaluation and run folder
([reports/packed.csv](../reports/packed.csv)). CPU seconds are those of the process:

{chr(10).join(table(found))}
""".splitlines()


LOAD = """
import time, torch
from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
network = Network.of([{"memory_cell": 6, "neuron": 6}])
x = torch.zeros(1, 1, 1, 3)
began = time.perf_counter()
make_engine("fused", network, make_gradient("truncated")).segment(torch.zeros(1, network.parameters), x, x[..., :1])
print(time.perf_counter() - began)
"""


def _compiling() -> list[str]:
    """The first job of a topology on a machine, whose kernel is not yet compiled."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LEARNING_TO_LEARN_CACHE": f"{folder}/kernels"}

        def run() -> float:
            said = subprocess.run(
                [sys.executable, "-c", LOAD], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
            return float(said.stdout)

        cold, warm = run(), median(run() for _ in range(3))
    return [f"Compiling the LSTM's kernel takes {cold:.1f} s, once on a machine; loading it from disk then takes {warm:.2f} s."]


def _head() -> list[str]:
    cores = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    return f"""\
# Benchmarks

Written by `make bench` on {time.strftime("%Y-%m-%d")}: {processor()}, {cores} cores, Python {platform.python_version()},
torch {torch.__version__}, numba {numba.__version__}, float32. The engines take turns in one process, so that the ratios mean
more than the times. The data of the first table are in [reports/bench.csv](../reports/bench.csv).

Memory: a worker (thread) of the fused engine owns one workspace, for LSTM 6+6 some 2.2 KiB a cycle, whatever the batch and the
number of replicas; with T = 1000, 100 sequences and 16 replicas the epoch's data (32 MB) are the larger part.
""".splitlines()


if __name__ == "__main__":
    main()
