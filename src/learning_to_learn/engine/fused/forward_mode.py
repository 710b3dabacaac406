"""Print the forward-mode kernel (rtrl): the sensitivities of all states by all parameters, carried along with the states.

A parameter's column holds the sensitivities of everything it can reach: of the outputs and states of its own layer, as far as
`columns` says, and the layers above (with error feedback: of all layers, and of the network's output). Columns are
independent of each other, so each is updated in place, while it is in the innermost cache; two at a time, which share every
load of a weight. Where a column reaches a single unit, the unit's Jacobian stays in registers instead. The columns of a block
of lanes lie in `sensitivities`, which is kept from segment to segment where the weights are updated within a sequence. Places
of layer i, besides those of every kernel:

    sources0 [K + 1], outputs0 of this cycle [H]    partials0: the units' partial derivatives at this cycle
    pre_activation_sensitivities [2, M], of the columns at hand    fed_back [2, m]: those of the outputs fed back
    output_derivatives [m, H]: of what `_Outputs` follows, by the last hidden layer's outputs
    output_errors [m]: the derivatives of the loss by it
    normalised0 [H], scale0, heard_changes0 [2, H], output_derivatives0 [m, H]: of a layer with a norm (norm_and_shift.py)
    sums over time of error x sensitivity, a row for every parameter
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from learning_to_learn.engine.fused.alone import partial_names, print_alone
from learning_to_learn.engine.fused.columns import (
    Group,
    Run,
    Stretch,
    covering,
    groups,
    is_dense,
    live_partials,
    partial_place,
    partials,
)
from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.kernel import ARGUMENTS, HEAD, Kernel, KernelBlock, KernelLayer, place
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import BLOCK, typed
from learning_to_learn.engine.fused.norm_and_shift import (
    change_heard,
    derivatives_through_norm,
    keep_normalised,
    norm_places,
    pre_activations_of_delays,
)
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
    columns = sum(kernel.words(part) for part in kernel.layers)
    return "\n".join(
        [
            HEAD.format(matmul=matmul, products="product, product_pair"),
            *kernel.tables(),
            f"columns = {columns}",
            "",
            "",
            "def words(steps):",
            f"    return {fixed}",
            "",
            "",
            f'@njit("{typed(BLOCK, real)}", **BY_ADDRESS)',
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
                (f"partials{i}", 0, part.all_values(partials) * LANES),
                *norm_places(part, self.network.outputs, followed=i in self.heard_by_output),
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
        """Constants of the module: the tables of those layers that need one, and where trained initial states begin."""
        tables: dict[str, Sequence] = {}
        for part in self.layers:
            if (found := self.groups(part)) is None:
                if not _is_uniform(part):
                    tables[f"parameters{part.index}"] = _table(part)
            elif not all(group.alone for group in found):
                tables[f"parameters{part.index}"] = _grouped_table(part, found)
        if trained := self._trained():
            tables["trained"] = trained
        lines = [f"{name} = np.array({table})" for name, table in tables.items()]
        return ["import numpy as np", "", *lines] if lines else []

    def groups(self, part: KernelLayer) -> list[Group] | None:
        """The groups of a layer's columns; None where all of its parameters reach the same."""
        if self.network.fed_back or is_dense(part) or part is self.layers[-1]:
            return None
        return groups(part, sum(above.layer.outputs + above.layer.states for above in self.layers[part.index + 1 : -1]))

    def words(self, part: KernelLayer) -> int:
        """The size of a layer's columns."""
        if (found := self.groups(part)) is None:
            return self.height(part) * part.layer.parameters * LANES
        return part.layer.heads * sum(group.size for group in found) * LANES

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
        """The rows of one of its columns where all of its parameters reach the same."""
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
        for i in sorted(self.heard_by_output):
            if self.layers[i].layer.norm:
                derivatives_through_norm(s, self.layers[i], m)

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
            for slot, index in enumerate(live_partials(block)):
                self.s.add(f"store(memory, {partial_place(part, block, slot)}, {outputs[index]})")

    def keep_norm(self, part: KernelLayer) -> None:
        keep_normalised(self.s, part, *self.heard(part))

    def _first_column(self, part: KernelLayer) -> int:
        """The place of a layer's first column in `sensitivities`."""
        return sum(self.words(before) for before in self.layers[: part.index])

    def _initial_states(self) -> None:
        """An initial state that is trained has the sensitivity 1 to itself. A window of 0 says that the state was given."""
        if self._trained():
            with self.s.block("if fresh and window:"), self.s.block("for place in trained:"):
                self.s.add("store(sensitivities, place, 1.0)")

    def _trained(self) -> list[int]:
        """The places of the sensitivities of the trained initial states to themselves."""
        found = []
        for part in self.layers:
            below = sum(reached.layer.outputs + reached.layer.states for reached in self._below(part))
            for block in part.blocks:
                units = [(head, unit) for head in range(block.heads) for unit in range(block.count)]
                for n, name in enumerate(block.unit.trained_states, block.numbers):
                    for head, unit in units:
                        first, second, state = block.block, block.next_block, block.unit.states.index(name)
                        index = first.number + head * (second.number - first.number) + n * block.count + unit
                        row = first.state + head * (second.state - first.state) + state * block.count + unit
                        row += below + part.layer.outputs
                        start = (part.layer.weights + index) * self.height(part)
                        if self.groups(part) is not None:
                            start, group = self._column_of(part, block, head, unit, part.layer.weights + index)
                            row = group.state_row(block, state, unit)
                        found.append(self._first_column(part) + (start + row) * LANES)
        return found

    def _column_of(self, part: KernelLayer, block: KernelBlock, head: int, unit: int, index: int) -> tuple[int, Group]:
        """The first row of the column of parameter `index` of a layer, one of that unit's, among the layer's; and its group."""
        found = self.groups(part) or []
        start = head * sum(group.size for group in found)
        for group in found:
            if block in group.blocks:
                owner = unit if group.owner else 0
                indices = [parameter for parameter, _, _ in group.parameters_of(head, owner)]
                return start + (owner * len(indices) + indices.index(index)) * group.height, group
            start += group.size
        raise AssertionError(block)

    def _below(self, part: KernelLayer) -> list[KernelLayer]:
        """The layers that stand above a layer's own in its columns."""
        return [reached for reached in self.reached(part) if reached.index < part.index]

    def _columns(self, part: KernelLayer) -> None:
        """Update the columns of all parameters of a layer, and add error x sensitivity to their sums."""
        s, found = self.s, self.groups(part)
        if found is None:
            self._pairs(part, part.layer.parameters)
            return
        s.add(f"first_column, first_parameter = {self._first_column(part)}, 0")
        with s.loop("own_head", part.layer.heads):
            for group in found:
                with s.loop("owner", group.owners):
                    if group.alone:
                        print_alone(s, group, partial_names(s, part, group.stretches[0].block), self._derivatives)
                    else:
                        self._pairs(part, len(group.parameters), group)
                    s.add(f"first_column += {len(group.parameters) * group.height} * LANES")
                    s.add(f"first_parameter += {len(group.parameters)}")

    def _pairs(self, part: KernelLayer, n: int, group: Group | None = None) -> None:
        """Update n columns, two at a time."""
        s = self.s
        s.add("c = 0")
        with s.block(f"while c + 2 <= {n}:"):
            self._pair(part, "c + 1", group)
            s.add("c += 2")
        if n % 2:
            # The last column stands alone: it is computed beside itself.
            self._pair(part, "c", group)

    def _pair(self, part: KernelLayer, second: str, group: Group | None) -> None:
        """Update column c of a layer's parameters, or of a group of them, and the one named `second`."""
        s, pair = self.s, ((0, "c"), (1, second))
        height = (group.height if group else self.height(part)) * LANES
        s.add(f"next_ = {height} if {second} > c else 0")
        parameters = [f"parameter{c}" if group else index for c, index in pair]
        for c, index in pair:
            self._name_column(part, group, c, index)
        bottom: list[Run] = []
        at = 0
        for reached in self.reached(part):
            if group and reached is part:
                self._own_pre_activations(group)
                stretches, runs, rows = group.stretches, group.runs, group.height - group.above
            else:
                self._pre_activations(reached, part, at, bottom)
                outputs, rows = reached.layer.outputs, reached.layer.outputs + reached.layer.states
                stretches, runs = tuple(Stretch(block, at, at + outputs) for block in reached.blocks), [Run(at, "", outputs)]
            if reached is part:
                for c in (0, 1):
                    row = f"pre_activation_sensitivities + {c * part.layer.rows * LANES} + row{c} * LANES"
                    with nullcontext() if not group and _is_uniform(part) else s.block(f"if row{c} >= 0:"):
                        s.add(f"store(memory, {row}, load(memory, {row}) + source{c})")
            for stretch in stretches:
                self._units(reached, stretch)
            if reached is part:
                self._numbers(part, stretches, alone=second == "c")
            if reached.layer.norm and reached is not self.layers[-2]:
                runs = [change_heard(s, reached, runs)]
            bottom, at = [*runs, *bottom] if reached.layer.residual else runs, at + rows
        for c in (0, 1):
            self._add_up(part, c, parameters[c])
        for c in (0, 1):
            self._keep_outputs(c, at)
            s.add(f"store(memory, sums + ({part.first} + {parameters[c]}) * LANES, sum{c})")

    def _name_column(self, part: KernelLayer, group: Group | None, c: int, index: str) -> None:
        """Name the place of column number `index` of a layer or group, and the row and the source of its parameter."""
        s = self.s
        if group:
            names, table, at = ("parameter", "row", "place"), f"parameters{part.index}", f"first_parameter + {index}"
            s.add(f"column{c} = first_column + ({index}) * {group.height * LANES}")
            s.add(*(f"{name}{c} = {table}[{at}, {i}]" for i, name in enumerate(names)))
            source = f"place{c}"
        else:
            s.add(f"column{c} = {self._first_column(part)} + ({index}) * {self.height(part) * LANES}")
            if _is_uniform(part):
                s.add(f"row{c} = ({index}) // {part.sources}")
                source = f"({index}) % {part.sources}"
            else:
                s.add(*(f"{name}{c} = parameters{part.index}[{index}, {i}]" for i, name in enumerate(("row", "place"))))
                source = f"place{c}"
        s.add(
            f"source{c} = load(memory, sources{part.index} + {source} * LANES)",
            *(
                f"{self._change(c, k)} = {self._change(c, k, odd=True)} = fill(memory, 0.0)"
                for k in range(self.network.outputs)
            ),
        )

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

    def _own_pre_activations(self, group: Group) -> None:
        """Print W dsource for what a group's columns reach in their own layer."""
        s, part = self.s, group.part
        i, far = part.index, part.layer.rows * LANES
        s.add("head = own_head")
        heard = [p for p in part.layer.products if p.source < part.own]
        for p in heard if group.listeners else ():
            rows = place("pre_activation_sensitivities", p.row * LANES, p, p.rows * LANES)
            weights = place(f"weights{i}", p.first, p, p.rows * p.terms)
            for n, run in enumerate(group.runs):
                s.add(
                    f"product_pair(memory, {rows}, {far}, memory, {weights} + ({run.first}) * {p.rows}, {p.rows}, "
                    f"sensitivities, column0 + {run.row * LANES}, LANES, next_, {p.rows}, {run.terms}, {n > 0})"
                )
        for stretch in group.stretches:
            block = stretch.block
            # What hears nothing of the layer changes in the owner alone, by the source of the column's parameter.
            silent = [n for n, row in enumerate(block.block.row) if not any(p in heard for p in covering(part, row))]
            with self._units_of(stretch) if silent else nullcontext():
                for c in (0, 1):
                    for n in silent:
                        s.add(f"store(memory, pre_activation_sensitivities + {c * far} + {block.row(n)} * LANES, 0.0)")

    def _pre_activations(self, layer: KernelLayer, owner: KernelLayer, own: int, below: list[Run]) -> None:
        """Print W dsource, from the columns' rows `own` (its outputs of the cycle before) and those at `below`.

        What lies below a residual layer is the sum of several.
        """
        s, i = self.s, layer.index
        far, outputs = layer.layer.rows * LANES, self.network.outputs
        last = layer.layer.sources
        if layer.layer.delays:
            if i == 0 and self.network.fed_back:
                self._sign_fed_back(owner)
                below = [Run(0, str(last - outputs), outputs, memory="fed_back")]
            pre_activations_of_delays(s, layer, below)
            return

        def add(
            p: Product, first: int, terms: int, source: str, base: str, apart: str, accumulate: bool, further: str = ""
        ) -> None:
            """The share in a product of `terms` sources from number `first`, and `further` on."""
            rows = place("pre_activation_sensitivities", p.row * LANES, p, p.rows * LANES)
            weights = place(f"weights{i} + {p.first + (first - p.source) * p.rows}", 0, p, p.rows * p.terms)
            weights += f" + ({further}) * {p.rows}" if further else ""
            with self.heads(p.heads):
                s.add(f"product_pair(memory, {rows}, {far}, memory, {weights}, {p.rows}, {source}, "
                      f"{place(base, 0, p, terms * LANES)}, LANES, {apart}, {p.rows}, {terms}, {accumulate})")  # fmt: skip

        for p, accumulate in layer.products():
            heard = p.terms if p.heads > 1 else max(0, min(p.source + p.terms, layer.own) - p.source)
            from_below = 0 if p.heads > 1 else max(0, min(p.source + p.terms, last) - max(p.source, layer.own))
            if heard:
                add(p, p.source, heard, "sensitivities", f"column0 + {own * LANES}", "next_", accumulate)
                accumulate = True
            for run in below if from_below else ():
                source, base, apart = run.at
                add(p, p.source + heard, run.terms, source, base, apart, accumulate, run.of_layer)
                accumulate = True
            if i == 0 and self.network.fed_back and from_below:
                self._sign_fed_back(owner)
                add(p, last - outputs, outputs, "memory", "fed_back", f"{outputs * LANES}", accumulate)
                accumulate = True
            if not accumulate:
                with s.loop("i", p.heads * p.rows):
                    for c in (0, 1):
                        row = f"pre_activation_sensitivities + {p.row * LANES + c * far} + i * LANES"
                        s.add(f"store(memory, {row}, 0.0)")

    def _sign_fed_back(self, owner: KernelLayer) -> None:
        """Print the sensitivities of the network's outputs of the cycle before as the first layer hears them."""
        outputs, first = self.network.outputs, (self.height(owner) - self.network.outputs) * LANES
        for c in (0, 1):
            for k in range(outputs):
                value = self.signed(f"load(sensitivities, column{c} + {first + k * LANES})")
                self.s.add(f"store(memory, fed_back + {(c * outputs + k) * LANES}, {value})")

    def _units(self, layer: KernelLayer, stretch: Stretch) -> None:
        """Two units at a time, whose changes of the output do not wait for each other."""
        s = self.s
        if stretch.reach == "unit":
            s.add("unit = owner")
            self._unit(layer, stretch, odd=False)
            return
        with self.heads(stretch.block.heads) if stretch.reach == "layer" else nullcontext():
            with s.loop("half", stretch.count // 2):
                s.add("unit = 2 * half")
                self._unit(layer, stretch, odd=False)
                s.add("unit = 2 * half + 1")
                self._unit(layer, stretch, odd=True)
            if stretch.count % 2:
                s.add(f"unit = {stretch.count - 1}")
                self._unit(layer, stretch, odd=False)

    @contextmanager
    def _units_of(self, stretch: Stretch) -> Iterator[None]:
        """A loop over the units of a head that a stretch has; none for one."""
        if stretch.reach == "unit":
            self.s.add("unit = owner")
            yield
        else:
            with self.s.loop("unit", stretch.count):
                yield

    def _unit(self, layer: KernelLayer, stretch: Stretch, *, odd: bool) -> None:
        """The chain rule through unit j, in place; what it adds to the network's outputs goes to `_change(c, k, odd=odd)`."""
        block = stretch.block
        s, live, far = self.s, live_partials(block), layer.layer.rows * LANES
        inputs, width = block.rows + block.states, block.rows + block.states + block.numbers
        chained = [(slot, *divmod(index, width)) for slot, index in enumerate(live) if index % width < inputs]
        s.add(*(f"partial{slot} = load(memory, {partial_place(layer, block, slot)})" for slot, _, _ in chained))
        results = stretch.results()
        for c in (0, 1):
            texts = [
                f"load(memory, pre_activation_sensitivities + {c * far} + {block.row(n)} * LANES)" for n in range(block.rows)
            ]
            texts += [f"load(sensitivities, column{c} + {row} * LANES)" for row in results[block.unit.outputs :]]
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
                        s.add(f"{change} = fma({self._derivative(layer, block, n, k)}, result{c}_{n}, {change})")

    def _derivatives(self, layer: KernelLayer, block: KernelBlock, n: int) -> str:
        """The derivative of the loss by a unit's output n."""
        errors = (f"load(memory, output_errors + {k * LANES})" for k in range(self.network.outputs))
        return " + ".join(f"{error} * {self._derivative(layer, block, n, k)}" for k, error in enumerate(errors))

    def _derivative(self, layer: KernelLayer, block: KernelBlock, n: int, k: int) -> str:
        """The derivative of what is followed of output k by a unit's output n."""
        derivatives = f"output_derivatives{layer.index if layer.layer.norm else ''}"
        return f"load(memory, {derivatives} + {block.output(n, k * self.layers[-1].layer.inputs)} * LANES)"

    def _numbers(self, layer: KernelLayer, stretches: tuple[Stretch, ...], *, alone: bool) -> None:
        """Add how a unit depends on its own number, where that is the parameter of a column."""
        s = self.s
        for kind, (block, number) in enumerate(_numbers(layer)):
            results = next((stretch.results() for stretch in stretches if stretch.block is block), None)
            if results is None:
                continue
            inputs = block.rows + block.states
            width = inputs + block.numbers
            # A trained initial state is no input of the unit at any cycle.
            mine = inputs + number if number < block.numbers else -1
            slots = [(slot, index // width) for slot, index in enumerate(live_partials(block)) if index % width == mine]
            for c in (0, 1) if slots else ():
                with s.block(f"if row{c} == {-1 - kind}:"):
                    s.add(f"head, unit = place{c} // {block.count}, place{c} % {block.count}")
                    for slot, result in slots:
                        s.add(f"partial = load(memory, {partial_place(layer, block, slot)})")
                        if not c or not alone:  # a column that stands alone is changed once
                            row = f"column{c} + {results[result]} * LANES"
                            s.add(f"store(sensitivities, {row}, load(sensitivities, {row}) + partial)")
                        if layer.index in self.heard_by_output and result < block.unit.outputs:
                            for k in range(self.network.outputs):
                                change = self._change(c, k)
                                s.add(f"{change} = fma({self._derivative(layer, block, result, k)}, partial, {change})")


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


def _grouped_table(part: KernelLayer, found: list[Group]) -> list[tuple[int, int, int]]:
    """For every column of a layer, in their order: its parameter, then what `_table` says of that."""
    heads, table = range(part.layer.heads), []
    for head in heads:
        for group in found:
            for owner in range(group.owners):
                table += group.parameters_of(head, owner)
    return table
