"""A unit that is no function of its own values is refused by every engine, in one line that names it."""

import pytest

from learning_to_learn.engine import ENGINES, make_engine
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import UNITS, Network, Unit
from tests.helpers import SCALAR_UNITS

READS_NEIGHBOURS = "unit odd reads its neighbours"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda z, v: (z + v.roll(1, -1), v), READS_NEIGHBOURS),
        (lambda z, v: (z - z.mean(-1, keepdim=True), v), READS_NEIGHBOURS),
        (lambda z, v: (z, v.cumsum(0)), READS_NEIGHBOURS),
        (lambda z, v: (z, v.flip(1)), READS_NEIGHBOURS),
        (lambda z, v: (z.sum(-1), v), r"result 1 is \(3, 3\) where its arguments are \(3, 3, 3\)"),
        (lambda z, v: (z, 0.5), "result 2 is float"),
        (lambda z, v: (z,), "returns 1 values, not a tuple of its 1 outputs and 1 states"),
        (lambda z, v: z, "returns a Tensor"),
    ],
)
def test_what_is_not_elementwise_is_refused(engine, step, says):
    UNITS["odd"] = Unit("odd", step, ("z",), ("v",))
    net = Network.of([{"neuron": 1, "odd": 2}])
    with pytest.raises(UserError, match=says) as error:
        make_engine(engine, net, make_gradient("bptt"))
    assert "\n" not in str(error.value)


def test_every_unit_that_is_registered_is_elementwise():
    make_engine("reference", Network.of([dict.fromkeys(SCALAR_UNITS, 1)]), make_gradient("bptt"))
