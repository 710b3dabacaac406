"""Run a printed kernel as plain Python on numpy arrays: slow for data, but there is nothing to compile."""

import re

import numpy as np
import torch

from learning_to_learn.engine.fused.fused import print_kernel
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.matmul import print_matmul
from learning_to_learn.gradients import make_gradient

IMPORTS = re.compile(r"^from (?:numba|matmul_\w+|learning_to_learn[\w.]*) import (?:\([^)]*\)|[^\n]*)", re.MULTILINE)


def store(array, index, value):
    array[index : index + LANES] = value


WORDS = {
    "njit": lambda *_, **__: lambda function: function,
    "BY_ADDRESS": {}, "CACHED": {}, "OPTIONS": {}, "LANES": LANES,
    "load": lambda array, index: array[index : index + LANES].copy(),
    "store": store,
    "prefetch": lambda *_: None,
    "splat": lambda array, index: np.full(LANES, array[index]),
    "fill": lambda _, number: np.full(LANES, float(number)),
    "fma": lambda a, b, c: a * b + c,
    "total": np.sum, "select": np.where, "negate": np.negative, "maximum": np.maximum, "minimum": np.minimum,
    "both": np.logical_and, "either": np.logical_or, "opposite": np.logical_not,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    **{name: getattr(np, name) for name in ("tanh", "exp", "log", "sin", "cos", "sqrt", "log1p", "expm1")},
}  # fmt: skip
"""What the kernels import."""


def interpret(net, gradient_name, parameters, x, target):
    """The outputs and the gradient of one replica's squared error over a sequence. What is not initialised is 1000."""
    words = dict(WORDS)
    for source in (print_matmul("float64"), print_kernel(net, make_gradient(gradient_name), torch.float64)):
        exec(IMPORTS.sub("", source), words)  # noqa: S102 - what is run is printed here
    (batch, length), state = x.shape[1:3], net.initial_state(parameters, x.shape[1])
    outputs, last, gradient = torch.empty_like(target), torch.empty_like(state), np.zeros(net.parameters)
    memory, sensitivities = np.full(words["words"](length), 1e3), np.full(words.get("columns", 1), 1e3)
    arrays = (a[0].numpy() for a in (parameters, x, target))
    p, given, wanted = arrays
    scale = 2 / (batch * length * net.outputs)
    words["block"](p, given, wanted, 0, state[0].numpy(), outputs[0].numpy(), last[0].numpy(), scale, True, True, length,
                   gradient, memory, sensitivities)  # fmt: skip
    return outputs, torch.from_numpy(gradient)[None]
