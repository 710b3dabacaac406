"""Print the parallel loops over replicas and blocks of lanes. They serve every kernel of a type, by its address.

`run` gives each block of lanes sequences of one replica. `run_mixed` counts the sequences of all replicas through, so that no
lane is idle but in the last block; its kernels get the parameters of each lane, and give the gradient of each.

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


@njit(
    "void(i8, F[:,::1], F[:,:,:], F[:,:,:], F[:,::1], F[:,:,:], F[:,::1], F, b1, b1, i8, F[:,::1], F[:,::1], F[:,::1], "
    "F[:,::1], F[:,::1])",
    parallel=True, nogil=True, cache=True, error_model="numpy",
)
def run_mixed(block, parameters, inputs, target, state, outputs, last, scale, learn, flag, window, gradient, pieces, workspaces,
              sensitivities, lanes):
    sequences, replicas = inputs.shape[0], parameters.shape[0]
    batch = sequences // replicas
    jobs, workers = (sequences + LANES - 1) // LANES, workspaces.shape[0]
    for worker in prange(workers):
        for job in range(np.int64(worker) * jobs // workers, (np.int64(worker) + 1) * jobs // workers):
            lane = 0
            while lane < LANES:
                # Idle lanes run with the last replica's parameters.
                r = min((job * LANES + lane) // batch, replicas - 1)
                end = LANES if r == replicas - 1 else min(LANES, (r + 1) * batch - job * LANES)
                for i in range(parameters.shape[1]):
                    number = parameters[r, i]
                    for n in range(lane, end):
                        lanes[worker, i * LANES + n] = number
                lane = end
            call(block, lanes[worker], inputs, target, job * LANES, state, outputs, last, scale, learn, flag, window,
                 pieces[job], workspaces[worker], sensitivities[0])
    if learn:
        # Sequence after sequence, so that a replica's sum does not depend on where its sequences lie.
        for r in range(replicas):
            for i in range(parameters.shape[1]):
                gradient[r, i] = 0.0
            for sequence in range(r * batch, (r + 1) * batch):
                for i in range(parameters.shape[1]):
                    gradient[r, i] += pieces[sequence // LANES, i * LANES + sequence % LANES]
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
