"""The peers that we are compared with compute the same thing; the figures are left to `make bench`."""

import sys

import numpy as np
import pytest
import torch

from benchmarks import fast_weights, peers, recurrences
from benchmarks.__main__ import MODULES, TOPOLOGIES, compare, take_turns
from benchmarks.packed import packed_against_apart
from benchmarks.page import put
from benchmarks.startup import cpu_seconds, shares_of
from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network


def case(name, replicas=2, batch=3, length=6):
    torch.manual_seed(0)
    network = Network.of(TOPOLOGIES[name])
    p, x, y = (
        torch.rand(replicas, network.parameters) - 0.5,
        torch.rand(replicas, batch, length, 3),
        torch.rand(replicas, batch, length),
    )
    return network, p, x, y


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_jax_forms_the_same_gradient(name):
    pytest.importorskip("jax")
    network, p, x, y = case(name)
    expected = make_engine("reference", network, make_gradient("bptt")).segment(p, x, y.unsqueeze(-1)).gradient
    _, found = peers.jax_scan(network, p, x, y)()
    np.testing.assert_allclose(np.asarray(found), expected.numpy(), atol=1e-6)


def test_jax_rtrl_forms_the_same_gradient():
    pytest.importorskip("jax")
    network, p, x, y = case("neurons")
    expected = make_engine("reference", network, make_gradient("rtrl")).segment(p, x, y.unsqueeze(-1)).gradient
    np.testing.assert_allclose(np.asarray(peers.jax_rtrl(network, p, x, y)()), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_the_other_peers_run(name):
    network, p, x, y = case(name)
    times = take_turns({"loop": peers.plain_loop(network, p, x, y), "torch": peers.torch_modules(MODULES[name](), x, y)}, 0.0)
    assert all(len(t) == 3 for t in times.values())


@pytest.mark.parametrize("unit", fast_weights.UNITS)
def test_jax_forms_the_same_gradient_of_fast_weights(unit):
    pytest.importorskip("jax")
    network, p, x, y = fast_weights.case(unit, replicas=2, batch=3, length=6)
    expected = make_engine("reference", network, make_gradient("bptt")).segment(p, x, y.unsqueeze(-1)).gradient
    makers = [fast_weights.jax_scan, *([fast_weights.jax_associative] if unit == "linear_attention" else [])]
    for make in makers:
        _, found = make(network, p, x, y)()
        np.testing.assert_allclose(np.asarray(found), expected.numpy(), atol=1e-6)


def test_a_comparison_has_a_row_for_every_engine():
    rows = compare("neurons", "bptt", 5, 2, 1, seconds=0.01)
    assert {"fused", "reference", "torch.nn", "plain loop"} <= {r["engine"] for r in rows}
    assert rows[0]["ratio_to_fused"] == 1


def test_import_times_are_added_up_by_package():
    said = """import time: self [us] | cumulative | imported package
import time:      1000 |       1000 |   torch.nn
import time:    200000 |     201000 | torch
import time:       500 |        500 | numpy
"""
    assert shares_of(said) == {"torch": pytest.approx(0.201), "numpy": pytest.approx(0.0005)}


def test_cpu_seconds_are_those_of_the_command():
    idle, busy = (cpu_seconds([sys.executable, "-c", f"sum(range({count}))"]) for count in (1, 60_000_000))
    assert busy > 2 * idle


def test_a_packed_sweep_and_the_jobs_one_by_one_are_timed():
    small = ("trainer=quick", "family.sequence_length=20", "evaluation.mappings=16", "trainer.evaluate_every=1")
    found = packed_against_apart(2, 1, *small)
    assert [(one.launcher, one.rates) for one in found] == [("packed", 2), ("basic", 2)]
    assert all(one.seconds > 0 and one.cpu_seconds > 0 for one in found)


@pytest.mark.parametrize("arch", recurrences.ARCHS)
@pytest.mark.parametrize("unroll", [1, 4, None])
def test_recurrences_in_jax_have_the_same_gradient(arch, unroll):
    pytest.importorskip("jax")
    if unroll is None and arch != "lru":
        pytest.skip("only of a linear recurrence")
    net, p, x, y = case = recurrences.case(arch, replicas=2, batch=3, length=12)
    expected = make_engine("reference", net, make_gradient("bptt")).segment(p, x, y[..., None]).gradient
    _, found = recurrences.jax_recurrence(*case, unroll=unroll)()
    torch.testing.assert_close(torch.from_numpy(np.asarray(found).copy()), expected, rtol=0, atol=1e-6)


def test_a_part_that_is_measured_by_itself_takes_its_place_on_the_page(tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\n## One\n\nold\n\n## Two\n\nstays\n")
    put(["## One", "", "new", ""], page)
    put(["## Three", "", "added", ""], page)
    text = page.read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Benchmarks", "## One", "## Two", "## Three"]
    assert "old" not in text
    assert "stays" in text
    assert text.index("new") < text.index("Measured by itself on") < text.index("## Two") < text.index("added")
