"""Print the parallel loops over replicas and blocks of lanes. They serve every kernel of a type, by its address.

`run` gives each block of lanes sequences of one replica. `run_mixed` counts the sequences of all replicas through, so that no
lane is idle but in the last block; its kernels get the parameters of each lane, and give the gradient of each. `run_updates`
makes all updates of an epoch, with an optimizer's rule between them: of a small network, a call from Python for each of them
takes as long as the update.

A parallel function takes three seconds to compile when the kernel is compiled into it, and is optimized again each time;
a call through a pointer costs nanoseconds a block of lanes.
"""

import functools
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
from learning_to_learn.optimizers.clipping import shrink


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


@njit(
    "void(i8, b1, F[:,::1], F[:,:,:,:], F[:,:,:,:], F[:,:,:,:], F[:,:,::1], F[:,:,::1], F, b1, i8, F[:,::1], F[:,::1], "
    "F[:,::1], F[:,::1], F[:,::1], i8, f8[::1], b1[::1], F[:,:,::1], f8[:,::1], f8[:,::1], i8, i8[::1])",
    nogil=True, cache=True, error_model="numpy",
)
def run_updates(block, mixed, parameters, inputs, target, outputs, state, last, scale, flag, window, gradient, pieces,
                workspaces, sensitivities, lanes, rule, clip, alive, moments, numbers, rates, done, fixed):
    replicas, batch, steps = parameters.shape[0], state.shape[1], inputs.shape[2]
    kept = np.empty((replicas, fixed.size), parameters.dtype)
    for r in range(replicas):
        for i in range(fixed.size):
            kept[r, i] = parameters[r, fixed[i]]
    # Mixed lanes count through the sequences of all replicas, which must lie one after the other.
    sequences = replicas * batch if mixed else 0
    x = np.empty((sequences, steps, inputs.shape[3]), parameters.dtype)
    y = np.empty((sequences, steps, target.shape[3]), parameters.dtype)
    found = np.empty((sequences, steps, target.shape[3]), parameters.dtype)
    first, end = state.reshape(replicas * batch, state.shape[2]), last.reshape(replicas * batch, state.shape[2])
    for update in range(rates.shape[0]):
        rows = slice(update * batch, (update + 1) * batch)
        if mixed:
            for r in range(replicas):
                x[r * batch : (r + 1) * batch] = inputs[r, rows]
                y[r * batch : (r + 1) * batch] = target[r, rows]
            run_mixed(block, parameters, x, y, first, found, end, scale, True, flag, window, gradient, pieces, workspaces,
                      sensitivities, lanes)
            for r in range(replicas):
                outputs[r, rows] = found[r * batch : (r + 1) * batch]
        else:
            run(block, parameters, inputs[:, rows], target[:, rows], state, outputs[:, rows], last, scale, True, flag, window,
                gradient, pieces, workspaces, sensitivities)
        for r in range(replicas):
            numbers[r, 0] = rates[update, r]
            for i in range(fixed.size):
                gradient[r, fixed[i]] = 0.0
        call(rule, parameters, gradient, shrink(gradient, clip, alive), moments, alive, done + update + 1, numbers)
        for r in range(replicas):
            for i in range(fixed.size):
                parameters[r, fixed[i]] = kept[r, i]
'''


def print_loop(real: str) -> str:
    """The source of a module with `run` for numbers of type `real`."""
    return typed(TEXT, real)


def typed(text: str, real: str) -> str:
    """The text with the type `real` in place of F."""
    return text.replace("F[", f"{real}[").replace("F,", f"{real},")


def address(function: Any, signature: Any = None) -> int:
    """Where the machine code of a compiled function lies; of one with several signatures, that of the `signature`."""
    if signature is not None:
        function.compile(signature)
        compiled = function.overloads[signature.args]
    else:
        (compiled,) = function.overloads.values()
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@functools.cache
def rule_address(rule: Any, real: str) -> int:
    """Where the machine code of an optimizer's rule lies, for weights of type `real`."""
    number, double = getattr(types, real), types.float64
    arguments = number[:, ::1], number[:, ::1], double[::1], number[:, :, ::1], types.boolean[::1], types.int64, double[:, ::1]
    return address(rule.dispatcher, types.none(*arguments))


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
