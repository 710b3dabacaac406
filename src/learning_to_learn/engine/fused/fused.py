"""The fused engine: one compiled loop over time for all layers, replicas and sequences."""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from learning_to_learn.engine.engine import check_shape
from learning_to_learn.engine.fused.backward_mode import print_backward_mode, print_mixed_lanes
from learning_to_learn.engine.fused.cache import Printer, load_kernel, load_loop, matmul_name
from learning_to_learn.engine.fused.forward_mode import print_forward_mode
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import address, rule_address
from learning_to_learn.engine.fused.trace import UnsupportedOperation
from learning_to_learn.engine.lane_use import blocks_of_lanes, mixes_lanes
from learning_to_learn.gradients import Carry, Gradient, Segment
from learning_to_learn.optimizers.elementwise import Elementwise
from learning_to_learn.optimizers.optimizer import Optimizer
from learning_to_learn.topology import Network

CACHE_LINE = 64


class Fused:
    """Runs the kernels that are printed from the network's units, on all cores of the CPU, in float32 or float64.

    `keep`: sensitivities must survive from segment to segment. `batch`: the sequences of an update, which decide whether lanes
    are mixed; any other number of sequences runs too. Memory: every thread owns a workspace of 4 bytes x 16 lanes
    x (inputs + saved values) a cycle, for the LSTM of 6 + 6 units 2.2 KiB a cycle, and more where a layer has a norm, a
    residual path or vector units; it does not grow with batch or replicas. With `keep`, rtrl also holds for every sequence a
    number for each state and parameter that can change it.
    Raises UnsupportedOperation where a unit cannot be fused, TypeError on another type.
    """

    name = "fused"

    def __init__(
        self, network: Network, gradient: Gradient, *, dtype: torch.dtype = torch.float32, keep: bool = False,
        batch: int | None = None,
    ) -> None:  # fmt: skip
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"the fused engine computes in float32 or float64, not {dtype}")
        self.network, self.gradient, self.dtype, self.keep = network, gradient, dtype, keep
        self._real = np.dtype(str(dtype).removeprefix("torch."))
        self._forward_mode = gradient.forward_mode
        self.mixed = mixes_lanes(batch, network.parameters, forward_mode=gradient.forward_mode)
        self._kernel = load_kernel(network, self._real.name, printer_of(gradient, mixed=self.mixed), mixed=self.mixed)
        self._block, self._loop = address(self._kernel.block), load_loop(self._real.name)
        self._outputs = network.outputs
        self._workspaces = self._pieces = np.empty((0, 0), self._real)
        self._columns = self._lanes = _aligned(1, 1, self._real)
        self._first: Tensor | None = None
        self._initial = [i for _, value in network.initial_states() if isinstance(value, slice) for i in _range(value)]

    def outputs(self, parameters: Tensor, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        targets = x[..., : self._outputs]  # not looked at
        y, last, _, _ = self._run(parameters, x, targets, state, None, learn=False)
        return y, last

    def segment(self, parameters: Tensor, x: Tensor, target: Tensor, carry: Carry | None = None) -> Segment:
        check_shape(self._outputs, x, target)
        state, sensitivities = (carry.state, carry.sensitivities) if carry else (None, None)
        y, last, gradient, sensitivities = self._run(parameters, x, target, state, sensitivities, learn=True)
        return Segment(gradient, y, Carry(last, sensitivities))

    def _first_state(self, parameters: Tensor, batch: int) -> Tensor:
        """The state before the first cycle; it is the same in every update, unless the network trains it."""
        if self._initial:
            return self.network.initial_state(parameters, batch)
        if self._first is None or self._first.shape[:2] != (len(parameters), batch):
            self._first = self.network.initial_state(parameters.detach(), batch)
        return self._first

    def _run(
        self, parameters: Tensor, x: Tensor, target: Tensor, state: Tensor | None, kept: Tensor | None, *, learn: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        replicas, batch, steps, _ = x.shape
        given = state is not None
        if state is None:
            state = self._first_state(parameters, batch)
        y, last = x.new_empty(replicas, batch, steps, self._outputs), torch.empty_like(state)
        gradient = torch.empty_like(parameters) if learn else parameters.new_empty(0, 0)
        jobs, workers = self._make_room(parameters, batch, steps, learn=learn)
        own = parameters.detach().numpy()
        cycles = [values.numpy() for values in (x, target, state, y, last)]
        scale, ways = self._scale(batch, steps), self._ways(steps)
        buffers = (gradient.numpy(), self._pieces, self._workspaces[:workers])
        if not self._forward_mode:
            if self.mixed:
                flat = [values.reshape(replicas * batch, *values.shape[2:]) for values in cycles]
                self._loop.run_mixed(self._block, own, *flat, scale, learn, *ways, *buffers, self._columns, self._lanes)
            else:
                self._loop.run(self._block, own, *cycles, scale, learn, *ways, *buffers, self._columns)
            if given and learn and self._initial:
                # The kernel cannot know that the state is not the network's own.
                gradient[:, self._initial] = 0.0
            return y, last, gradient, None
        if self.keep and learn:
            fresh = kept is None
            kept = torch.from_numpy(_aligned(jobs, self._kernel.columns, self._real)) if kept is None else kept
            columns = kept.numpy()
        else:
            self._columns = _at_least(self._columns, workers, self._kernel.columns if learn else 1, self._real)
            fresh, columns = True, self._columns[:workers]
        window = 0 if given else steps
        self._loop.run(self._block, own, *cycles, scale, learn, fresh, window, *buffers, columns)
        return y, last, gradient, kept if self.keep else None

    def can_train(self, optimizer: Optimizer) -> bool:
        """Whether `train` can make the updates: the optimizer is a compiled rule, and no initial state is trained."""
        return isinstance(optimizer, Elementwise) and optimizer.is_its_rule and not self._initial

    def train(
        self, parameters: Tensor, x: Tensor, target: Tensor, outputs: Tensor, optimizer: Optimizer, rates: np.ndarray,
        alive: Tensor, fixed: Sequence[int] = (),
    ) -> None:  # fmt: skip
        """Make the updates of an epoch in one call: those that `segment` and `optimizer.step` make, to the bit.

        `x` and `target` have the sequences of one update after those of another, and `rates` [U, R] each update's learning
        rates. The outputs [R, N, T, m] are written into `outputs`. The `fixed` parameters stay as they are.
        """
        assert isinstance(optimizer, Elementwise)
        check_shape(self._outputs, x, target)
        sequences, steps = x.shape[1:3]
        batch = sequences // len(rates)
        state = self._first_state(parameters, batch)
        _, workers = self._make_room(parameters, batch, steps, learn=True)
        if self._forward_mode:
            self._columns = _at_least(self._columns, workers, self._kernel.columns, self._real)
        flag, window = self._ways(steps)
        self._loop.run_updates(
            self._block, self.mixed, *(values.numpy() for values in (parameters, x, target, outputs, state)),
            np.empty(state.shape, self._real), self._scale(batch, steps), flag, window,
            np.empty(parameters.shape, self._real), self._pieces, self._workspaces[:workers],
            self._columns[:workers] if self._forward_mode else self._columns, self._lanes,
            rule_address(optimizer.rule, self._real.name), *optimizer.arrays(alive), rates, optimizer.updates,
            np.array(fixed, np.int64),
        )  # fmt: skip
        optimizer.updates += len(rates)

    def _make_room(self, parameters: Tensor, batch: int, steps: int, *, learn: bool) -> tuple[int, int]:
        """Let the buffers be large enough for an update; return the blocks of lanes, and the threads that share them."""
        jobs, size = blocks_of_lanes(len(parameters), batch, mixed=self.mixed), parameters.shape[1]
        workers = min(numba.get_num_threads(), jobs)
        self._workspaces = _at_least(self._workspaces, workers, self._kernel.words(steps), self._real)
        self._pieces = _at_least(self._pieces, jobs, size * (LANES if self.mixed else 1) if learn else 0, self._real)
        if self.mixed:
            self._lanes = _at_least(self._lanes, workers, size * LANES, self._real)
        return jobs, workers

    def _ways(self, steps: int) -> tuple[bool, int]:
        """Return how a kernel goes through segments that begin afresh: its `flag` and its window."""
        if self._forward_mode:
            return True, steps
        return not self.gradient.detach_recurrent, self.gradient.window or steps

    def _scale(self, batch: int, steps: int) -> Any:
        """Return what the error of one output counts in the gradient of the mean loss."""
        return self._real.type(1 / (batch * steps) if self.network.loss == "log" else 2 / (batch * steps * self._outputs))


def print_kernel(network: Network, gradient: Gradient, dtype: torch.dtype = torch.float32, *, batch: int | None = None) -> str:
    """The source that is compiled for a network and a gradient. Raises UnsupportedOperation where it cannot be fused."""
    real = str(dtype).removeprefix("torch.")
    mixed = mixes_lanes(batch, network.parameters, forward_mode=gradient.forward_mode)
    return printer_of(gradient, mixed=mixed)(network, real, matmul_name(real, mixed=mixed))


def printer_of(gradient: Gradient, *, mixed: bool = False) -> Printer:
    """What prints the kernels of a gradient. Raises UnsupportedOperation where nothing does."""
    if not gradient.fused:
        raise UnsupportedOperation(f"gradient {gradient.name} has no fused kernel")
    if gradient.forward_mode:
        return print_forward_mode
    return print_mixed_lanes if mixed else print_backward_mode


def _at_least(array: np.ndarray, rows: int, words: int, real: np.dtype) -> np.ndarray:
    """The array, or a larger one where it is too small."""
    if array.shape[0] >= rows and array.shape[1] >= words:
        return array
    return _aligned(max(rows, array.shape[0]), max(words, array.shape[1]), real)


def _aligned(rows: int, words: int, real: np.dtype) -> np.ndarray:
    """Zeros [rows, words or more], every row at the start of a cache line: a vector that straddles two costs twice."""
    unit = CACHE_LINE // real.itemsize
    words = -(-words // unit) * unit
    flat = np.zeros(rows * words + unit, real)
    start = -flat.ctypes.data % CACHE_LINE // real.itemsize
    return flat[start : start + rows * words].reshape(rows, words)


def _range(place: slice) -> range:
    return range(place.start, place.stop)
