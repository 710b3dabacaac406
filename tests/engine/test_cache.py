import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learning_to_learn.engine.fused.cache import function_fingerprint
from learning_to_learn.topology import UNITS

ROOT = Path(__file__).parent.parent.parent
RUN = """
import hashlib
import torch
from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
torch.manual_seed(0)
net = Network.of([{"memory_cell": 6, "neuron": 6}])
p, x, y = torch.rand(2, net.parameters) - 0.5, torch.rand(2, 10, 64, 3), torch.rand(2, 10, 64, 1)
for gradient in ("truncated", "rtrl"):
    segment = make_engine("fused", net, make_gradient(gradient)).segment(p, x, y)
    print(hashlib.md5(segment.gradient.numpy().tobytes() + segment.outputs.numpy().tobytes()).hexdigest())
"""


def start(cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "LEARNING_TO_LEARN_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_jobs_that_compile_at_once_do_not_break_each_other(tmp_path):
    """And a run that has compiled gives, to the last bit, what one gives that has loaded from disk."""
    jobs = [start(tmp_path) for _ in range(2)]
    said = [job.communicate(timeout=300) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], said
    assert said[0][0] == said[1][0]
    kept = sorted(tmp_path.glob("*.py"))
    warm = start(tmp_path)
    assert warm.communicate(timeout=300)[0] == said[0][0]
    assert sorted(tmp_path.glob("*.py")) == kept
    assert not list(tmp_path.glob("*.tmp"))


SHORT = """
import torch
from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
net = Network.of([{"neuron": 1}])
x = torch.linspace(-1, 1, 12).reshape(1, 1, 4, 3)
engine = make_engine("fused", net, make_gradient("truncated"))
print(engine.segment(torch.full((1, net.parameters), 0.3), x, x[..., :1]).gradient.tolist())
"""


def _short(cache):
    # Only our own setting says where numba's files go.
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"LEARNING_TO_LEARN_CACHE": str(cache)}
    job = subprocess.run([sys.executable, "-c", SHORT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert job.returncode == 0, job.stderr
    return job.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache with all kinds of files, and what a job prints that uses it."""
    cache = tmp_path_factory.mktemp("filled")
    return cache, _short(cache)


def test_one_setting_moves_printed_and_compiled_files(filled):
    cache, _ = filled
    for stem in ("kernel", "matmul", "loop"):
        assert list(cache.glob(f"{stem}_*.py")), stem
        assert list(cache.rglob(f"{stem}_*.nbi")), stem
        assert list(cache.rglob(f"{stem}_*.nbc")), stem


DAMAGES = {"cut": lambda b: b[: len(b) // 2], "empty": lambda b: b"", "garbled": lambda b: b"\xff\x00 garbled"}
FIRST = {("*.py", "garbled"), ("*.nbi", "empty"), ("*.nbc", "cut")}


@pytest.mark.parametrize(
    ("files", "damage"),
    [
        pytest.param(files, damage, marks=[] if (files, damage) in FIRST else pytest.mark.slow)
        for files in ("*.py", "*.nbi", "*.nbc")
        for damage in DAMAGES
    ],
)
def test_damaged_files_are_compiled_anew(filled, files, damage):
    cache, said = filled
    found = list(cache.rglob(files))
    assert found
    for path in found:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert _short(cache) == said
    assert _short(cache) == said


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


@pytest.mark.parametrize("key", ["LEARNING_TO_LEARN_CACHE", "HOME"])
def test_where_no_cache_can_be_written_each_process_has_its_own_and_says_so(tmp_path, key):
    """Also root cannot make a folder in /proc."""
    code = (
        "import logging, sys; logging.basicConfig(format='%(message)s')\n"
        "from learning_to_learn.compiled import cache_folder, compiled\n"
        "double = compiled()(lambda x: 2.0 * x)\n"
        "assert double(21.0) == 42.0\n"
        "assert cache_folder() == cache_folder() and list(cache_folder().rglob('*.nbi')) and 'numba' in sys.modules\n"
        "print(cache_folder())"
    )
    (tmp_path / "script.py").write_text(code)
    cleared = {k: v for k, v in os.environ.items() if k not in ("LEARNING_TO_LEARN_CACHE", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env={**cleared, key: "/proc/none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be written: every process compiles anew") == 1
    assert len(done.stderr.splitlines()) == 1
    assert not Path(done.stdout.strip()).exists()
