"""How long a search over learning rates takes, one job after the other and packed into one training.

`python -m benchmarks.packed` prints it, and writes it into reports/packed.csv.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from learning_to_learn.jobs.sweeps import start

RATES, EPOCHS = 32, 400
CSV = Path(__file__).parent.parent / "reports" / "packed.csv"


@dataclass(frozen=True)
class Timed:
    """A sweep over learning rates of one replica, from its first word to its last job's result."""

    launcher: str
    rates: int
    epochs: int
    wandb: str
    seconds: float
    cpu_seconds: float
    """Those of all threads of this process, which other processes on the machine do not lengthen."""


def time_sweep(launcher: str, rates: Sequence[float], epochs: int, *words: str, wandb: str = "disabled") -> Timed:
    """Time the sweep, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        began, began_cpu = time.perf_counter(), time.process_time()
        started = start(
            ["-m", f"optimizer.lr={','.join(f'{rate:.5g}' for rate in rates)}", "replicas=1", f"logger.mode={wandb}",
             f"launcher={launcher}", f"hydra.sweep.dir={folder}/sweep", f"trainer.epochs={epochs}", *words]
        )  # fmt: skip
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    if started is None or started.failed:
        raise RuntimeError(f"the sweep with launcher={launcher} failed")
    return Timed(launcher, len(rates), epochs, wandb, seconds, cpu_seconds)


def packed_against_apart(rates: int = RATES, epochs: int = EPOCHS, *words: str, wandb: str = "disabled") -> list[Timed]:
    """Time a packed sweep, and the same jobs one after the other."""
    between = [0.001 * 100 ** (number / (rates - 1)) for number in range(rates)]
    launchers = ("packed", "basic")
    for launcher in launchers:  # imports and compiles
        time_sweep(launcher, between[:2], 2, *words, wandb=wandb)
    return [time_sweep(launcher, between, epochs, *words, wandb=wandb) for launcher in launchers]


def table(found: Sequence[Timed]) -> list[str]:
    """Return the lines of a Markdown table; the first row is what the others are compared with."""
    lines = ["| launcher | wandb | seconds | CPU seconds | times packed (CPU) |", "|---|---|--:|--:|--:|"]
    for one in found:
        packed = next(other for other in found if other.wandb == one.wandb and other.launcher == "packed")
        ratio = one.cpu_seconds / packed.cpu_seconds
        lines.append(f"| {one.launcher} | {one.wandb} | {one.seconds:.1f} | {one.cpu_seconds:.1f} | {ratio:.1f} |")
    return lines


def write(found: Sequence[Timed], path: Path = CSV) -> None:
    """Write a row for every sweep."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Timed)])
        writer.writeheader()
        rounded = [{**asdict(one), "seconds": round(one.seconds, 2), "cpu_seconds": round(one.cpu_seconds, 2)} for one in found]
        writer.writerows(rounded)


if __name__ == "__main__":
    measured = [one for mode in ("disabled", "offline") for one in packed_against_apart(wandb=mode)]
    write(measured)
    sys.stdout.write("\n".join(table(measured)) + "\n")
