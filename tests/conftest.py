"""What all tests share. Kernels are kept where the user's are, so that a second run of the tests need not compile."""

import os

os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")

import numba
import pytest
import torch
from hypothesis import settings

settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """Every test writes into a folder of its own, and leaves the number of threads as it was."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
