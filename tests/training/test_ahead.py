"""Data that a second thread draws while the first one trains."""

import os
import threading
import time

import numba
import pytest
import torch

from learning_to_learn.composing import compose_config
from learning_to_learn.families import FAMILIES
from learning_to_learn.jobs.job import run_job
from learning_to_learn.training import ahead as module
from learning_to_learn.training.ahead import ahead, core_to_spare
from learning_to_learn.training.sequences import MetaData


@pytest.fixture(params=[False, True], ids=["one thread", "two threads"])
def spare(request, monkeypatch):
    monkeypatch.setattr(module, "core_to_spare", lambda jobs: request.param)
    return request.param


def test_everything_comes_in_order(spare):
    assert list(ahead(lambda n: n * n, range(3, 9))) == [9, 16, 25, 36, 49, 64]
    assert list(ahead(str, [5])) == ["5"]
    assert list(ahead(str, [])) == []


def test_the_next_one_is_drawn_while_the_caller_works(spare):
    drawn = threading.Event()

    def draw(number):
        if number == 1:
            drawn.set()
        return number

    found = ahead(draw, range(2))
    next(found)
    assert drawn.wait(timeout=5 if spare else 0.05) == spare


def test_an_error_comes_where_its_number_stands(spare):
    def draw(number):
        if number == 2:
            raise OSError("number 2")
        return number

    found = ahead(draw, range(4))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(OSError, match="number 2"):
        next(found)
    assert list(ahead(lambda n: n, range(3))) == [0, 1, 2]  # the thread is still there


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX, where another test has imported it, warns of every fork
def test_a_forked_child_has_a_thread_of_its_own(monkeypatch):
    monkeypatch.setattr(module, "core_to_spare", lambda jobs: True)
    assert list(ahead(str, range(3))) == ["0", "1", "2"]
    child = os.fork()
    if child == 0:
        os._exit(0 if list(ahead(str, range(3))) == ["0", "1", "2"] else 1)
    end = time.monotonic() + 10
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done == (child, 0)


def test_a_job_that_uses_all_cores_draws_for_itself(monkeypatch):
    numba.set_num_threads(1)
    MetaData(compose_config("replicas=1")).epoch(0)  # a loop has run: its library is known
    cores = {0}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    assert not core_to_spare()
    cores.add(1)
    assert core_to_spare() == (numba.threading_layer() in ("omp", "tbb"))
    assert not core_to_spare(jobs=2)  # side by side they use both cores
    monkeypatch.setattr(numba, "threading_layer", lambda: "workqueue")  # ends the process when two threads call it
    assert not core_to_spare()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_draws_the_same_in_either_thread(family, monkeypatch):
    monkeypatch.setattr(module, "core_to_spare", lambda jobs: True)
    data = MetaData(compose_config(f"family={family}", "replicas=2", "trainer.sequences=5"))
    for number, found in enumerate(ahead(data.epoch, range(3))):
        here = data.epoch(number)
        assert torch.equal(found.inputs, here.inputs)
        assert torch.equal(found.targets, here.targets)


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_a_job_is_the_same_with_and_without(engine, monkeypatch, tmp_path):
    config = compose_config(
        "trainer.epochs=6", "trainer.evaluate_every=3", "replicas=2", "trainer.sequences=10", "threads=1",
        "family.sequence_length=20", "trainer.curriculum=[]", f"engine={engine}", "logger.mode=disabled",
    )  # fmt: skip
    weights = []
    for spare in (False, True):
        monkeypatch.setattr(module, "core_to_spare", lambda jobs, spare=spare: spare)
        run_job(config, tmp_path / str(spare))
        checkpoint = torch.load(tmp_path / str(spare) / "checkpoints" / "last.ckpt", weights_only=True)
        weights.append(checkpoint["state_dict"])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
