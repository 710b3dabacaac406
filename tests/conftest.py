"""What all tests share. Kernels are kept where the user's are, so that a second run of the tests need not compile."""

import gc
import os
import time
from pathlib import Path

os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("MPLBACKEND", "agg")

import numba
import pytest
import torch
from hypothesis import settings

from learning_to_learn.families import FAMILIES
from learning_to_learn.gradients import GRADIENTS
from learning_to_learn.optimizers import OPTIMIZERS
from learning_to_learn.plugins import LOADED
from learning_to_learn.runs.run_folder import append_row
from learning_to_learn.topology import UNITS

settings.register_profile("ours", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("ours")


SLOW = [
    line for line in Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]


def pytest_collection_modifyitems(items):
    """Mark what slow.txt names."""
    for item in items:
        if item.nodeid.startswith(tuple(SLOW)):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Leave what is imported out of garbage collection, and collect seldom: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(autouse=True)
def _registries_as_they_were():
    """What a test registers, itself or through a plugin, is gone after it."""
    tables = (UNITS, GRADIENTS, FAMILIES, OPTIMIZERS, LOADED)
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


@pytest.fixture
def tally(request):
    """Write down what a test has tried and found: `make reliability` asks for it, for docs/reliability.md."""
    began = time.perf_counter()

    def write(promise: str, tried: int, wrong: int, seen: str = "") -> None:
        if os.environ.get("RELIABILITY"):
            test = request.node.nodeid.split("[")[0]
            row = {"promise": promise, "tried": tried, "wrong": wrong, "seen": seen, "test": test}
            append_row(Path(os.environ["RELIABILITY"]), {**row, "seconds": round(time.perf_counter() - began)})

    return write


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Every test writes into a folder of its own, and leaves the number of threads as it was."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
