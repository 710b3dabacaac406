"""How much of a training's time is spent in kernels, on every family.

`python -m benchmarks.trainer` measures this alone: reports/bench_trainer.csv, and its part of docs/benchmarks.md.
"""

import tempfile
import time
from pathlib import Path
from unittest import mock

import pytorch_lightning as pl

from benchmarks.page import put
from benchmarks.turns import write_rows
from learning_to_learn.composing import compose_config, options
from learning_to_learn.engine.fused.fused import Fused
from learning_to_learn.jobs.job import run_job

EPOCHS = 800
"""Those of the default job."""
REPEATS = 3
CSV = Path("reports/bench_trainer.csv")
SETTINGS = ("trainer.batch=10", "threads=1")


def kernel_share(*overrides: str) -> tuple[float, float, int]:
    """Seconds of a training, seconds of them within the fused engine, and epochs."""
    spent = {"fit": 0.0, "run": 0.0}
    training = False

    def fit(*arguments, **options):  # noqa: ANN002, ANN003, ANN202
        nonlocal training
        training, began = True, time.perf_counter()
        try:
            return real_fit(*arguments, **options)
        finally:
            training = False
            spent["fit"] += time.perf_counter() - began

    def in_engine(real):  # noqa: ANN001, ANN202
        def timed(*arguments, **options):  # noqa: ANN002, ANN003, ANN202
            began = time.perf_counter()
            try:
                return real(*arguments, **options)
            finally:
                if training:  # the test data are measured after it
                    spent["run"] += time.perf_counter() - began

        return timed

    real_fit = pl.Trainer.fit
    config = compose_config(f"trainer.epochs={EPOCHS}", *overrides)
    whole_epochs = mock.patch.object(Fused, "train", in_engine(Fused.train))
    with mock.patch.object(pl.Trainer, "fit", fit), mock.patch.object(Fused, "_run", in_engine(Fused._run)), whole_epochs:
        found = []
        for _ in range(1 + REPEATS):
            spent.update(fit=0.0, run=0.0)
            with tempfile.TemporaryDirectory() as folder:
                run_job(config, Path(folder))
            found.append((spent["fit"], spent["run"], EPOCHS))
    # The first compiles and warms; of the others the fastest, which other work on the machine has disturbed the least.
    return min(found[1:])


def measure_and_write() -> list[str]:
    """Measure every family, write reports/bench_trainer.csv, and return the section of docs/benchmarks.md."""
    rows = []
    for family in options("family"):
        whole, kernels, epochs = kernel_share(f"family={family}", *SETTINGS)
        ms, inside = 1e3 * whole / epochs, 1e3 * kernels / epochs
        rows.append(
            {"family": family, "ms_an_epoch": round(ms, 3), "in_kernels": round(inside, 3), "share": round(kernels / whole, 3)}
        )
    write_rows(rows, CSV)
    lines = [
        "## The whole trainer",
        "",
        f"lstm, 4 replicas, updates of 10 sequences, one thread, wandb offline, {EPOCHS} epochs with a look at 512 validation",
        f"sequences every 20; the fastest of {REPEATS} runs. A second thread draws the next epoch meanwhile.",
        "In kernels: forward, backward and the optimizer's updates",
        "([reports/bench_trainer.csv](../reports/bench_trainer.csv)).",
        "",
        "| family | ms an epoch | in kernels | share |",
        "|---|--:|--:|--:|",
    ]
    lines += [f"| {r['family']} | {r['ms_an_epoch']:.2f} | {r['in_kernels']:.2f} | {r['share']:.0%} |" for r in rows]
    return [*lines, ""]


if __name__ == "__main__":
    section = measure_and_write()
    print("\n".join(section))
    put(section)
