"""The solver of sizes, against counting by hand and against a search through all counts; and what a cycle costs."""

import json

import pytest

from learning_to_learn.composing import options
from learning_to_learn.config_check import check, make_network
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.job import run_job
from learning_to_learn.runs.run_folder import RESULT
from learning_to_learn.topology import Network
from learning_to_learn.topology.cost import count_multiplications
from learning_to_learn.topology.size import scale_layers, size_of
from tests.helpers import job

SIZES = {"s": 400, "m": 1600, "l": 6400}


def counts(net):
    return [block.count for layer in net.layers for block in layer.blocks]


@pytest.mark.parametrize("arch", [arch for arch in options("arch") if arch != "fwnn"])  # its rule wires its layers
def test_every_arch_comes_near_every_size(arch):
    """One unit more or less of the smallest is at most an eighth of its parameters."""
    for size, wanted in SIZES.items():
        config = job(f"arch={arch}", f"size={size}")
        check(config)
        assert config.arch.parameters == wanted
        assert abs(make_network(config).parameters / wanted - 1) < (0.13 if size == "s" else 0.05)


@pytest.mark.parametrize("wanted", [60, 397, 1000, 6400])
def test_no_count_comes_nearer(wanted):
    """N neurons have N (N + 4) + N + 1 parameters."""
    best = min(range(1, 100), key=lambda n: abs(n * (n + 4) + n + 1 - wanted))
    assert counts(scale_layers([{"neuron": 12}], wanted, Network.of)) == [best]


def test_counts_keep_their_proportions():
    net = scale_layers([{"memory_cell": 12, "neuron": 6}, {"neuron": 40}], 20_000, Network.of)
    cells, beside, above = counts(net)
    assert abs(net.parameters / 20_000 - 1) < 0.02
    assert (cells / beside, above / beside) == pytest.approx((2, 40 / 6), rel=0.06)


def test_layers_as_wide_as_each_other_grow_one_after_the_other():
    """Both at once would miss 400 by more."""
    layers = [{"elementwise_lstm": 8}, {"elementwise_lstm": 8}]
    found = scale_layers(layers, 400, Network.of).parameters
    together = [Network.of([{"elementwise_lstm": n}] * 2).parameters for n in (8, 9)]
    assert abs(found - 400) < min(abs(n - 400) for n in together)


def test_options_stay_valid():
    heads = scale_layers([{"gru": 8, "neuron": 4, "heads": 4}], 3000, Network.of)
    assert heads.layers[0].heads == 4
    diagonal = scale_layers([{"gru": 4, "heads": 4}], 3000, Network.of)
    assert set(counts(diagonal)) == {1}
    assert diagonal.layers[0].heads > 100
    residual = scale_layers([{"gru": 9}, {"memory_cell": 4, "neuron": 5, "residual": True}], 1600, Network.of)
    assert residual.layers[1].residual
    assert residual.layers[0].outputs == residual.layers[1].outputs
    fixed = scale_layers([{"neuron": 5, "fixed": True, "radius": 0.9}], 1000, Network.of)
    assert (fixed.layers[0].fixed, fixed.layers[0].radius) == (True, 0.9)


def test_a_network_that_is_as_wanted_stays():
    assert counts(scale_layers([{"memory_cell": 6, "neuron": 6}], 397, Network.of)) == [6, 6]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arch.parameters=5"], "arch.parameters=5: no network of this shape has about as many parameters: the nearest has 27"),
        (["arch.parameters=0"], "arch.parameters=0: it must be at least 1"),
        (["arch.parameters=1000000"], "arch.parameters=1000000: it must be below 1e+06"),
        (["arch.parameters=400", "arch.layers=[{neuron: 0}]"], "arch.layers: layer 1: neuron: 0 units"),
    ],
)
def test_a_bad_size_is_one_line(words, message):
    with pytest.raises(UserError) as error:
        check(job(*words))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_shape_whose_steps_are_too_large():
    """With 30 heads there are 30, 60, ... units."""
    with pytest.raises(UserError, match=r"no network of this shape has about as many parameters: the nearest has \d+$"):
        scale_layers([{"gru": 60, "heads": 30}], 100, Network.of)


def test_multiplications_are_counted():
    import torch

    assert count_multiplications(lambda: torch.ones(2, 3) @ torch.ones(3, 4)) == 2 * 3 * 4
    assert count_multiplications(lambda: torch.tanh(torch.ones(5) * 2 + 1) / 3) == 10


def test_multiplications_of_a_cycle():
    """Those of neurons are the weights, without the biases. A memory cell has four more: two gates, two squashings."""
    n = 5
    assert Network.of([{"neuron": n}]).multiplications() == n * (n + 3) + n
    assert Network.of([{"neuron": n, "recurrent": False}]).multiplications() == n * 3 + n
    assert Network.of([{"memory_cell": n}]).multiplications() == 3 * n * (n + 3) + n + 4 * n
    assert Network.of([{"gru": 4, "heads": 4}]).multiplications() == 4 * (3 * 3 + 3 * 1 + 3) + 4


def test_the_result_says_how_large_the_network_is(tmp_path):
    config = job("arch=echo_state", "size=s", "engine=reference", "trainer.epochs=1", "family.sequence_length=3")
    run_job(config, tmp_path, console=False)
    found = json.loads((tmp_path / RESULT).read_text())
    assert {key: found[key] for key in ("parameters", "trained_parameters", "state_size", "multiplications")} == {
        "parameters": 17 * (17 + 4) + 17 + 17 + 1, "trained_parameters": 17 + 1, "state_size": 17 + 17 + 1,
        "multiplications": 17 * (17 + 3) + 17 + 2 * 17,
    }  # fmt: skip
    assert found["parameters"] == size_of(make_network(config))["parameters"]
