"""Every registered unit under every registered gradient, on every engine: what a contributor adds is held to the reference.

The units of cells.py are many, and their kernels take a minute or two: `make test-slow`, tests/engine/test_wiring.py.
"""

import pytest
import torch

from learning_to_learn.engine import ENGINES, make_engine
from learning_to_learn.gradients import GRADIENTS, make_gradient
from learning_to_learn.topology import UNITS, Network, cells
from tests.engine.test_kernels import FLOAT64, compare
from tests.helpers import SCALAR_UNITS, random_case


@pytest.mark.parametrize("gradient_name", [name for name, gradient in GRADIENTS.items() if gradient.fused])
def test_every_unit_under_every_gradient_on_every_engine(gradient_name):
    """All units stand in one layer, so that there is one kernel for every gradient."""
    units = [name for name in SCALAR_UNITS if UNITS[name].step.__module__ != cells.__name__]
    net, gradient = Network.of([dict.fromkeys(units, 1)]), make_gradient(gradient_name)
    case = random_case(net, replicas=2, batch=17, length=7)
    expected = make_engine("reference", net, gradient).segment(*case)
    for name in ENGINES:
        found = make_engine(name, net, gradient, dtype=torch.float64).segment(*case)
        compare(found.outputs, expected.outputs, FLOAT64)
        compare(found.gradient, expected.gradient, FLOAT64)
        compare(found.carry.state, expected.carry.state, FLOAT64)
