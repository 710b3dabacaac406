"""A job that the machine cannot hold is refused before anything is allocated, in one line."""

import resource
import subprocess
import sys
import time

import pytest

from learning_to_learn.errors import UserError
from learning_to_learn.jobs.job import run_job
from learning_to_learn.optimizers import OPTIMIZERS, make_optimizer
from learning_to_learn.topology import Network
from learning_to_learn.training.memory import check_memory, estimate_memory, machine_memory, optimizer_memory
from tests.helpers import job

HUGE = {
    "replicas=1000000000": "replicas",
    f"replicas={'9' * 400}": "replicas",
    "arch.layers=[{neuron: 1000000}]": "arch.layers",
    "trainer.sequences=1000000000": "trainer.sequences",
    "evaluation.mappings=1000000000": "evaluation.mappings",
    "family.sequence_length=1000000000": "family.sequence_length",
}


@pytest.mark.parametrize("huge", HUGE)
def test_a_huge_job_is_refused_at_once(tmp_path, capsys, huge):
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    outcome = run_job(job(huge), tmp_path / "run")
    assert outcome.refused
    assert not (tmp_path / "run").exists()
    said = capsys.readouterr().err
    assert f"replicas={'9' * 400}" in said if "9" * 400 in huge else "this job needs about" in said
    assert HUGE[huge] in said
    assert said.count("\n") == 1
    assert time.monotonic() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("more", [[], ["arch=rtrl"], ["optimizer=soap"], ["engine=reference"]])
def test_a_small_job_needs_little(more):
    config = job(*more)
    check_memory(config)
    assert 0 < sum(estimate_memory(config).values()) < 50e6


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("units", [1, 7])
def test_the_optimizer_of_a_large_network_is_known_from_small_ones(name, units):
    import torch

    network, config = Network.of([{"neuron": units}]), job(f"optimizer={name}").optimizer
    weights = torch.nn.Parameter(torch.zeros(1, network.parameters))
    kept = make_optimizer(weights, config).memory()
    assert optimizer_memory(network, config) == sum(t.nbytes for t in kept.values())


def test_what_is_not_allocated_is_not_counted():
    config = job("trainer.sequences=1000000000")
    with pytest.raises(UserError, match="this machine has"):
        check_memory(config)
    check_memory(config, training=False)


def test_the_limit_of_a_container_counts(monkeypatch):
    whole = machine_memory()
    monkeypatch.setattr("learning_to_learn.training.memory.Path.read_text", lambda *_, **__: "1000\n")
    assert machine_memory() == 1000 < whole
    with pytest.raises(UserError, match="this machine has 1 kB"):
        check_memory(job())
    monkeypatch.setattr("learning_to_learn.training.memory.Path.read_text", lambda *_, **__: "max\n")
    assert machine_memory() >= whole


MEASURE = """
import resource, sys
from pathlib import Path
from learning_to_learn.jobs.job import run_job
from learning_to_learn.training.memory import estimate_memory
from tests.helpers import job
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
run_job(job(), Path(sys.argv[1]) / "small")  # what the libraries need
before = peak()
config = job(*sys.argv[2:])
run_job(config, Path(sys.argv[1]) / "large")
print(peak() - before, sum(estimate_memory(config).values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["replicas=64", "trainer.sequences=500", "family.sequence_length=256", "trainer.epochs=2"],
        ["arch.layers=[{memory_cell: 300}]", "replicas=16", "trainer.epochs=2", "trainer.sequences=20"],
        ["replicas=32", "evaluation.mappings=8192", "family.sequence_length=128", "trainer.epochs=2"],
    ],
)
def test_the_estimate_is_within_a_factor_of_two_of_the_peak(tmp_path, more):
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path, *more], capture_output=True, text=True, check=True)
    measured, estimated = map(int, done.stdout.splitlines()[-1].split())
    print(f"measured {measured / 1e6:.0f} MB, estimated {estimated / 1e6:.0f} MB")
    assert 0.5 < estimated / measured < 2
