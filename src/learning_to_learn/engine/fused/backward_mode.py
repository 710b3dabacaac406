"""Print the backward-mode kernel (bptt, truncated): forward over time, error, and back over time.

What the way back needs is kept in slabs of SLAB cycles, in which a row is contiguous over (cycle, lane); that makes the
gradient of a weight one long dot product of two rows. Places of layer i, besides those of every kernel:

    sources0 [slab, K + 1, SLAB]    saved0 [slab, values, SLAB]: what the units' backward passes start from
    pre_activation_errors0 [M, SLAB], of one slab    output_errors0 [H], from above and from the cycle after
    state_errors0 [S]
"""

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.kernel import ARGUMENTS, HEAD, Kernel, KernelLayer
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import BLOCK, typed
from learning_to_learn.engine.fused.trace import UnitTrace
from learning_to_learn.topology.network import Block, Network

SLAB = 16


def print_backward_mode(network: Network, real: str, matmul: str) -> str:
    """The source, for numbers of type `real`, of a module with `block` and `words(steps)`, a worker's workspace.

    `matmul` names the module of matrix products.
    """
    kernel = BackwardMode(network)
    each = sum(each for _, each, _ in kernel.workspace())
    fixed = sum(fixed for _, _, fixed in kernel.workspace())
    return "\n".join(
        [
            HEAD.format(matmul=matmul),
            "",
            "def words(steps):",
            f"    return {each} * (steps // {SLAB} + 1) + {fixed}",
            "",
            "",
            f'@njit("{typed(BLOCK, real)}", **CACHED)',
            f"def block({ARGUMENTS.format(flag='recurrent')}):",
            *kernel.body(),
        ]
    )


