"""Print the forward-mode kernel (rtrl): the sensitivities of all states by all parameters, carried along with the states.

A parameter's column holds the sensitivities of everything it can reach: of the outputs and states of its own layer and the
layers above (with error feedback: of all layers, and of the network's output). Columns are independent of each other, so
each is updated in place, while it is in the innermost cache; two at a time, which share every load of a weight. The columns
of a block of lanes lie in `sensitivities`, which is kept from segment to segment where the weights are updated within a
sequence. Places of layer i, besides those of every kernel:

    sources0 [K + 1], outputs0 of this cycle [H]    partials0: the units' partial derivatives at this cycle
    pre_activation_sensitivities [2, M], of the columns at hand    fed_back [2]: those of the error fed back
    output_derivatives [H]: of the network's output by the last hidden layer's outputs
    sums over time of error x sensitivity, a row for every parameter
"""

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.kernel import ARGUMENTS, HEAD, Kernel, KernelLayer
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import BLOCK, typed
from learning_to_learn.engine.fused.trace import UnitTrace
from learning_to_learn.topology.network import Block, Network


def print_forward_mode(network: Network, real: str, matmul: str) -> str:
    """The source, for numbers of type `real`, of a module with `block`, and the sizes it needs.

    `words(steps)` is that of a worker's workspace, `columns` that of a block of lanes; `matmul` names the module of products.
    """
    kernel = ForwardMode(network)
    fixed = sum(fixed for _, _, fixed in kernel.workspace())
    columns = sum(kernel.height(part) * part.layer.parameters for part in kernel.layers) * LANES
    return "\n".join(
        [
            HEAD.format(matmul=matmul),
            f"columns = {columns}",
            "",
            "",
            "def words(steps):",
            f"    return {fixed}",
            "",
            "",
            f'@njit("{typed(BLOCK, real)}", **CACHED)',
            f"def block({ARGUMENTS.format(flag='fresh')}):",
            *kernel.body(),
        ]
    )


