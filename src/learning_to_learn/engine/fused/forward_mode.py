"""Print the forward-mode kernel (rtrl): the sensitivities of all states by all parameters, carried along with the states.

A parameter's column holds the sensitivities of everything it can reach: of the outputs and states of its own layer and the
layers above (with error feedback: of all layers, and of the network's output). Columns are independent of each other, so
each is updated in place, while it is in the innermost cache; two at a time, which share every load of a weight. The columns
of a block of lanes lie in `sensitivities`, which is kept from segment to segment where the weights are updated within a
sequence. Places of layer i, besides those of every kernel:

    sources0 [K + 1], outputs0 of this cycle [H]    partials0: the units' partial derivatives at this cycle
    pre_activation_sensitivities [2, M], of the columns at hand    fed_back [2, m]: those of the outputs fed back
    output_derivatives [m, H]: of what `_Outputs` follows, by the last hidden layer's outputs
    output_errors [m]: the derivatives of the loss by it
    sums over time of error x sensitivity, a row for every parameter
"""

import functools
from contextlib import nullcontext

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.kernel import ARGUMENTS, HEAD, Kernel, KernelBlock, KernelLayer, place
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import BLOCK, typed
from learning_to_learn.engine.fused.trace import Trace, UnsupportedOperation
from learning_to_learn.topology.network import Network, Product


