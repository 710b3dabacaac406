import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.engine.cache import function_fingerprint
from src.topology import UNITS

ROOT = Path(__file__).parent.parent.parent
RUN = """
import torch
from src.engine import make_engine
from src.gradients import make_gradient
from src.topology import Network
net = Network.of([{"neuron": 2}])
x = torch.full((1, 1, 3, 3), 0.5)
engine = make_engine("fused", net, make_gradient("truncated"))
print(engine.segment(torch.full((1, net.parameters), 0.25), x, x[..., 0]).gradient.sum().item())
"""


def start(cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "LEARNING_TO_LEARN_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_jobs_that_compile_at_once_do_not_break_each_other(tmp_path):
    jobs = [start(tmp_path) for _ in range(2)]
    said = [job.communicate(timeout=300) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], said
    assert said[0][0] == said[1][0]
    kept = sorted(tmp_path.glob("*.py"))
    warm = start(tmp_path)
    assert warm.communicate(timeout=300)[0] == said[0][0]
    assert sorted(tmp_path.glob("*.py")) == kept
    assert not list(tmp_path.glob("*.tmp"))


def test_a_fingerprint_changes_with_all_that_a_unit_is():
    def make(constant, helper):
        def step(z):
            return (helper(constant * z),)

        return step

    def helper_a(z):
        return torch.tanh(z)

    def helper_b(z):
        return torch.sigmoid(z)

    same, again = make(1.0, helper_a), make(1.0, helper_a)
    assert function_fingerprint(same) == function_fingerprint(again)
    assert function_fingerprint(same) != function_fingerprint(make(2.0, helper_a))
    assert function_fingerprint(same) != function_fingerprint(make(1.0, helper_b))


def test_what_cannot_be_followed_has_no_fingerprint():
    table = {"factor": math.pi}

    def step(z):
        return (table["factor"] * z,)

    assert function_fingerprint(step) is None


@pytest.mark.parametrize("name", ["neuron", "memory_cell", "forget_cell", "logistic"])
def test_our_own_units_have_one(name):
    assert function_fingerprint(UNITS[name].step)
