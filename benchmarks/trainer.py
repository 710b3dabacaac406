"""How much of a training's time is spent in kernels."""

import tempfile
import time
from pathlib import Path
from unittest import mock

import pytorch_lightning as pl

from learning_to_learn.composing import compose_config
from learning_to_learn.engine.fused.fused import Fused
from learning_to_learn.jobs.job import run_job

EPOCHS = 800
"""Those of the default job."""
REPEATS = 5


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