def print_forward_mode(network: Network, real: str, matmul: str) -> str:
    """The source, for numbers of type `real`, of a module with `block`, and the sizes it needs.

    `words(steps)` is that of a worker's workspace, `columns` that of a block of lanes; `matmul` names the module of products.
    """
    if network.last_layer_feedback:
        raise UnsupportedOperation(f"{network.describe()}: no forward-mode kernel feeds the last layer back")
    kernel = ForwardMode(network)
    fixed = sum(fixed for _, _, fixed in kernel.workspace())
    columns = sum(kernel.height(part) * part.layer.parameters for part in kernel.layers) * LANES
    return "\n".join(
        [
            HEAD.format(matmul=matmul),
            *kernel.tables(),
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
    """What is followed up to the network's end are the output neurons' pre-activations; where one neuron's squared error is
    learnt, it is the output itself, which saves a multiplication.
    """

    @property
    def plain(self) -> bool:
        """Whether the output itself is followed."""
        return self.network.outputs == 1 and self.network.loss == "squared" and self.network.kind != "softmax"

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
                (f"partials{i}", 0, part.all_values(_partials) * LANES),
            ]
        largest = max(part.layer.rows for part in self.layers)
        return [
            *places,
            ("pre_activation_sensitivities", 0, 2 * largest * LANES),
            ("fed_back", 0, 2 * self.network.outputs * LANES),
            ("output_derivatives", 0, self.network.outputs * self.layers[-2].layer.outputs * LANES),
            ("output_errors", 0, self.network.outputs * LANES),
            ("sums", 0, self.network.parameters * LANES),
        ]

    def tables(self) -> list[str]:
        """Constants of the module: the tables of those layers that need one."""
        layers = [part for part in self.layers if not _is_uniform(part)]
        tables = [f"parameters{part.index} = np.array({_table(part)})" for part in layers]
        return ["import numpy as np", "", *tables] if tables else []

    @functools.cached_property
    def heard_by_output(self) -> set[int]:
        """The layers whose outputs the network's output hears: the last one and, where that is residual, those below."""
        found = {len(self.layers) - 2}
        while self.layers[min(found)].layer.residual:
            found.add(min(found) - 1)
        return found

    def reached(self, part: KernelLayer) -> list[KernelLayer]:
        """The hidden layers whose states a parameter of this layer can change."""
        return self.layers[:-1] if self.network.fed_back else self.layers[part.index : -1]

    def height(self, part: KernelLayer) -> int:
        """The rows of one of its columns."""
        rows = sum(reached.layer.outputs + reached.layer.states for reached in self.reached(part))
        return rows + (self.network.outputs if self.network.fed_back else 0)

    def body(self) -> list[str]:
        s = self.s
        s.add("batch, steps = inputs.shape[0], inputs.shape[1]", "live = min(LANES, batch - lane0)")
        s.add(*self.places("0"))
        for part in self.layers:
            s.add(f"sources{part.index}_now = sources{part.index}", f"outputs{part.index}_next = outputs{part.index}")
        self.transpose_weights()
        self.compute_constants()
        self.load_state()
        with s.block("if learn:"):
            with s.block("if fresh:"), s.loop("i", "sensitivities.size"):
                s.add("sensitivities[i] = 0.0")
            self._initial_states()
            with s.loop("i", self.network.parameters):
                s.add("store(memory, sums + i * LANES, 0.0)")
        with s.loop("cycle", "steps"):
            self.read_inputs()
            for part in self.layers:
                self.layer_forward(part)
            with s.block("if learn:"):
                self._output_errors()
                for part in self.layers:
                    self._columns(part)
            for part in self.layers[:-1]:
                with s.loop("i", part.own):
                    s.add(f"store(memory, sources{part.index} + i * LANES, load(memory, outputs{part.index} + i * LANES))")
        self.store_state()
        with s.block("if learn:"), s.loop("i", self.network.parameters):
            s.add("gradient[i] = total(load(memory, sums + i * LANES))")
        return s.lines

    def _output_errors(self) -> None:
        """The derivatives of the loss by what is followed, and of that by the last hidden layer's outputs."""
        s, m, output = self.s, self.network.outputs, self.layers[-1]
        with s.loop("i", m):
            s.add("store(memory, output_errors + i * LANES, 0.0)")
        with s.loop("lane", "live"), s.loop("i", m):
            difference = "scale * (outputs[lane0 + lane, cycle, i] - target[lane0 + lane, cycle, i])"
            s.add(f"memory[output_errors + i * LANES + lane] = {difference}")
        if not self.plain and self.network.loss == "squared":
            self._through_outputs("output_errors", "memory, output_errors")
        with s.loop("unit", output.layer.inputs), s.loop("i", m):
            weight = f"splat(memory, weights{output.index} + unit * {m} + i)"
            derivative = f"load(memory, partials{output.index}) * {weight}" if self.plain else weight
            s.add(f"store(memory, output_derivatives + (i * {output.layer.inputs} + unit) * LANES, {derivative})")

    def _through_outputs(self, source: str, target: str) -> None:
        """Multiply m rows of `memory` by the derivatives of the outputs by the pre-activations, a symmetric matrix; `target` is
        where the results go, such as "memory, place".
        """
        s, m, kind = self.s, self.network.outputs, self.network.kind
        if kind == "softmax":
            s.add("mean_change = fill(memory, 0.0)")
            with s.loop("i", m):
                y, change = (f"load(memory, {place} + i * LANES)" for place in ("network_output", source))
                s.add(f"mean_change = fma({y}, {change}, mean_change)")
        with s.loop("i", m):
            s.add("said = load(memory, network_output + i * LANES)", f"moved = load(memory, {source} + i * LANES)")
            through = {"softmax": "said * (moved - mean_change)", "logistic": "said * (1.0 - said) * moved", "linear": "moved"}
            s.add(f"store({target} + i * LANES, {through[kind]})")

    def constants(self, block: KernelBlock) -> list[tuple[Trace, str]]:
        return [*super().constants(block), (block.trace.partial_constants, "partial_constant_")]

    def keep(self, part: KernelLayer, block: KernelBlock, names: dict[str, str]) -> None:
        with self.s.block("if learn:"):
            inputs = {k: v for k, v in names.items() if k.startswith(("pre", "state"))}
            inputs |= self.load_constants(part, block, block.trace.partials, which=1)
            lines, outputs = statements(block.trace.partials, inputs, "partial_")
            self.s.add(*lines)
            for slot, index in enumerate(_live(block)):
                self.s.add(f"store(memory, {self._partial(part, block, slot)}, {outputs[index]})")

    @staticmethod
    def _partial(part: KernelLayer, block: KernelBlock, slot: int) -> str:
        """The place of unit j's derivative number `slot`."""
        return f"partials{part.index} + {block.value(slot, part.values(block, _partials))} * LANES"

    def _first_column(self, part: KernelLayer) -> int:
        """The place of a layer's first column in `sensitivities`."""
        return sum(self.height(before) * before.layer.parameters * LANES for before in self.layers[: part.index])

    def _initial_states(self) -> None:
        """An initial state that is trained has the sensitivity 1 to itself. A window of 0 says that the state was given."""
        s = self.s
        trained = [(part, block) for part in self.layers for block in part.blocks if block.unit.trained_states]
        if not trained:
            return
        with s.block("if fresh and window:"):
            for part, block in trained:
                with self.units(block):
                    for n, name in enumerate(block.unit.trained_states, block.numbers):
                        column = f"{block.number(n, part.layer.weights)} * {self.height(part) * LANES}"
                        rows = sum(below.layer.outputs + below.layer.states for below in self._below(part))
                        state = block.state(block.unit.states.index(name), rows + part.layer.outputs)
                        s.add(f"store(sensitivities, {self._first_column(part)} + {column} + {state} * LANES, 1.0)")

    def _below(self, part: KernelLayer) -> list[KernelLayer]:
        """The layers that stand above a layer's own in its columns."""
        return [reached for reached in self.reached(part) if reached.index < part.index]

    def _columns(self, part: KernelLayer) -> None:
        """Update the columns of all parameters of a layer, and add error x sensitivity to their sums."""
        s, n = self.s, part.layer.parameters
        s.add("c = 0")
        with s.block(f"while c + 2 <= {n}:"):
            self._pair(part, "c + 1")
            s.add("c += 2")
        if n % 2:
            # The last column stands alone: it is computed beside itself.
            self._pair(part, "c")

    def _pair(self, part: KernelLayer, second: str) -> None:
        """Update column c of a layer's parameters and the one named `second`."""
        s, height, pair, outputs = self.s, self.height(part) * LANES, ((0, "c"), (1, second)), self.network.outputs
        s.add(f"next_ = {height} if {second} > c else 0")
        for c, index in pair:
            s.add(f"column{c} = {self._first_column(part)} + ({index}) * {height}")
            if _is_uniform(part):
                s.add(f"row{c} = ({index}) // {part.sources}")
                source = f"({index}) % {part.sources}"
            else:
                s.add(*(f"{name}{c} = parameters{part.index}[{index}, {i}]" for i, name in enumerate(("row", "place"))))
                source = f"place{c}"
            s.add(
                f"source{c} = load(memory, sources{part.index} + {source} * LANES)",
                *(f"{self._change(c, k)} = {self._change(c, k, odd=True)} = fill(memory, 0.0)" for k in range(outputs)),
            )
        bottom: list[int] = []
        at = 0
        for reached in self.reached(part):
            own_h, own_s = at, at + reached.layer.outputs
            self._pre_activations(reached, part, own_h, bottom)
            if reached is part:
                for c in (0, 1):
                    row = f"pre_activation_sensitivities + {c * part.layer.rows * LANES} + row{c} * LANES"
                    with nullcontext() if _is_uniform(part) else s.block(f"if row{c} >= 0:"):
                        s.add(f"store(memory, {row}, load(memory, {row}) + source{c})")
            for block in reached.blocks:
                self._units(reached, block, own_h, own_s)
            if reached is part:
                self._numbers(part, own_h, own_s, alone=second == "c")
            bottom, at = [own_h, *bottom] if reached.layer.residual else [own_h], own_s + reached.layer.states
        for c, index in pair:
            self._add_up(part, c, index)
        for c, index in pair:
            self._keep_outputs(c, at)
            s.add(f"store(memory, sums + ({part.first} + {index}) * LANES, sum{c})")

    def _add_up(self, part: KernelLayer, c: int, index: str) -> None:
        """Finish how column c changes what is followed, and add error x change to its sum."""
        s = self.s
        s.add(f"sum{c} = load(memory, sums + ({part.first} + {index}) * LANES)")
        for k in range(self.network.outputs):
            change = self._change(c, k)
            s.add(f"{change} = {change} + {self._change(c, k, odd=True)}")
            if part is self.layers[-1] and self.plain:
                s.add(f"{change} = fma(load(memory, partials{part.index}), source{c}, {change})")
            elif part is self.layers[-1]:
                with s.block(f"if row{c} == {k}:"):
                    s.add(f"{change} = {change} + source{c}")
            s.add(f"sum{c} = fma(load(memory, output_errors + {k * LANES}), {change}, sum{c})")

    def _keep_outputs(self, c: int, at: int) -> None:
        """Keep the sensitivities of the outputs, the rows of column c from `at` on, where they are fed back."""
        if not self.network.fed_back:
            return
        if self.plain:
            self.s.add(f"store(sensitivities, column{c} + {at * LANES}, {self._change(c, 0)})")
            return
        changes = [self._change(c, k) for k in range(self.network.outputs)]
        self.s.add(*(f"store(memory, fed_back + {k * LANES}, {change})" for k, change in enumerate(changes)))
        self._through_outputs("fed_back", f"sensitivities, column{c} + {at * LANES}")

    @staticmethod
    def _change(c: int, k: int, *, odd: bool = False) -> str:
        """The variable that adds up how column c changes what is followed of output k; `odd`: through every other unit."""
        return f"change{'_odd' if odd else ''}{c}_{k}"

    def _pre_activations(self, layer: KernelLayer, owner: KernelLayer, own: int, below: list[int]) -> None:
        """Print W dsource, from the columns' rows `own` (its outputs of the cycle before) and those at `below`.

        What lies below a residual layer is the sum of several.
        """
        s, i = self.s, layer.index
        far, outputs = layer.layer.rows * LANES, self.network.outputs
        last = layer.layer.sources

        def add(p: Product, first: int, terms: int, source: str, base: str, apart: str, accumulate: bool) -> None:
            """The share in a product of `terms` sources from number `first`."""
            rows = place("pre_activation_sensitivities", p.row * LANES, p, p.rows * LANES)
            weights = place(f"weights{i} + {p.first + (first - p.source) * p.rows}", 0, p, p.rows * p.terms)
            with self.heads(p.heads):
                s.add(f"product_pair(memory, {rows}, {far}, memory, {weights}, {p.rows}, {source}, "
                      f"{place(base, 0, p, terms * LANES)}, LANES, {apart}, {p.rows}, {terms}, {accumulate})")  # fmt: skip

        for p, accumulate in layer.products():
            heard = p.terms if p.heads > 1 else max(0, min(p.source + p.terms, layer.own) - p.source)
            from_below = 0 if p.heads > 1 else max(0, min(p.source + p.terms, last) - max(p.source, layer.own))
            if heard:
                add(p, p.source, heard, "sensitivities", f"column0 + {own * LANES}", "next_", accumulate)
                accumulate = True
            for rows in below if from_below else ():
                add(p, p.source + heard, from_below, "sensitivities", f"column0 + {rows * LANES}", "next_", accumulate)
                accumulate = True
            if i == 0 and self.network.fed_back and from_below:
                first = (self.height(owner) - outputs) * LANES
                for c in (0, 1):
                    for k in range(outputs):
                        value = self.signed(f"load(sensitivities, column{c} + {first + k * LANES})")
                        s.add(f"store(memory, fed_back + {(c * outputs + k) * LANES}, {value})")
                add(p, last - outputs, outputs, "memory", "fed_back", f"{outputs * LANES}", accumulate)
                accumulate = True
            if not accumulate:
                with s.loop("i", p.heads * p.rows):
                    for c in (0, 1):
                        row = f"pre_activation_sensitivities + {p.row * LANES + c * far} + i * LANES"
                        s.add(f"store(memory, {row}, 0.0)")

    def _units(self, layer: KernelLayer, block: KernelBlock, own_h: int, own_s: int) -> None:
        """Two units at a time, whose changes of the output do not wait for each other."""
        s = self.s
        with self.heads(block.heads):
            with s.loop("half", block.count // 2):
                s.add("unit = 2 * half")
                self._unit(layer, block, own_h, own_s, odd=False)
                s.add("unit = 2 * half + 1")
                self._unit(layer, block, own_h, own_s, odd=True)
            if block.count % 2:
                s.add(f"unit = {block.count - 1}")
                self._unit(layer, block, own_h, own_s, odd=False)

    def _unit(self, layer: KernelLayer, block: KernelBlock, own_h: int, own_s: int, *, odd: bool) -> None:
        """The chain rule through unit j, in place; what it adds to the network's outputs goes to `_change(c, k, odd=odd)`."""
        s, live, far = self.s, _live(block), layer.layer.rows * LANES
        inputs, width = block.rows + block.states, block.rows + block.states + block.numbers
        chained = [(slot, *divmod(index, width)) for slot, index in enumerate(live) if index % width < inputs]
        s.add(*(f"partial{slot} = load(memory, {self._partial(layer, block, slot)})" for slot, _, _ in chained))
        results = self._results(block, own_h, own_s)
        for c in (0, 1):
            texts = [
                f"load(memory, pre_activation_sensitivities + {c * far} + {block.row(n)} * LANES)" for n in range(block.rows)
            ]
            texts += [f"load(sensitivities, column{c} + {block.state(n, own_s)} * LANES)" for n in range(block.states)]
            used = {n for _, _, n in chained}
            s.add(*(f"input{n} = {text}" for n, text in enumerate(texts) if n in used))
            sums: dict[int, str] = {}
            for slot, result, n in chained:
                sums[result] = (
                    f"fma(partial{slot}, input{n}, {sums[result]})" if result in sums else f"partial{slot} * input{n}"
                )
            s.add(*(f"result{c}_{n} = {sums.get(n, 'fill(memory, 0.0)')}" for n in range(len(results))))
        for c in (0, 1):
            s.add(*(f"store(sensitivities, column{c} + {row} * LANES, result{c}_{n})" for n, row in enumerate(results)))
            if layer.index in self.heard_by_output:
                for n in range(block.unit.outputs):
                    for k in range(self.network.outputs):
                        change = self._change(c, k, odd=odd)
                        s.add(f"{change} = fma({self._derivative(block, n, k)}, result{c}_{n}, {change})")

    def _derivative(self, block: KernelBlock, n: int, k: int) -> str:
        """The derivative of what is followed of output k by a unit's output n."""
        return f"load(memory, output_derivatives + {block.output(n, k * self.layers[-1].layer.inputs)} * LANES)"

    def _numbers(self, layer: KernelLayer, own_h: int, own_s: int, *, alone: bool) -> None:
        """Add how a unit depends on its own number, where that is the parameter of a column."""
        s = self.s
        for kind, (block, number) in enumerate(_numbers(layer)):
            inputs, results = block.rows + block.states, self._results(block, own_h, own_s)
            width = inputs + block.numbers
            # A trained initial state is no input of the unit at any cycle.
            mine = inputs + number if number < block.numbers else -1
            slots = [(slot, index // width) for slot, index in enumerate(_live(block)) if index % width == mine]
            for c in (0, 1) if slots else ():
                with s.block(f"if row{c} == {-1 - kind}:"):
                    s.add(f"head, unit = place{c} // {block.count}, place{c} % {block.count}")
                    for slot, result in slots:
                        s.add(f"partial = load(memory, {self._partial(layer, block, slot)})")
                        if not c or not alone:  # a column that stands alone is changed once
                            row = f"column{c} + {results[result]} * LANES"
                            s.add(f"store(sensitivities, {row}, load(sensitivities, {row}) + partial)")
                        if layer.index in self.heard_by_output and result < block.unit.outputs:
                            for k in range(self.network.outputs):
                                change = self._change(c, k)
                                s.add(f"{change} = fma({self._derivative(block, result, k)}, partial, {change})")

    @staticmethod
    def _results(block: KernelBlock, own_h: int, own_s: int) -> list[str]:
        """The rows of a unit's outputs and states in a column."""
        outputs = [block.output(n, own_h) for n in range(block.unit.outputs)]
        return outputs + [block.state(n, own_s) for n in range(block.states)]


def _is_uniform(part: KernelLayer) -> bool:
    """Whether the layer's parameters are one matrix, so that a parameter's row and source need no table."""
    return len(part.layer.products) == 1 and not part.layer.numbers


def _numbers(part: KernelLayer) -> list[tuple[KernelBlock, int]]:
    """The kinds of numbers that units of a layer have of their own, trained initial states among them."""
    return [(block, n) for block in part.blocks for n in range(len(block.unit.trained))]


def _table(part: KernelLayer) -> list[list[int]]:
    """For every parameter of a layer its row and source. For a number: -1 - its kind, and the unit among all of its block."""
    table = [[0, 0] for _ in range(part.layer.parameters)]
    for row, places in enumerate(part.layer.places):
        for source, index in enumerate(places):
            if index < part.layer.parameters:
                table[index] = [row, source]
    for kind, (block, n) in enumerate(_numbers(part)):
        step = block.next_block.number - block.block.number
        for head in range(block.heads):
            for unit in range(block.count):
                index = part.layer.weights + block.block.number + n * block.count + head * step + unit
                table[index] = [-1 - kind, head * block.count + unit]
    return table


def _live(block: KernelBlock) -> list[int]:
    """Which of a unit's partial derivatives are not identically zero."""
    return [index for index, output in enumerate(block.trace.partials.outputs) if output is not None]


def _partials(block: KernelBlock) -> int:
    return len(_live(block))
