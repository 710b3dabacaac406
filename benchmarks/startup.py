"""Start-up: user CPU seconds of whole commands, and which imports they are spent in.

`python -m benchmarks.startup` prints the two tables. CPU seconds hardly depend on what else the machine does, so an import that
has crept in shows at once.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from benchmarks.page import put

ROOT = Path(__file__).parent.parent
TRAIN = ("-m", "src.train")
COMMANDS: dict[str, tuple[str, ...]] = {
    "`src.train --help`": (*TRAIN, "--help"),
    "`src.train --cfg job`": (*TRAIN, "--cfg", "job"),
    "a wrong key": (*TRAIN, "optimizer.rate=1"),
    "`src.sweep status`": ("-m", "src.sweep", "status", "{folder}"),
    "`src.train trainer=quick`": (*TRAIN, "trainer=quick", "hydra.run.dir={folder}/{number}"),
}
REPEATS = 5
SHARES = 8
"""The packages that are named, those with the largest share first."""


def start_up(repeats: int = REPEATS) -> list[str]:
    """Return the lines of the two tables. The first run of each command, which may compile, does not count."""
    lines = [
        "## Start-up",
        "",
        "User CPU seconds of whole commands: the median of five, with kernels and wandb's files in place.",
        "",
    ]
    lines += ["| command | user CPU s | of which imports | largest imports, s |", "|---|--:|--:|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, command in list(COMMANDS.items())[::-1]:  # training first, so that there is a run whose status can be asked
            times = [cpu_seconds(_filled(command, folder, number)) for number in range(repeats + 1)]
            shares = import_shares(_filled(command, folder, repeats + 1))
            largest = ", ".join(f"{package} {seconds:.2f}" for package, seconds in list(shares.items())[:SHARES])
            lines.append(f"| {name} | {median(times[1:]):.2f} | {sum(shares.values()):.2f} | {largest} |")
    return [*lines, ""]


def cpu_seconds(command: list[str]) -> float:
    """Return the user CPU seconds of a command and of the processes that it has waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, check=False)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def import_shares(command: list[str]) -> dict[str, float]:
    """Return the seconds that a command spends in importing each package, without what that imports in turn; largest first."""
    python, *rest = command
    said = subprocess.run(
        [python, "-X", "importtime", *rest], cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
    ).stderr
    return shares_of(said)


def shares_of(said: str) -> dict[str, float]:
    """Add up the lines of `python -X importtime` by top-level package, in seconds; largest first."""
    found: dict[str, float] = defaultdict(float)
    for own, package in re.findall(r"^import time: +(\d+) \| +\d+ \| +([\w]+)", said, re.MULTILINE):
        found[package] += int(own) / 1e6
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _filled(command: tuple[str, ...], folder: str, number: int) -> list[str]:
    return [sys.executable, *(part.format(folder=folder, number=number) for part in command)]


def _environment() -> dict[str, str]:
    return {**os.environ, "WANDB_SILENT": "true"}


if __name__ == "__main__":
    section = start_up()
    print("\n".join(section))
    put(section)
