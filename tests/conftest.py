"""What all tests share. Kernels are kept where the user's are, so that a second run of the tests need not compile."""

import os

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
from learning_to_learn.topology import UNITS

settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")


@pytest.fixture(autouse=True)
def _registries_as_they_were():
    """What a test registers, itself or through a plugin, is gone after it."""
    tables = (UNITS, GRADIENTS, FAMILIES, OPTIMIZERS, LOADED)
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Every test writes into a folder of its own, and leaves the number of threads as it was."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
