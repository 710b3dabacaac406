"""Print the backward-mode kernel (bptt, truncated): forward over time, error, and back over time.

Sources and errors lie in slabs of SLAB cycles, in which a row is contiguous over (cycle, lane); that makes the gradient of a
weight one long dot product of two rows. The less is kept of a cycle, the longer a sequence may be before its workspace leaves
the core's cache: of most networks only what the units saved and the inputs are kept, and the way back makes the sources of a
slab anew (`remakes_sources`). Places of layer i, besides those of every kernel:

    saved0 [steps, values]: what the units' backward passes start from
    sources0 [K + 1, SLAB], of one slab, or [slab, K + 1, SLAB] where sources are not made anew; if they are,
    inputs0 [steps, inputs], and first_sources0 [slab, own outputs]: the own outputs that are a slab's first sources
    pre_activation_errors0 [M, SLAB], of one slab    output_errors0 [H], from above and from the cycle after
    state_errors0 [S]    passed_errors0 [H], of a layer that is residual or has a norm: from above only
    scale0 [slab, 1, SLAB], of a layer with a norm: what its outputs are multiplied by
    number_errors0: sums over time of the errors of the units' own numbers
    kept0 [steps + 1, values]: what groups of a vector unit keep (groups.py)
"""

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.groups import Groups
from learning_to_learn.engine.fused.kernel import ARGUMENTS, HEAD, Kernel, KernelBlock, KernelLayer, kept_rows, place
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.loop import BLOCK, typed
from learning_to_learn.engine.fused.nests import Nests
from learning_to_learn.topology.network import Network, Product

SLAB = 16
AHEAD, LONG = 4, 1024
"""So many cycles before it needs them the way back asks for saved values, where there are more cycles than LONG: they lie far
from the core then, and the processor foresees no walk backwards.
"""


def print_backward_mode(network: Network, real: str, matmul: str, *, mixed: bool = False) -> str:
    """The source, for numbers of type `real`, of a module with `block` and `words(steps)`, a worker's workspace.

    `matmul` names the module of matrix products, which must be one for mixed lanes if `mixed` is true.
    """
    kernel = BackwardMode(network, mixed=mixed)
    each = sum(each for _, each, _ in kernel.workspace())
    fixed = sum(fixed for _, _, fixed in kernel.workspace())
    return "\n".join(
        [
            HEAD.format(matmul=matmul, products="outer, product"),
            "",
            "def words(steps):",
            f"    return {each} * (steps // {SLAB} + 1) + {fixed}",
            "",
            "",
            f'@njit("{typed(BLOCK, real)}", **BY_ADDRESS)',
            f"def block({ARGUMENTS.format(flag='recurrent')}):",
            *kernel.body(),
        ]
    )


def print_mixed_lanes(network: Network, real: str, matmul: str) -> str:
    """`print_backward_mode` for lanes of any replicas."""
    return print_backward_mode(network, real, matmul, mixed=True)


