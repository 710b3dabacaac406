"""Every kernel equals the reference engine: outputs, gradients, states and what is carried."""

import numba
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.fused import Fused
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.gradients import Carry, make_gradient
from tests.helpers import NETWORKS, network, random_case

FLOAT32 = 2e-5
"""The stated tolerance of float32: of outputs, and of gradients as a part of the largest. (Seen: 2e-7 to 3e-6.)"""
FLOAT64 = 1e-10


def compare(found, expected, tolerance):
    scale = max(1.0, expected.abs().max().item()) if expected.numel() else 1.0
    torch.testing.assert_close(found.to(expected.dtype), expected, rtol=0, atol=tolerance * scale)


def check(name, gradient_name, window, dtype, replicas, batch, length, error_feedback, split, seed, update=None):
    """A sequence in two segments against the reference in float64. `update`: the sequences that the engine is told of."""
    net = network(name, error_feedback=error_feedback)
    gradient = make_gradient(gradient_name, window=window)
    fused = make_engine("fused", net, gradient, dtype=dtype, keep=True, batch=update)
    assert fused.mixed == (update is not None)
    reference = make_engine("reference", net, gradient)
    parameters, x, target = random_case(net, replicas=replicas, batch=batch, length=length, dtype=dtype, seed=seed)
    tolerance = FLOAT64 if dtype == torch.float64 else FLOAT32
    carries: list[Carry | None] = [None, None]
    for piece in (slice(0, split), slice(split, None)) if 0 < split < length else (slice(None),):
        one = fused.segment(parameters, x[:, :, piece], target[:, :, piece], carries[0])
        other = reference.segment(parameters.double(), x[:, :, piece].double(), target[:, :, piece].double(), carries[1])
        compare(one.outputs, other.outputs, tolerance)
        compare(one.carry.state, other.carry.state, tolerance)
        worst = other.gradient.abs().max()
        compare(one.gradient / worst, other.gradient / worst, tolerance * (1 if dtype == torch.float64 else 5))
        carries = [one.carry, other.carry]
    compare(fused.outputs(parameters, x)[0], reference.outputs(parameters.double(), x.double())[0], tolerance)


shapes = st.tuples(
    st.integers(1, 5), st.integers(1, 40), st.integers(1, 36), st.booleans(), st.integers(0, 35), st.integers(0, 99)
)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(
            name,
            dtype,
            id=f"{name}-{bits}",
            marks=pytest.mark.slow if bits == "f32" and name in ("all_kinds", "two_layers") else [],
        )
        for name in NETWORKS
        for bits, dtype in (("f64", torch.float64), ("f32", torch.float32))
    ],
)
@settings(max_examples=12)
@given(shapes, st.sampled_from([("bptt", None), ("bptt", 1), ("bptt", 3), ("truncated", None)]))
@example((5, 17, 24, True, 7, 1), ("bptt", None))
@example((1, 1, 1, False, 0, 2), ("truncated", None))
@example((2, 32, 9, False, 0, 3), ("bptt", 4))
def test_backward_kernels(name, dtype, shape, gradient):
    check(name, *gradient, dtype, *shape)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("cells", torch.float64), pytest.param("cells", torch.float32, marks=pytest.mark.slow)]
    + [
        pytest.param(n, torch.float64, marks=pytest.mark.slow)
        for n in ("two_layers", "all_kinds", "linear_recurrent", "delta_rule")
    ],
)
@settings(max_examples=12)
@given(shapes, st.sampled_from([("bptt", None), ("bptt", 3), ("truncated", None)]))
@example((5, 5, 24, True, 7, 1), ("bptt", None))
@example((1, 1, 1, False, 0, 2), ("truncated", None))
@example((2, 32, 9, False, 0, 3), ("bptt", 4))
def test_kernels_whose_lanes_are_of_several_replicas(name, dtype, shape, gradient):
    check(name, *gradient, dtype, *shape, update=5)


def test_in_mixed_lanes_a_replica_is_the_same_to_the_bit_whatever_lies_beside_it():
    net = network("cells")
    parameters, x, target = random_case(net, replicas=7, batch=5, dtype=torch.float32)
    parameters[3] = float("nan")
    engine = make_engine("fused", net, make_gradient("bptt"), batch=5)
    together = engine.segment(parameters, x, target)
    for i in range(7):
        alone = engine.segment(parameters[i : i + 1], x[i : i + 1], target[i : i + 1])
        for found, expected in ((together.gradient, alone.gradient), (together.outputs, alone.outputs)):
            torch.testing.assert_close(found[i : i + 1], expected, rtol=0, atol=0, equal_nan=True)
        assert alone.gradient.isfinite().all() == (i != 3)


@pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)], ids=["f64", "f32"]
)  # they take long to compile
@pytest.mark.parametrize("name", ["cells", *(pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS if n != "cells")])
@settings(max_examples=8)
@given(shapes)
@example((5, 17, 24, True, 7, 1))
@example((1, 1, 1, False, 0, 2))
def test_forward_mode_kernels(name, dtype, shape):
    check(name, "rtrl", None, dtype, *shape)


def test_without_keep_rtrl_starts_every_sequence_anew():
    net = network("cells")
    case = random_case(net, replicas=3, batch=20)
    engine = make_engine("fused", net, make_gradient("rtrl"), dtype=torch.float64)
    first, second = engine.segment(*case), engine.segment(*case)
    torch.testing.assert_close(first.gradient, second.gradient, rtol=0, atol=0)
    assert first.carry.sensitivities is None


def test_the_number_of_threads_changes_nothing():
    net = network("two_layers")
    case = random_case(net, replicas=3, batch=40, dtype=torch.float32)
    found = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        engines = [make_engine("fused", net, make_gradient("bptt"), batch=batch) for batch in (None, 5)]
        found += [engine.segment(*case).gradient for engine in engines]
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=0)
    torch.testing.assert_close(found[1], found[3], rtol=0, atol=0)


def test_nan_stays_in_its_own_replica():
    net = network("cells")
    parameters, x, target = random_case(net, replicas=3, dtype=torch.float32)
    parameters[1] = float("nan")
    found = make_engine("fused", net, make_gradient("bptt")).segment(parameters, x, target)
    assert found.gradient[1].isnan().all()
    assert found.gradient[[0, 2]].isfinite().all()


def test_memory_does_not_grow_with_the_batch_or_the_replicas():
    """T = 1000 x 100 sequences x 16 replicas must fit in 8 GiB; every thread has one workspace."""
    net = network("cells")
    engine = Fused(net, make_gradient("bptt"))
    sizes = []
    for replicas, batch in ((1, 32), (4, 64)):
        engine.segment(*random_case(net, replicas=replicas, batch=batch, length=50, dtype=torch.float32))
        sizes.append(engine._workspaces.nbytes)
    assert sizes[0] == sizes[1]


def test_of_a_cycle_of_a_long_sequence_only_saved_values_and_inputs_are_kept():
    """Of a memory cell two gates, the squashed input and the squashed state, of a neuron its output; no output twice."""
    words = Fused(network("cells"), make_gradient("bptt"))._kernel.words
    saved, inputs, first_sources = 4 * 2 + 2 + 1, 3, (2 + 2) / 16
    assert (words(4000) - words(256)) / (4000 - 256) / LANES == saved + inputs + first_sources


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="float32 or float64"):
        make_engine("fused", network("neurons"), make_gradient("bptt"), dtype=torch.float16)
