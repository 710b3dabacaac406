"""How long a search over learning rates takes, one job after the other and packed into one training."""

import tempfile
import time
from collections.abc import Sequence

from learning_to_learn.jobs.sweeps import start

RATES, EPOCHS = 32, 400


def sweep_seconds(launcher: str, rates: Sequence[float], *words: str) -> float:
    """Return the seconds of a sweep over learning rates of one replica, from its first word to its last job's result."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        started = start(
            ["-m", f"optimizer.lr={','.join(f'{rate:.5g}' for rate in rates)}", "replicas=1", "logger.mode=disabled",
             f"launcher={launcher}", f"hydra.sweep.dir={folder}/sweep", *words]
        )  # fmt: skip
        seconds = time.perf_counter() - began
    if started is None or started.failed:
        raise RuntimeError(f"the sweep with launcher={launcher} failed")
    return seconds


def packed_against_apart(rates: int = RATES, epochs: int = EPOCHS, *words: str) -> tuple[float, float]:
    """Return the seconds of a packed sweep, and of the same jobs one after the other; both in this process."""
    between = [0.001 * 100 ** (number / (rates - 1)) for number in range(rates)]
    given = (f"trainer.epochs={epochs}", *words)
    for launcher in ("packed", "basic"):  # imports and compiles
        sweep_seconds(launcher, between[:2], "trainer.epochs=2", *words)
    return sweep_seconds("packed", between, *given), sweep_seconds("basic", between, *given)
