"""The fused engine: one compiled loop over time for all layers, replicas and sequences."""

import numba
import numpy as np
import torch
from torch import Tensor

from learning_to_learn.engine.engine import check_shape
from learning_to_learn.engine.fused.backward_mode import print_backward_mode, print_mixed_lanes
from learning_to_learn.engine.fused.cache import Printer, load_kernel, load_loop, matmul_name
from learning_to_learn.engine.fused.forward_mode import print_forward_mode
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import address
from learning_to_learn.engine.fused.trace import UnsupportedOperation
from learning_to_learn.engine.lane_use import blocks_of_lanes, mixes_lanes
from learning_to_learn.gradients import Carry, Gradient, Segment
from learning_to_learn.topology import Network

CACHE_LINE = 64


class Fused:
    """Runs the kernels that are printed from the network's units, on all cores of the CPU, in float32 or float64.

    `keep`: sensitivities must survive from segment to segment. `batch`: the sequences of an update, which decide whether lanes
    are mixed; any other number of sequences runs too. Memory: every thread owns a workspace of 4 bytes x 16 lanes
    x (sources + 1 + saved values) a cycle, for the LSTM of 6 + 6 units 3 KiB a cycle; it does not grow with batch or
    replicas. With `keep`, rtrl also holds for every sequence a number for each state and parameter that can change it.
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
        self.mixed = not gradient.forward_mode and mixes_lanes(batch, network.parameters)
        self._kernel = load_kernel(network, self._real.name, printer_of(gradient, mixed=self.mixed), mixed=self.mixed)
        self._block, self._loop = address(self._kernel.block), load_loop(self._real.name)
        self._workspaces = np.empty((0, 0), self._real)
        self._columns = self._lanes = _aligned(1, 1, self._real)
        self._first: Tensor | None = None
        self._initial = [i for _, value in network.initial_states() if isinstance(value, slice) for i in _range(value)]

    def outputs(self, parameters: Tensor, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        targets = x[..., : self.network.outputs]  # not looked at
        y, last, _, _ = self._run(parameters, x, targets, state, None, learn=False)
        return y, last

    def segment(self, parameters: Tensor, x: Tensor, target: Tensor, carry: Carry | None = None) -> Segment:
        check_shape(self.network, x, target)
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
        outputs = self.network.outputs
        y, last = x.new_empty(replicas, batch, steps, outputs), torch.empty_like(state)
        gradient = torch.empty_like(parameters) if learn else parameters.new_empty(0, 0)
        mixed, jobs = self.mixed, blocks_of_lanes(replicas, batch, mixed=self.mixed)
        pieces = np.empty((jobs, parameters.shape[1] * (LANES if mixed else 1) if learn else 0), self._real)
        workers = min(numba.get_num_threads(), jobs)
        self._workspaces = _at_least(self._workspaces, workers, self._kernel.words(steps), self._real)
        own = parameters.detach().numpy()
        cycles = [values.numpy() for values in (x, target, state, y, last)]
        scale = self._real.type(1 / (batch * steps) if self.network.loss == "log" else 2 / (batch * steps * outputs))
        buffers = (gradient.numpy(), pieces, self._workspaces[:workers])
        if not self._forward_mode:
            ways = scale, learn, not self.gradient.detach_recurrent, self.gradient.window or steps
            if mixed:
                self._lanes = _at_least(self._lanes, workers, parameters.shape[1] * LANES, self._real)
                flat = [values.reshape(replicas * batch, *values.shape[2:]) for values in cycles]
                self._loop.run_mixed(self._block, own, *flat, *ways, *buffers, self._columns, self._lanes)
            else:
                self._loop.run(self._block, own, *cycles, *ways, *buffers, self._columns)
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


def print_kernel(network: Network, gradient: Gradient, dtype: torch.dtype = torch.float32, *, batch: int | None = None) -> str:
    """The source that is compiled for a network and a gradient. Raises UnsupportedOperation where it cannot be fused."""
    real = str(dtype).removeprefix("torch.")
    mixed = not gradient.forward_mode and mixes_lanes(batch, network.parameters)
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