class ForwardMode(Kernel):
    @property
    def next_row(self) -> int:
        return LANES

    def workspace(self) -> list[tuple[str, int, int]]:
        places = super().workspace()
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [
                (f"sources{i}", 0, part.sources * LANES),
                (f"outputs{i}", 0, layer.outputs * LANES),
                (f"partials{i}", 0, sum(b.count * len(_live(u)) for b, u in part.units()) * LANES),
            ]
        largest = max(part.layer.rows for part in self.layers)
        return [
            *places,
            ("pre_activation_sensitivities", 0, 2 * largest * LANES),
            ("fed_back", 0, 2 * LANES),
            ("output_derivatives", 0, self.layers[-2].layer.outputs * LANES),
            ("sums", 0, self.network.parameters * LANES),
        ]

    def reached(self, part: KernelLayer) -> list[KernelLayer]:
        """The hidden layers whose states a parameter of this layer can change."""
        return self.layers[:-1] if self.network.error_feedback else self.layers[part.index : -1]

    def height(self, part: KernelLayer) -> int:
        """The rows of one of its columns."""
        rows = sum(reached.layer.outputs + reached.layer.states for reached in self.reached(part))
        return rows + (1 if self.network.error_feedback else 0)

    def body(self) -> list[str]:
        s = self.s
        s.add("batch, steps = inputs.shape[0], inputs.shape[1]", "live = min(LANES, batch - lane0)")
        s.add(*self.places("0"))
        for part in self.layers:
            s.add(f"sources{part.index}_now = sources{part.index}", f"outputs{part.index}_next = outputs{part.index}")
        self.transpose_weights()
        self.load_state()
        with s.block("if learn:"):
            with s.block("if fresh:"), s.loop("i", "sensitivities.size"):
                s.add("sensitivities[i] = 0.0")
            with s.loop("i", self.network.parameters):
                s.add("store(memory, sums + i * LANES, 0.0)")
        with s.loop("cycle", "steps"):
            self.read_inputs()
            for part in self.layers:
                self.layer_forward(part)
            with s.block("if learn:"):
                s.add("store(memory, pre_activations, 0.0)")
                with s.loop("lane", "live"):
                    s.add(
                        "memory[pre_activations + lane] = scale * (outputs[lane0 + lane, cycle] - target[lane0 + lane, cycle])"
                    )
                s.add("error = load(memory, pre_activations)")
                output = self.layers[-1]
                with s.loop("unit", output.layer.inputs):
                    s.add(
                        f"store(memory, output_derivatives + unit * LANES, "
                        f"load(memory, partials{output.index}) * splat(memory, weights{output.index} + unit))"
                    )
                first = 0
                for part in self.layers:
                    self._columns(part, first)
                    first += self.height(part) * part.layer.parameters * LANES
            for part in self.layers[:-1]:
                with s.loop("i", part.layer.outputs):
                    s.add(f"store(memory, sources{part.index} + i * LANES, load(memory, outputs{part.index} + i * LANES))")
        self.store_state()
        with s.block("if learn:"), s.loop("i", self.network.parameters):
            s.add("gradient[i] = total(load(memory, sums + i * LANES))")
        return s.lines

    def keep(self, part: KernelLayer, block: Block, unit: UnitTrace, names: dict[str, str]) -> None:
        with self.s.block("if learn:"):
            lines, outputs = statements(
                unit.partials, {k: v for k, v in names.items() if k.startswith(("pre", "state"))}, "partial_"
            )
            self.s.add(*lines)
            for slot, index in enumerate(_live(unit)):
                self.s.add(f"store(memory, {self._partial(part, block, slot)}, {outputs[index]})")

    @staticmethod
    def _partial(part: KernelLayer, block: Block, slot: int) -> str:
        """The place of unit j's derivative number `slot`."""
        before = sum(b.count * len(_live(u)) for b, u in part.units() if b.row < block.row)
        return f"partials{part.index} + ({before + slot * block.count} + unit) * LANES"

    def _columns(self, part: KernelLayer, first: int) -> None:
        """Update the columns of all parameters of a layer, and add error x sensitivity to their sums."""
        s, n = self.s, part.layer.parameters
        s.add("c = 0")
        with s.block(f"while c + 2 <= {n}:"):
            self._pair(part, first, "c + 1")
            s.add("c += 2")
        if n % 2:
            # The last column stands alone: it is computed beside itself.
            self._pair(part, first, "c")

    def _pair(self, part: KernelLayer, first: int, second: str) -> None:
        """Update column c of a layer's parameters and the one named `second`."""
        s, height, pair = self.s, self.height(part) * LANES, ((0, "c"), (1, second))
        s.add(f"next_ = {height} if {second} > c else 0")
        for c, index in pair:
            s.add(f"column{c} = {first} + ({index}) * {height}", f"row{c} = ({index}) // {part.sources}")
            s.add(
                f"source{c} = load(memory, sources{part.index} + ({index}) % {part.sources} * LANES)",
                f"change{c} = change_odd{c} = fill(memory, 0.0)",
            )
        bottom, place = None, 0
        for reached in self.reached(part):
            own_h, own_s = place, place + reached.layer.outputs
            self._pre_activations(reached, part, own_h, bottom)
            for block, unit in reached.units():
                # Two units at a time, whose changes of the output do not wait for each other.
                with s.loop("half", block.count // 2):
                    s.add("unit = 2 * half")
                    self._unit(reached, block, unit, own_h, own_s, "change")
                    s.add("unit = 2 * half + 1")
                    self._unit(reached, block, unit, own_h, own_s, "change_odd")
                if block.count % 2:
                    s.add(f"unit = {block.count - 1}")
                    self._unit(reached, block, unit, own_h, own_s, "change")
            bottom, place = own_h, own_s + reached.layer.states
        for c, index in pair:
            s.add(f"change{c} = change{c} + change_odd{c}")
            if part is self.layers[-1]:
                s.add(f"change{c} = fma(load(memory, partials{part.index}), source{c}, change{c})")
            s.add(f"sum{c} = fma(error, change{c}, load(memory, sums + ({part.first} + {index}) * LANES))")
        for c, index in pair:
            if self.network.error_feedback:
                s.add(f"store(sensitivities, column{c} + {place * LANES}, change{c})")
            s.add(f"store(memory, sums + ({part.first} + {index}) * LANES, sum{c})")

    def _pre_activations(self, layer: KernelLayer, owner: KernelLayer, own: int, below: int | None) -> None:
        """Print W dsource, from the columns' rows `own` (its outputs of the cycle before) and `below`, plus the source."""
        s, i, rows = self.s, layer.index, layer.layer.rows
        far = rows * LANES

        def add(source: str, base: str, apart: str | int, column: int, terms: int, accumulate: bool) -> None:
            s.add(f"product_pair(memory, pre_activation_sensitivities, {far}, "
                f"memory, weights{i} + {column * rows}, {rows}, {source}, {base}, LANES, {apart}, {rows}, "
                  f"{terms}, {accumulate})")  # fmt: skip

        add("sensitivities", f"column0 + {own * LANES}", "next_", 0, layer.own, accumulate=False)
        if below is not None:
            add("sensitivities", f"column0 + {below * LANES}", "next_", layer.own, layer.layer.inputs, accumulate=True)
        if i == 0 and self.network.error_feedback:
            last = (self.height(owner) - 1) * LANES
            s.add(*(f"store(memory, fed_back + {c} * LANES, negate(load(sensitivities, column{c} + {last})))" for c in (0, 1)))
            add("memory", "fed_back", "LANES", layer.layer.sources - 1, 1, accumulate=True)
        if layer.index == owner.index:
            for c in (0, 1):
                place = f"pre_activation_sensitivities + {c * far} + row{c} * LANES"
                s.add(f"store(memory, {place}, load(memory, {place}) + source{c})")

    def _unit(self, layer: KernelLayer, block: Block, unit: UnitTrace, own_h: int, own_s: int, change: str) -> None:
        """The chain rule through unit j, in place; what it adds to the network's output goes to `change`."""
        s, live, far = self.s, _live(unit), layer.layer.rows * LANES
        inputs = len(block.rows()) + len(block.states())
        s.add(*(f"partial{slot} = load(memory, {self._partial(layer, block, slot)})" for slot in range(len(live))))
        places = [own_h + block.output, *(own_s + states.start for states in block.states())]
        for c in (0, 1):
            texts = [
                f"load(memory, pre_activation_sensitivities + {c * far} + ({rows.start} + unit) * LANES)"
                for rows in block.rows()
            ]
            texts += [f"load(sensitivities, column{c} + ({place} + unit) * LANES)" for place in places[1:]]
            used = {index % inputs for index in live}
            s.add(*(f"input{n} = {text}" for n, text in enumerate(texts) if n in used))
            sums: dict[int, str] = {}
            for slot, index in enumerate(live):
                result, n = divmod(index, inputs)
                sums[result] = (
                    f"fma(partial{slot}, input{n}, {sums[result]})" if result in sums else f"partial{slot} * input{n}"
                )
            s.add(*(f"result{c}_{n} = {sums.get(n, 'fill(memory, 0.0)')}" for n in range(len(places))))
        for c in (0, 1):
            s.add(
                *(
                    f"store(sensitivities, column{c} + ({place} + unit) * LANES, result{c}_{n})"
                    for n, place in enumerate(places)
                )
            )
            if layer is self.layers[-2]:
                s.add(
                    f"{change}{c} = "
                    f"fma(load(memory, output_derivatives + ({block.output} + unit) * LANES), result{c}_0, {change}{c})"
                )


def _live(unit: UnitTrace) -> list[int]:
    """Which of a unit's partial derivatives are not identically zero."""
    return [index for index, output in enumerate(unit.partials.outputs) if output is not None]
