"""Print the parallel loop over replicas and blocks of lanes. One serves every kernel of a type, by its address.

A parallel function takes three seconds to compile when the kernel is compiled into it, and is optimized again each time;
a call through a pointer costs nanoseconds a block of lanes.
"""

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = "void(F[::1], F[:,:,:], F[:,:,:], i8, F[:,::1], F[:,:,:], F[:,::1], F, b1, b1, i8, F[::1], F[::1], F[::1])"
"""The signature of every kernel's `block`; F is its type of numbers."""

TEXT = '''"""Printed by learning_to_learn.engine.fused.loop; do not edit."""

import numpy as np
from numba import njit, prange

from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import call


@njit(
    "void(i8, F[:,::1], F[:,:,:,:], F[:,:,:,:], F[:,:,::1], F[:,:,:,:], F[:,:,::1], F, b1, b1, i8, F[:,::1], F[:,::1], "
    "F[:,::1], F[:,::1])",
    parallel=True, nogil=True, cache=True, error_model="numpy",
)
def run(block, parameters, inputs, target, state, outputs, last, scale, learn, flag, window, gradient, pieces, workspaces,
        sensitivities):
    replicas, batch = inputs.shape[0], inputs.shape[1]
    blocks = (batch + LANES - 1) // LANES
    jobs, workers = replicas * blocks, workspaces.shape[0]
    # One set of sensitivities for every block of lanes where they are kept, else one for every worker.
    one_each = sensitivities.shape[0] == jobs
    for worker in prange(workers):
        for job in range(np.int64(worker) * jobs // workers, (np.int64(worker) + 1) * jobs // workers):
            r = job // blocks
            column = job if one_each else np.int64(worker)
            call(block, parameters[r], inputs[r], target[r], job % blocks * LANES, state[r], outputs[r], last[r], scale,
                 learn, flag, window, pieces[job], workspaces[worker], sensitivities[column])
    if learn:
        for r in range(replicas):
            for i in range(parameters.shape[1]):
                sum_ = pieces[r * blocks, i]
                for b in range(r * blocks + 1, (r + 1) * blocks):
                    sum_ += pieces[b, i]
                gradient[r, i] = sum_
'''


def print_loop(real: str) -> str:
    """The source of a module with `run` for numbers of type `real`."""
    return typed(TEXT, real)


def typed(text: str, real: str) -> str:
    """The text with the type `real` in place of F."""
    return text.replace("F[", f"{real}[").replace("F,", f"{real},")


def address(function: Any) -> int:
    """Where the machine code of a compiled function with one signature lies."""
    (compiled,) = function.overloads.values()
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@intrinsic
def call(_context, function, *arguments):  # noqa: ANN002
    """Call the compiled function at an address, whose parameters must have exactly the arguments' types."""

    def generate(context, builder, sig, args):
        values = cgutils.unpack_tuple(builder, args[1])
        function_type = context.call_conv.get_function_type(types.none, sig.args[1].types)
        pointer = builder.inttoptr(args[0], function_type.as_pointer())
        context.call_conv.call_function(builder, pointer, types.none, sig.args[1].types, values)
        return context.get_dummy_value()

    return types.void(function, types.StarArgTuple(arguments)), generate
