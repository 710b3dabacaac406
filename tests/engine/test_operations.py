"""Every operation that can be printed equals torch in float64, with its derivative, in the backward and the forward mode."""

import pytest
import torch
from torch.nn import functional

from learning_to_learn.engine import make_engine
from learning_to_learn.engine.fused.elementwise import NUMBA, statements
from learning_to_learn.engine.fused.trace import Op, Trace, UnsupportedOperation
from learning_to_learn.gradients import GRADIENTS, make_gradient
from learning_to_learn.topology import UNITS, Network, Unit
from tests.engine.test_kernels import FLOAT64, compare
from tests.helpers import random_case

ARITHMETIC = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b, "rsub": lambda a, b: 1 - a, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (2 + b * b),
    "neg": lambda a, b: -a, "square": lambda a, b: a.square(),
    "reciprocal": lambda a, b: (2 + a * a).reciprocal(), "sqrt": lambda a, b: (1 + a * a).sqrt(),
    "rsqrt": lambda a, b: (1 + a * a).rsqrt(),
    "pow": lambda a, b: a**3 + (1 + a * a) ** 0.5 + (1 + a * a) ** -2.5,
    "exp": lambda a, b: a.exp(),
    "log": lambda a, b: (1 + a * a).log(), "log1p": lambda a, b: (a * a).log1p(), "expm1": lambda a, b: a.expm1(),
    "sin": lambda a, b: a.sin(), "cos": lambda a, b: a.cos(), "erf": lambda a, b: a.erf(), "abs": lambda a, b: a.abs(),
    "sign": lambda a, b: a * b.sign(), "tanh": lambda a, b: a.tanh(), "sigmoid": lambda a, b: a.sigmoid(),
}  # fmt: skip
BRANCHES = {
    "relu": lambda a, b: torch.relu(a), "maximum": torch.maximum, "minimum": torch.minimum,
    "minimum_of_number": lambda a, b: torch.minimum(a, torch.full_like(a, 0.5)),
    "maximum_of_number": lambda a, b: torch.maximum(a, torch.full_like(a, 0.5)),
    "clamp": lambda a, b: a.clamp(-0.3, 0.4), "clamp_low": lambda a, b: a.clamp(min=0.1),
    "clamp_high": lambda a, b: a.clamp(max=0.1), "where": lambda a, b: torch.where(a > b, a, 2 * b),
    "where_of_numbers": lambda a, b: a * torch.where(a > 0, 0.25, -0.5),
    "masked_fill": lambda a, b: a.masked_fill(b > 0, 0.25),
    "logic": lambda a, b: torch.where(((a > 0) & (b > 0)) | ~(a < 0.3), a, b), "mask_as_number": lambda a, b: (a > b) * a,
    "constant": lambda a, b: a * 0 + torch.tanh(torch.full_like(a, 0.5)),
}  # fmt: skip
FUNCTIONS = {
    "softplus": lambda a, b: functional.softplus(a),
    "softplus_beta": lambda a, b: functional.softplus(a, beta=2.0, threshold=1.0),
    "silu": lambda a, b: functional.silu(a),
    "gelu": lambda a, b: functional.gelu(a),
    "gelu_tanh": lambda a, b: functional.gelu(a, approximate="tanh"),
    "elu": lambda a, b: functional.elu(a),
    "hardtanh": lambda a, b: functional.hardtanh(a, -0.4, 0.3),
    "leaky_relu": lambda a, b: functional.leaky_relu(a, 0.1),
    "logsigmoid": lambda a, b: functional.logsigmoid(a),
}  # fmt: skip
OPERATIONS = ARITHMETIC | BRANCHES | FUNCTIONS


def units_of(operations):
    """One network with a unit for every operation: a kernel to compile instead of one for each."""
    layer = {}
    for name, operation in operations.items():
        UNITS[f"op_{name}"] = Unit(f"op_{name}", lambda a, b, f=operation: (f(a, b),), ("a", "b"))
        layer[f"op_{name}"] = 1
    return Network.of([layer])


@pytest.mark.parametrize("gradient_name", GRADIENTS)
@pytest.mark.parametrize("operations", [ARITHMETIC, BRANCHES, FUNCTIONS], ids=["arithmetic", "branches", "functions"])
def test_operations_equal_the_reference(operations, gradient_name):
    net, gradient = units_of(operations), make_gradient(gradient_name)
    case = random_case(net, batch=17, length=3, scale=0.3)
    found = make_engine("fused", net, gradient, dtype=torch.float64).segment(*case)
    expected = make_engine("reference", net, gradient).segment(*case)
    compare(found.carry.state, expected.carry.state, FLOAT64)
    compare(found.gradient, expected.gradient, FLOAT64)


@pytest.mark.parametrize("name", ["relu", "minimum_of_number", "clamp_low"])
def test_a_unit_that_is_one_operation_with_branches(name):
    net, gradient = units_of({name: OPERATIONS[name]}), make_gradient("rtrl")
    case = random_case(net)
    found = make_engine("fused", net, gradient, dtype=torch.float64).segment(*case)
    compare(found.gradient, make_engine("reference", net, gradient).segment(*case).gradient, FLOAT64)


@pytest.mark.parametrize("operation", [lambda a: a**0.3, torch.special.i0, torch.floor])
def test_what_has_no_form_falls_back_with_a_warning(operation):
    UNITS["odd"] = Unit("odd", lambda a: (operation(a),), ("a",))
    net = Network.of([{"odd": 1}])
    with pytest.raises(UnsupportedOperation):
        make_engine("fused", net, make_gradient("rtrl"))
    with pytest.warns(UserWarning, match="the reference engine runs instead"):
        assert make_engine("auto", net, make_gradient("rtrl")).name == "reference"


def test_another_target_has_another_table():
    trace = Trace((Op("v0", "add", ("a", 1.0)), Op("v1", "tanh", ("v0",))), ("v1",))
    table = {**NUMBA, "add": "({0} + {1})", "tanh": "tanhf({0})"}
    assert statements(trace, {"a": "a"}, "x_", table)[0] == ["x_v0 = (a + 1.0)", "x_v1 = tanhf(x_v0)"]
    with pytest.raises(UnsupportedOperation, match="tanh"):
        statements(trace, {"a": "a"}, "x_", {"add": "{0} + {1}"})