class BackwardMode(Kernel):
    def __init__(self, network: Network, *, mixed: bool = False) -> None:
        super().__init__(network, row=SLAB * LANES, mixed=mixed)
        self.remakes_sources = not any(part.has_groups or part.layer.residual or part.layer.norm for part in self.layers)

    def workspace(self) -> list[tuple[str, int, int]]:
        places = super().workspace()
        for part in self.layers:
            i, layer = part.index, part.layer
            sources = part.sources * self.row
            places += [
                (f"sources{i}", 0, sources) if self.remakes_sources else (f"sources{i}", sources, 0),
                (f"saved{i}", self._saved_of_layer(part) * self.row, 0),
                (f"pre_activation_errors{i}", 0, layer.rows * self.row),
                (f"output_errors{i}", 0, layer.outputs * LANES),
                (f"state_errors{i}", 0, self._state_errors(part) * LANES),
            ]
            if self.remakes_sources and part.own:
                places.append((f"first_sources{i}", part.own * LANES, 0))
            if self.remakes_sources and not i:
                places.append((f"inputs{i}", self._inputs * self.row, 0))
            if part.has_groups:
                places.append((f"kept{i}", part.all_values(kept_rows) * self.row, 0))
            if layer.residual or layer.norm:
                places.append((f"passed_errors{i}", 0, layer.outputs * LANES))
            if layer.norm:
                places.append((f"scale{i}", self.row, 0))
            if layer.numbers:
                places.append((f"number_errors{i}", 0, layer.numbers * LANES))
        return places

    @staticmethod
    def _state_errors(part: KernelLayer) -> int:
        """The rows of a layer's state errors, which take turns in two places where the layer has groups."""
        return part.layer.states * (2 if part.has_groups else 1)

    def _nests(self, part: KernelLayer, block: KernelBlock) -> list[Nests]:
        found = super()._nests(part, block)
        if block.groups:
            found.append(block.groups.backward(part.index, self.group_places(part, block), self.row))
        return found

    @property
    def _inputs(self) -> int:
        """The sources of the first layer that are neither its own outputs nor the constant."""
        return self.layers[0].layer.sources - self.layers[0].own

    def _saved(self, part: KernelLayer, block: KernelBlock) -> tuple[str, ...]:
        """The variables that are saved of each unit of a block."""
        if block.groups:
            return ()
        heard = self.remakes_sources and part.index + 1 < len(self.layers)
        return block.trace.saved + (block.trace.saved_for_outputs if heard else ())

    def _saved_of_layer(self, part: KernelLayer) -> int:
        return part.all_values(lambda block: len(self._saved(part, block)))

    def _saved_place(self, part: KernelLayer, block: KernelBlock, slot: int) -> str:
        """The place of value number `slot` that is saved of unit j."""
        before = part.values(block, lambda other: len(self._saved(part, other)))
        return f"saved{part.index}_now + {block.value(slot, before)} * LANES"

    def _name_saved(self, part: KernelLayer) -> None:
        """Name the place of what a layer's units save at a cycle."""
        i = part.index
        self.s.add(f"saved{i}_now = saved{i} + cycle * {self._saved_of_layer(part) * LANES}")

    def _name_kept(self, part: KernelLayer, time: str) -> None:
        """Name the places of what the groups of a layer keep, at a cycle and at the one after it."""
        if part.has_groups:
            i, rows = part.index, part.all_values(kept_rows) * LANES
            self.s.add(f"kept{i}_now = kept{i} + {time} * {rows}", f"kept{i}_next = kept{i}_now + {rows}")

    def _at(self, name: str, place: str, rows: int, time: str) -> str:
        return f"{name} = {place} + {time} // {SLAB} * {rows * self.row} + {time} % {SLAB} * LANES"

    def _sources_at(self, part: KernelLayer, time: str, name: str = "sources{}_now") -> str:
        i = part.index
        if self.remakes_sources:
            return f"{name.format(i)} = sources{i} + {time} % {SLAB} * LANES"
        return self._at(name.format(i), f"sources{i}", part.sources, time)

    def body(self) -> list[str]:
        s = self.s
        s.add(
            "batch, steps = inputs.shape[0], inputs.shape[1]",
            "live = min(LANES, batch - lane0)",
            f"slabs = steps // {SLAB} + 1",
        )
        s.add(*self.places("slabs"))
        self.transpose_weights()
        self.compute_constants()
        self.load_state()
        for part in self.layers:
            self._name_kept(part, "0")
        self.move_states(into=True)
        with s.loop("cycle", "steps"):
            for part in self.layers:
                self._name_kept(part, "cycle")
                i = part.index
                s.add(self._sources_at(part, "cycle"), self._sources_at(part, "(cycle + 1)", "outputs{}_next"))
                self._name_saved(part)
                if part.layer.norm:
                    s.add(self._at(f"scale{i}_now", f"scale{i}", 1, "cycle"))
            self.read_inputs()
            if self.remakes_sources:
                self._move_sources(into=False)
            for part in self.layers:
                self.layer_forward(part)
        for part in self.layers:
            s.add(self._sources_at(part, "steps"))
            self._name_kept(part, "steps")
        self.move_states(into=False)
        self.store_state()
        with s.block("if not learn:"):
            s.add("return")
        self._backward()
        return s.lines

    def keep(self, part: KernelLayer, block: KernelBlock, names: dict[str, str]) -> None:
        for slot, variable in enumerate(self._saved(part, block)):
            self.s.add(f"store(memory, {self._saved_place(part, block, slot)}, {names[variable]})")

    def _move_sources(self, *, into: bool) -> None:
        """Copy what the units do not say again into this cycle's sources, or from there to where it is kept."""
        s, first = self.s, self.layers[0].own

        def move(source: str, kept: str) -> None:
            target, origin = (source, kept) if into else (kept, source)
            s.add(f"store(memory, {target}, load(memory, {origin}))")

        with s.loop("i", self._inputs):
            move(f"sources0_now + ({first} + i) * {self.row}", f"inputs0 + (cycle * {self._inputs} + i) * LANES")
        own = [part for part in self.layers if part.own]
        if own:
            with s.block(f"if cycle % {SLAB} == 0:"):
                for part in own:
                    i, n = part.index, part.own
                    with s.loop("i", n):
                        move(f"sources{i}_now + i * {self.row}", f"first_sources{i} + (cycle // {SLAB} * {n} + i) * LANES")

    def _backward(self) -> None:
        s = self.s
        with s.loop("i", "gradient.size"):
            s.add("gradient[i] = 0.0")
        self._clear(self.layers)
        for part in self.layers:
            with s.loop("i", part.layer.numbers):
                s.add(f"store(memory, number_errors{part.index} + i * LANES, 0.0)")
        with s.loop("back", "steps"):
            s.add("cycle = steps - 1 - back", f"now = cycle % {SLAB} * LANES")
            for part in self.layers:
                self._name_places(part)
            self._output_errors(self.layers[-1])
            for part in reversed(self.layers):
                self._layer_backward(part)
            self._initial_states()
            with s.block("if cycle % window == 0:"):
                self._clear(self.layers[:-1])
            if self.remakes_sources:
                self._move_sources(into=True)
            with s.block("if now == 0:"):
                s.add(f"count = min({SLAB}, steps - cycle)")
                for part in self.layers:
                    i = part.index
                    if not self.remakes_sources:
                        s.add(self._sources_at(part, "cycle"))
                    for p in part.layer.products:
                        with self.heads(p.heads):
                            s.add(
                                f"outer(gradient, {self.weight_place('', part.first + p.first, p)}, {p.terms}, memory, "
                                f"{place(f'pre_activation_errors{i}', p.row * self.row, p, p.rows * self.row)}, {self.row}, "
                                f"memory, {place(f'sources{i}_now', p.source * self.row, p, p.terms * self.row)}, {self.row}, "
                                f"{p.rows}, {p.terms}, count)"
                            )
        for part in self.layers:
            with s.loop("i", part.layer.numbers):
                errors, number = (
                    f"load(memory, number_errors{part.index} + i * LANES)",
                    f"{part.first + part.layer.weights} + i",
                )
                s.add(
                    f"store(gradient, ({number}) * LANES, {errors})" if self.mixed else f"gradient[{number}] = total({errors})"
                )

    def _name_places(self, part: KernelLayer) -> None:
        """Name the places of a layer at a cycle on the way back, and ask early for what lies far away."""
        s = self.s
        self._name_saved(part)
        if rows := self._saved_of_layer(part):
            with s.block(f"if steps > {LONG}:"), s.loop("i", rows):
                s.add(f"prefetch(memory, saved{part.index}_now + (i - {AHEAD * rows}) * LANES)")
        self._name_kept(part, "cycle")
        if self.remakes_sources:
            s.add(self._sources_at(part, "cycle"))
            if part.own:
                s.add(self._sources_at(part, "(cycle + 1)", "outputs{}_next"))
        if part.has_groups:
            turn = f"state_errors{part.index} + cycle % 2 * {part.layer.states * LANES}"
            other = f"state_errors{part.index} + (cycle + 1) % 2 * {part.layer.states * LANES}"
            s.add(f"state_errors{part.index}_now = {turn}", f"state_errors{part.index}_next = {other}")
        if part.layer.norm:
            i, above = part.index, self.layers[part.index + 1]
            s.add(
                self._at(f"scale{i}_now", f"scale{i}", 1, "cycle"),
                self._sources_at(part, "cycle"),
                self._sources_at(above, "cycle"),
            )

    @property
    def direct(self) -> bool:
        """Whether the errors of the output neurons' pre-activations are computed at once: the log loss makes them simple, and a
        softmax is no function of single neurons.
        """
        return self.network.loss == "log" or self.network.kind == "softmax"

    def _output_errors(self, part: KernelLayer) -> None:
        """The errors of the network's outputs at this cycle, or where that is simpler those of their pre-activations.

        What comes from the next cycle, where the outputs are fed back, lies at `network_output`.
        """
        s, m, i, network = self.s, self.network.outputs, part.index, self.network
        difference = "scale * (outputs[lane0 + lane, cycle, i] - target[lane0 + lane, cycle, i])"
        fed_back = "memory[network_output + i * LANES + lane]"
        if not self.direct:
            with s.loop("lane", "live"), s.loop("i", m):
                extra = f" + {fed_back}" if network.fed_back else ""
                s.add(f"memory[output_errors{i} + i * LANES + lane] = {difference}{extra}")
            return
        with s.loop("i", m):
            s.add(f"store(memory, pre_activation_errors{i} + now + i * {self.row}, 0.0)")
        with s.loop("lane", "live"):
            errors = [difference] if network.loss == "squared" else []
            errors += [fed_back] if network.fed_back else []
            if errors and network.kind == "softmax":
                s.add("mean_error = 0.0")
                with s.loop("i", m):
                    s.add(f"mean_error += outputs[lane0 + lane, cycle, i] * ({' + '.join(errors)})")
            with s.loop("i", m):
                s.add("y = outputs[lane0 + lane, cycle, i]")
                terms = [difference] if network.loss == "log" else []
                if errors:
                    slope = {"softmax": f"y * ({' + '.join(errors)} - mean_error)", "linear": fed_back}
                    terms.append(slope.get(network.kind, f"y * (1.0 - y) * {fed_back}"))
                s.add(f"memory[pre_activation_errors{i} + now + i * {self.row} + lane] = {' + '.join(terms)}")

    def _clear(self, layers: list[KernelLayer]) -> None:
        """No error goes on to the cycle before."""
        for part in layers:
            for name, n in (("output_errors", part.layer.outputs), ("state_errors", self._state_errors(part))):
                with self.s.loop("i", n):
                    self.s.add(f"store(memory, {name}{part.index} + i * LANES, 0.0)")
        for k in range(self.network.outputs if self.network.fed_back else 0):
            self.s.add(f"store(memory, network_output + {k * LANES}, 0.0)")

    def _initial_states(self) -> None:
        """What is left of the states' errors before the first cycle is that of the initial states that are trained."""
        s = self.s
        trained = [(part, block) for part in self.layers for block in part.blocks if block.unit.trained_states]
        if not trained:
            return
        with s.block("if cycle == 0:"):
            for part, block in trained:
                with self.units(block):
                    for n, name in enumerate(block.unit.trained_states, block.numbers):
                        state = block.state(block.unit.states.index(name))
                        if block.groups:
                            with s.loop("i", block.unit.size(name)):
                                error = f"load(memory, state_errors{part.index}_next + ({state} + i) * LANES)"
                                s.add(f"store(memory, number_errors{part.index} + ({block.number(n)} + i) * LANES, {error})")
                            continue
                        s.add(
                            f"error = load(memory, state_errors{part.index} + {state} * LANES)",
                            f"store(memory, number_errors{part.index} + {block.number(n)} * LANES, error)",
                        )

    def _layer_backward(self, part: KernelLayer) -> None:
        s, layer, i = self.s, part.layer, part.index
        for block in part.blocks if i + 1 < len(self.layers) or not self.direct else ():
            with self.units(block):
                self._unit_backward(part, block)
        if i and (self.layers[i - 1].layer.residual or self.layers[i - 1].layer.norm):
            self._back(part, part.own, layer.sources, f"passed_errors{i - 1}", accumulate=False)
            self._pass_on(part, f"passed_errors{i - 1}")
            if self.layers[i - 1].layer.norm:
                self._through_norm(self.layers[i - 1])
            else:
                self._add_errors(f"output_errors{i - 1}", f"passed_errors{i - 1}", self.layers[i - 1].layer.outputs)
        elif i and layer.rows == 1 and layer.products[0].terms == part.sources:
            # A product with one term: no loop over terms, and no sum to start from zero.
            with s.loop("i", self.layers[i - 1].layer.outputs):
                target, weight = f"output_errors{i - 1} + i * LANES", self.parameter(f"{part.first + part.own} + i")
                s.add(
                    f"error = load(memory, pre_activation_errors{i} + now)",
                    f"store(memory, {target}, fma({weight}, error, load(memory, {target})))",
                )
        elif i:
            self._back(part, part.own, layer.sources, f"output_errors{i - 1}", accumulate=True)
            self._pass_on(part, f"output_errors{i - 1}")
        if part.own:
            with s.block("if recurrent:"):
                self._back(part, 0, part.own, f"output_errors{i}", accumulate=False)
                self._feed_back(part)
            with s.block("else:"), s.loop("i", layer.outputs):
                s.add(f"store(memory, output_errors{i} + i * LANES, 0.0)")
        elif i + 1 < len(self.layers):
            with s.loop("i", layer.outputs):
                s.add(f"store(memory, output_errors{i} + i * LANES, 0.0)")
            if not i and self.network.fed_back:
                with s.block("if recurrent:"):
                    self._feed_back(part)

        if not i and self.network.last_layer_feedback:
            top = self.layers[-2]  # whose errors already are those of its outputs of the cycle before
            with s.block("if recurrent:"):
                self._back(part, part.own, part.own + top.layer.outputs, f"output_errors{top.index}", accumulate=True)

    def keep_norm(self, part: KernelLayer) -> None:
        self.s.add(f"store(memory, scale{part.index}_now, scale_)")

    def _through_norm(self, part: KernelLayer) -> None:
        """Add to the errors of a layer's outputs what those of the normalised ones, from above, make of them."""
        s, i, count = self.s, part.index, part.layer.outputs
        heard, below = self.heard(part)
        with_residual = f" - load(memory, {below})" if part.layer.residual else ""
        s.add("along = fill(memory, 0.0)", "mean = fill(memory, 0.0)", f"scale_ = load(memory, scale{i}_now)")
        look = [f"error = load(memory, passed_errors{i} + i * LANES)", f"said = load(memory, {heard}){with_residual}"]
        with s.loop("i", count):
            s.add(*look, "along = fma(error, said, along)", *(["mean = mean + error"] if part.layer.norm == "layer" else []))
        s.add(f"along = along * {1 / count!r}", f"mean = mean * {1 / count!r}")
        with s.loop("i", count):
            target = f"output_errors{i} + i * LANES"
            s.add(*look, f"store(memory, {target}, load(memory, {target}) + (error - mean - said * along) * scale_)")

    def _pass_on(self, part: KernelLayer, target: str) -> None:
        """A residual layer passes the errors from above on to what lies below it."""
        if part.layer.residual:
            self._add_errors(target, f"passed_errors{part.index}", part.layer.outputs)

    def _add_errors(self, target: str, errors: str, count: int) -> None:
        with self.s.loop("i", count):
            sum_ = f"load(memory, {target} + i * LANES) + load(memory, {errors} + i * LANES)"
            self.s.add(f"store(memory, {target} + i * LANES, {sum_})")

    def _feed_back(self, part: KernelLayer) -> None:
        """Send error to the outputs of the cycle before, which the first layer's last sources are, or are minus."""
        if not part.index and self.network.fed_back:
            sources, m = part.layer.sources, self.network.outputs
            self._back(part, sources - m, sources, "network_output", accumulate=False)
            for k in range(m if self.network.fed_back < 0 else 0):
                output = f"network_output + {k * LANES}"
                self.s.add(f"store(memory, {output}, negate(load(memory, {output})))")

    def _back(self, part: KernelLayer, first: int, last: int, target: str, *, accumulate: bool) -> None:
        """Send the errors of the pre-activations to the sources from `first` up to `last`, whose errors lie at `target`."""
        done = last if accumulate else first
        for p, _ in part.products():
            source, end = max(first, p.source), min(last, p.source + p.heads * p.terms)
            if source >= end:
                continue
            if p.heads > 1:  # each head hears its share
                p = p.only((source - p.source) // p.terms, (end - p.source) // p.terms)
            count = p.terms if p.heads > 1 else end - source
            with self.heads(p.heads):
                self.s.add(
                    f"product(memory, {place(target, (source - first) * LANES, p, p.terms * LANES)}, LANES, "
                    f"parameters, {self.weight_place('', part.first + p.first + source - p.source, p)}, {p.terms}, "
                    f"memory, {self._errors(part, p)}, {self.row}, {count}, {p.rows}, {source < done})"
                )
            done = max(done, end)

    def _errors(self, part: KernelLayer, p: Product) -> str:
        """The place of the errors of a product's rows, at this cycle."""
        return place(f"pre_activation_errors{part.index} + now", p.row * self.row, p, p.rows * self.row)

    def _group_backward(self, part: KernelLayer, block: KernelBlock, groups: Groups) -> None:
        s, nests = self.s, groups.backward(part.index, self.group_places(part, block), self.row)
        s.add(*nests.lines)
        for n, (name, error) in enumerate(zip(block.unit.numbers, nests.places[block.rows + block.states :], strict=True)):
            with s.loop("i", block.unit.size(name)):
                target = f"number_errors{part.index} + ({block.number(n)} + i) * LANES"
                s.add(f"store(memory, {target}, load(memory, {target}) + load(memory, {error.base} + i * LANES))")

    def _unit_backward(self, part: KernelLayer, block: KernelBlock) -> None:
        if block.groups:
            self._group_backward(part, block, block.groups)
            return
        s, i, backward, names = self.s, part.index, block.trace.backward, {}
        for slot, variable in enumerate(self._saved(part, block)):
            names[variable] = f"backward_{variable}"
            s.add(f"backward_{variable} = load(memory, {self._saved_place(part, block, slot)})")
        outputs = block.unit.outputs
        for n in range(outputs):
            s.add(f"error{n} = load(memory, output_errors{i} + {block.output(n)} * LANES)")
        for n in range(block.states):
            s.add(f"error{outputs + n} = load(memory, state_errors{i} + {block.state(n)} * LANES)")
        names |= {f"error{n}": f"error{n}" for n in range(outputs + block.states)}
        names |= self.load_constants(part, block, backward)
        lines, errors = statements(backward, names, "backward_")
        s.add(*lines)
        if self.remakes_sources and i + 1 < len(self.layers):
            names |= {op.name: f"backward_{op.name}" for op in backward.ops} | self.load_constants(
                part, block, block.trace.outputs
            )
            lines, heard = statements(block.trace.outputs, names, "backward_")
            s.add(*lines)
            for n, output in enumerate(heard):
                self._put_output(part, block, n, output)
        rows, states = errors[: block.rows], errors[block.rows : block.rows + block.states]
        for n, error in enumerate(rows):
            s.add(f"store(memory, pre_activation_errors{i} + now + {block.row(n)} * {self.row}, {error or '0.0'})")
        for n, error in enumerate(states):
            s.add(f"store(memory, state_errors{i} + {block.state(n)} * LANES, {error or '0.0'})")
        for n, error in enumerate(errors[block.rows + block.states :]):
            if error:
                target = f"number_errors{i} + {block.number(n)} * LANES"
                s.add(f"store(memory, {target}, load(memory, {target}) + {error})")
