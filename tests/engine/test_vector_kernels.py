"""Kernels of vector units equal the reference engine, at odd widths, beside scalar units, in batches that fill no lanes."""

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.fused import print_kernel
from learning_to_learn.engine.fused.trace import UnsupportedOperation
from learning_to_learn.gradients import Carry, make_gradient
from learning_to_learn.topology import Network, vector_unit
from tests.engine.test_kernels import FLOAT32, FLOAT64, compare
from tests.helpers import VECTOR_UNITS, random_case
from tests.topology.test_vector_units import odd


def hold_to_the_reference(net, gradient, *, dtype=torch.float64, replicas=2, batch=19, length=7):
    """A sequence in two segments, then one from a state that is given without its history."""
    fused, reference = make_engine("fused", net, gradient, dtype=dtype), make_engine("reference", net, gradient)
    parameters, x, target = random_case(net, replicas=replicas, batch=batch, length=length, dtype=dtype)
    exact, tolerance = [v.double() for v in (parameters, x, target)], FLOAT64 if dtype == torch.float64 else FLOAT32
    one = other = None
    for piece in (slice(0, length // 2), slice(length // 2, length)):
        one = fused.segment(parameters, x[:, :, piece], target[:, :, piece], one and one.carry)
        other = reference.segment(exact[0], exact[1][:, :, piece], exact[2][:, :, piece], other and other.carry)
        compare(one.outputs, other.outputs, tolerance)
        compare(one.carry.state, other.carry.state, tolerance)
        worst = other.gradient.abs().max()
        compare(one.gradient / worst, other.gradient / worst, tolerance * (1 if dtype == torch.float64 else 5))
    one = fused.segment(parameters, x, target, Carry(other.carry.state.to(dtype)))
    other = reference.segment(*exact, Carry(other.carry.state))
    compare(one.gradient, other.gradient, tolerance * 5)


@pytest.mark.parametrize("names", [("odd",), pytest.param(VECTOR_UNITS, marks=pytest.mark.slow)], ids=["odd", "all"])
def test_beside_scalar_units_in_heads(names):
    """One kernel for both gradients: of a unit with axes of all kinds, or of all that there are."""
    odd()
    units = {name: {"count": 2, "width": 3} for name in names}
    net = Network.of([{**units, "gru": 2, "heads": 2}, {"neuron": 3}], error_feedback=True)
    hold_to_the_reference(net, make_gradient("truncated"))
    hold_to_the_reference(net, make_gradient("bptt", window=3))


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["bptt", "truncated"])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
@pytest.mark.parametrize("name", [*VECTOR_UNITS, "odd"])
def test_every_unit_at_every_width(name, width, gradient):
    odd()
    net = Network.of([{name: {"count": 1, "width": width}}])
    for replicas in range(1, 6):
        hold_to_the_reference(net, make_gradient(gradient), replicas=replicas, batch=(1, 5, 16, 17, 40)[replicas - 1])
    hold_to_the_reference(net, make_gradient(gradient), dtype=torch.float32, length=20)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "delta_rule" else pytest.mark.slow) for name in VECTOR_UNITS]
)
def test_printed_source_is_short(name):
    """Loops, not their elements one by one: that of seven states is the longest."""
    lines = print_kernel(Network.of([{name: {"count": 2, "width": 8}}]), make_gradient("bptt")).split("\n")
    assert len(lines) < (700 if name == "self_referential" else 600)


def test_printed_source_is_as_long_at_every_width():
    nets = [Network.of([{"delta_rule": {"count": 2, "width": width}}]) for width in (3, 20)]
    small, large = (print_kernel(net, make_gradient("bptt")).split("\n") for net in nets)
    assert len(small) == len(large)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda z, s: (z, s @ s), "multiplies two matrices"),
        (lambda z, s: (z.cumsum(0), s), "uses aten.cumsum.default, which the fused engine cannot print"),
        (lambda z, s: (z.sort().values, s), "uses aten.sort.default"),
        (lambda z, s: (z, torch.linalg.inv(s)), "cannot be traced: linalg.inv: "),
        (lambda z, s: (s.flatten()[: len(z)], s), "only axes of length 1 may change"),
        (lambda z, s: ((s[:, :, None] * z).sum((1, 2)), s), "on 3 axes; two can be fused"),
        (lambda z, s: (z / z.norm(1), s), "a norm of order 1"),
    ],
)
def test_what_cannot_be_printed_is_named(step, says):
    step.__name__ = "strange"
    vector_unit(states=1, shapes={"s": "d d"})(step)
    net = Network.of([{"strange": {"count": 1, "width": 3}}])
    with pytest.raises(UnsupportedOperation, match="unit strange of width 3 ") as error:
        print_kernel(net, make_gradient("bptt"))
    assert says in str(error.value)
    assert "\n" not in str(error.value)