class BackwardMode(Kernel):
    def __init__(self, network: Network) -> None:
        super().__init__(network, row=SLAB * LANES)

    def workspace(self) -> list[tuple[str, int, int]]:
        places = super().workspace()
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [
                (f"sources{i}", part.sources * self.row, 0),
                (f"saved{i}", self._saved(part) * self.row, 0),
                (f"pre_activation_errors{i}", 0, layer.rows * self.row),
                (f"output_errors{i}", 0, layer.outputs * LANES),
                (f"state_errors{i}", 0, layer.states * LANES),
            ]
        return places

    @staticmethod
    def _saved(part: KernelLayer) -> int:
        return sum(block.count * len(unit.saved) for block, unit in part.units())

    @staticmethod
    def _slot(part: KernelLayer, block: Block) -> int:
        """The first saved row of a block in its layer."""
        return sum(b.count * len(unit.saved) for b, unit in part.units() if b.row < block.row)

    def _at(self, name: str, place: str, rows: int, time: str) -> str:
        return f"{name} = {place} + {time} // {SLAB} * {rows * self.row} + {time} % {SLAB} * LANES"

    def body(self) -> list[str]:
        s = self.s
        s.add(
            "batch, steps = inputs.shape[0], inputs.shape[1]",
            "live = min(LANES, batch - lane0)",
            f"slabs = steps // {SLAB} + 1",
        )
        s.add(*self.places("slabs"))
        self.transpose_weights()
        self.load_state()
        with s.loop("cycle", "steps"):
            for part in self.layers:
                i = part.index
                s.add(
                    self._at(f"sources{i}_now", f"sources{i}", part.sources, "cycle"),
                    self._at(f"outputs{i}_next", f"sources{i}", part.sources, "(cycle + 1)"),
                )
                s.add(self._at(f"saved{i}_now", f"saved{i}", self._saved(part), "cycle"))
            self.read_inputs()
            for part in self.layers:
                self.layer_forward(part)
        for part in self.layers:
            s.add(self._at(f"sources{part.index}_now", f"sources{part.index}", part.sources, "steps"))
        self.store_state()
        with s.block("if not learn:"):
            s.add("return")
        self._backward()
        return s.lines

    def keep(self, part: KernelLayer, block: Block, unit: UnitTrace, names: dict[str, str]) -> None:
        for slot, variable in enumerate(unit.saved):
            row = self._slot(part, block) + slot * block.count
            self.s.add(f"store(memory, saved{part.index}_now + ({row} + unit) * {self.row}, {names[variable]})")

    def _backward(self) -> None:
        s = self.s
        with s.loop("i", "gradient.size"):
            s.add("gradient[i] = 0.0")
        self._clear(self.layers)
        output = self.layers[-1].index
        with s.loop("back", "steps"):
            s.add("cycle = steps - 1 - back", f"now = cycle % {SLAB} * LANES")
            for part in self.layers:
                s.add(self._at(f"saved{part.index}_now", f"saved{part.index}", self._saved(part), "cycle"))
            extra = " + memory[network_output + lane]" if self.network.error_feedback else ""
            with s.loop("lane", "live"):
                s.add(
                    f"memory[output_errors{output} + lane] = "
                    f"scale * (outputs[lane0 + lane, cycle] - target[lane0 + lane, cycle]){extra}"
                )
            for part in reversed(self.layers):
                self._layer_backward(part)
            with s.block("if cycle % window == 0:"):
                self._clear(self.layers[:-1])
            with s.block("if now == 0:"):
                s.add(f"count = min({SLAB}, steps - cycle)")
                for part in self.layers:
                    i = part.index
                    s.add(self._at(f"sources{i}_now", f"sources{i}", part.sources, "cycle"))
                    s.add(f"outer(gradient, {part.first}, {part.sources}, memory, pre_activation_errors{i}, {self.row}, "
                        f"memory, sources{i}_now, {self.row}, "
                          f"{part.layer.rows}, {part.sources}, count)")  # fmt: skip

    def _clear(self, layers: list[KernelLayer]) -> None:
        """No error goes on to the cycle before."""
        for part in layers:
            for place, n in (("output_errors", part.layer.outputs), ("state_errors", part.layer.states)):
                with self.s.loop("i", n):
                    self.s.add(f"store(memory, {place}{part.index} + i * LANES, 0.0)")
        if self.network.error_feedback:
            self.s.add("store(memory, network_output, 0.0)")

    def _layer_backward(self, part: KernelLayer) -> None:
        s, layer, i = self.s, part.layer, part.index
        for block, unit in part.units():
            with s.loop("unit", block.count):
                self._unit_backward(part, block, unit)

        def back(place: str, column: int, rows: int, accumulate: bool) -> None:
            s.add(f"product(memory, {place}, LANES, parameters, {part.first + column}, {part.sources}, "
                f"memory, pre_activation_errors{i} + now, {self.row}, "
                  f"{rows}, {layer.rows}, {accumulate})")  # fmt: skip

        if i and layer.rows == 1:
            # A product with one term: no loop over terms, and no sum to start from zero.
            with s.loop("i", self.layers[i - 1].layer.outputs):
                place, weight = f"output_errors{i - 1} + i * LANES", f"splat(parameters, {part.first + part.own} + i)"
                s.add(
                    f"error = load(memory, pre_activation_errors{i} + now)",
                    f"store(memory, {place}, fma({weight}, error, load(memory, {place})))",
                )
        elif i:
            back(f"output_errors{i - 1}", part.own, self.layers[i - 1].layer.outputs, accumulate=True)
        if part.own:
            with s.block("if recurrent:"):
                back(f"output_errors{i}", 0, part.own, accumulate=False)
                if not i and self.network.error_feedback:
                    # The last input is minus the output of the cycle before.
                    back("network_output", layer.sources - 1, 1, accumulate=False)
                    s.add("store(memory, network_output, negate(load(memory, network_output)))")
            with s.block("else:"), s.loop("i", layer.outputs):
                s.add(f"store(memory, output_errors{i} + i * LANES, 0.0)")

    def _unit_backward(self, part: KernelLayer, block: Block, unit: UnitTrace) -> None:
        s, i, names = self.s, part.index, {"error0": "error0"}
        for slot, variable in enumerate(unit.saved):
            row = self._slot(part, block) + slot * block.count
            names[variable] = f"backward_{variable}"
            s.add(f"backward_{variable} = load(memory, saved{i}_now + ({row} + unit) * {self.row})")
        s.add(f"error0 = load(memory, output_errors{i} + ({block.output} + unit) * LANES)")
        for n, states in enumerate(block.states(), 1):
            names[f"error{n}"] = f"error{n}"
            s.add(f"error{n} = load(memory, state_errors{i} + ({states.start} + unit) * LANES)")
        lines, errors = statements(unit.backward, names, "backward_")
        s.add(*lines)
        for rows, error in zip(block.rows(), errors, strict=False):
            s.add(f"store(memory, pre_activation_errors{i} + now + ({rows.start} + unit) * {self.row}, {error or '0.0'})")
        for states, error in zip(block.states(), errors[len(block.rows()) :], strict=True):
            s.add(f"store(memory, state_errors{i} + ({states.start} + unit) * LANES, {error or '0.0'})")
