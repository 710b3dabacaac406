"""Print the forward-mode kernel (rtrl): the sensitivities of all states by all parameters, carried along with the states.

A parameter's column holds the sensitivities of everything it can reach: of the outputs and states of its own layer and the
layers above (with error feedback: of all layers, and of the network's output). Columns are independent of each other, so
each is updated in place, while it is in the innermost cache; two at a time, which share every load of a weight. The columns
of a block of lanes lie in `J`, which is kept from segment to segment where the weights are updated within a sequence. Places
of layer i, besides those of every kernel:

    V sources [K + 1], N its outputs of this cycle [H]    Q the units' partial derivatives at this cycle
    Y sensitivities of the pre-activations [2, M], of the columns at hand    E of the error fed back [2]
    B derivatives of the network's output by the last hidden layer's outputs [H]
    A sums over time of error x sensitivity, a row for every parameter
"""

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.kernel import HEAD, Kernel, Part
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.trace import UnitTrace
from learning_to_learn.topology.network import Block, Network

_RUN = """
@njit(
    "void(F[:,::1], F[:,:,:,:], F[:,:,:], F[:,:,::1], F[:,:,:], F[:,:,::1], F, b1, b1, b1, F[:,::1], F[:,::1], F[:,::1], "
    "F[:,::1])",
    parallel=True, nogil=True, cache=True, error_model="numpy",
)
def run(p, x, target, state, y, last, scale, learn, fresh, one_each, g, pieces, workspaces, sensitivities):
    replicas, batch = x.shape[0], x.shape[1]
    blocks = (batch + LANES - 1) // LANES
    jobs, workers = replicas * blocks, workspaces.shape[0]
    for worker in prange(workers):
        for job in range(np.int64(worker) * jobs // workers, (np.int64(worker) + 1) * jobs // workers):
            r = job // blocks
            # One set of columns for every block of lanes where they are kept, else one for every worker.
            column = job if one_each else np.int64(worker)
            block(p[r], x[r], target[r], job % blocks * LANES, state[r], y[r], last[r], scale, learn, fresh, pieces[job],
                  workspaces[worker], sensitivities[column])
    if learn:
        for r in range(replicas):
            for i in range(p.shape[1]):
                sum_ = pieces[r * blocks, i]
                for b in range(r * blocks + 1, (r + 1) * blocks):
                    sum_ += pieces[b, i]
                g[r, i] = sum_
"""


def print_forward_mode(network: Network, real: str) -> str:
    """The source, for numbers of type `real`, of a module with `run`, and the sizes it needs.

    `words(steps)` is that of a worker's workspace, `columns` that of a block of lanes.
    """
    kernel = _ForwardMode(network)
    fixed = sum(fixed for _, _, fixed in kernel.workspace())
    columns = sum(kernel.height(part) * part.layer.parameters for part in kernel.layers) * LANES
    return "\n".join(
        [
            HEAD,
            f"columns = {columns}",
            "",
            "",
            "def words(steps):",
            f"    return {fixed}",
            "",
            "",
            "@njit(**OPTIONS)",
            "def block(p, x, target, lane0, state, y, last, scale, learn, fresh, g, a, J):",
            *kernel.body(),
            "",
            _RUN.replace("F[", f"{real}[").replace("F,", f"{real},"),
        ]
    )


class _ForwardMode(Kernel):
    @property
    def next_row(self) -> int:
        return LANES

    def workspace(self) -> list[tuple[str, int, int]]:
        places = super().workspace()
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [
                (f"V{i}", 0, part.sources * LANES),
                (f"N{i}", 0, layer.outputs * LANES),
                (f"Q{i}", 0, sum(b.count * len(_live(u)) for b, u in part.units()) * LANES),
            ]
        largest = max(part.layer.rows for part in self.layers)
        return [
            *places,
            ("Y", 0, 2 * largest * LANES),
            ("E", 0, 2 * LANES),
            ("B", 0, self.layers[-2].layer.outputs * LANES),
            ("A", 0, self.network.parameters * LANES),
        ]

    def reached(self, part: Part) -> list[Part]:
        """The hidden layers whose states a parameter of this layer can change."""
        return self.layers[:-1] if self.network.error_feedback else self.layers[part.index : -1]

    def height(self, part: Part) -> int:
        """The rows of one of its columns."""
        rows = sum(reached.layer.outputs + reached.layer.states for reached in self.reached(part))
        return rows + (1 if self.network.error_feedback else 0)

    def body(self) -> list[str]:
        s = self.s
        s.add("batch, steps = x.shape[0], x.shape[1]", "live = min(LANES, batch - lane0)")
        s.add(*self.places("0"))
        for part in self.layers:
            s.add(f"v{part.index} = V{part.index}", f"n{part.index} = N{part.index}")
        self.transpose_weights()
        self.load_state()
        with s.block("if learn:"):
            with s.block("if fresh:"), s.loop("i", "J.size"):
                s.add("J[i] = 0.0")
            with s.loop("i", self.network.parameters):
                s.add("store(a, A + i * LANES, 0.0)")
        with s.loop("t", "steps"):
            self.read_inputs()
            for part in self.layers:
                self.layer_forward(part)
            with s.block("if learn:"):
                s.add("store(a, Z, 0.0)")
                with s.loop("l", "live"):
                    s.add("a[Z + l] = scale * (y[lane0 + l, t] - target[lane0 + l, t])")
                s.add("error = load(a, Z)")
                output = self.layers[-1]
                with s.loop("j", output.layer.inputs):
                    s.add(f"store(a, B + j * LANES, load(a, Q{output.index}) * splat(a, W{output.index} + j))")
                first = 0
                for part in self.layers:
                    self._columns(part, first)
                    first += self.height(part) * part.layer.parameters * LANES
            for part in self.layers[:-1]:
                with s.loop("i", part.layer.outputs):
                    s.add(f"store(a, V{part.index} + i * LANES, load(a, N{part.index} + i * LANES))")
        self.store_state()
        with s.block("if learn:"), s.loop("i", self.network.parameters):
            s.add("g[i] = total(load(a, A + i * LANES))")
        return s.lines

    def keep(self, part: Part, block: Block, unit: UnitTrace, names: dict[str, str]) -> None:
        with self.s.block("if learn:"):
            lines, outputs = statements(unit.partials, {k: v for k, v in names.items() if k[0] in "zs"}, "q_")
            self.s.add(*lines)
            for slot, index in enumerate(_live(unit)):
                self.s.add(f"store(a, {self._partial(part, block, slot)}, {outputs[index]})")

    @staticmethod
    def _partial(part: Part, block: Block, slot: int) -> str:
        """The place of unit j's derivative number `slot`."""
        before = sum(b.count * len(_live(u)) for b, u in part.units() if b.row < block.row)
        return f"Q{part.index} + ({before + slot * block.count} + j) * LANES"

    def _columns(self, part: Part, first: int) -> None:
        """Update the columns of all parameters of a layer, and add error x sensitivity to their sums."""
        s, n = self.s, part.layer.parameters
        s.add("c = 0")
        with s.block(f"while c + 2 <= {n}:"):
            self._pair(part, first, "c + 1")
            s.add("c += 2")
        if n % 2:
            # The last column stands alone: it is computed beside itself.
            self._pair(part, first, "c")

    def _pair(self, part: Part, first: int, second: str) -> None:
        """Update column c of a layer's parameters and the one named `second`."""
        s, height, pair = self.s, self.height(part) * LANES, ((0, "c"), (1, second))
        s.add(f"next_ = {height} if {second} > c else 0")
        for c, index in pair:
            s.add(f"column{c} = {first} + ({index}) * {height}", f"row{c} = ({index}) // {part.sources}")
            s.add(f"source{c} = load(a, V{part.index} + ({index}) % {part.sources} * LANES)", f"dy{c} = dz{c} = fill(a, 0.0)")
        bottom, place = None, 0
        for reached in self.reached(part):
            own_h, own_s = place, place + reached.layer.outputs
            self._pre_activations(reached, part, own_h, bottom)
            for block, unit in reached.units():
                # Two units at a time, whose terms of dy do not wait for each other.
                with s.loop("half", block.count // 2):
                    s.add("j = 2 * half")
                    self._unit(reached, block, unit, own_h, own_s, "dy")
                    s.add("j = 2 * half + 1")
                    self._unit(reached, block, unit, own_h, own_s, "dz")
                if block.count % 2:
                    s.add(f"j = {block.count - 1}")
                    self._unit(reached, block, unit, own_h, own_s, "dy")
            bottom, place = own_h, own_s + reached.layer.states
        for c, index in pair:
            s.add(f"dy{c} = dy{c} + dz{c}")
            if part is self.layers[-1]:
                s.add(f"dy{c} = fma(load(a, Q{part.index}), source{c}, dy{c})")
            s.add(f"sum{c} = fma(error, dy{c}, load(a, A + ({part.first} + {index}) * LANES))")
        for c, index in pair:
            if self.network.error_feedback:
                s.add(f"store(J, column{c} + {place * LANES}, dy{c})")
            s.add(f"store(a, A + ({part.first} + {index}) * LANES, sum{c})")

    def _pre_activations(self, layer: Part, owner: Part, own: int, below: int | None) -> None:
        """Y = W dsource, from the columns' rows `own` (its outputs of the cycle before) and `below`, plus the source."""
        s, i, rows = self.s, layer.index, layer.layer.rows
        far = rows * LANES

        def add(source: str, base: str, apart: str | int, column: int, terms: int, accumulate: bool) -> None:
            s.add(f"product_pair(a, Y, {far}, a, W{i} + {column * rows}, {rows}, {source}, {base}, LANES, {apart}, {rows}, "
                  f"{terms}, {accumulate})")  # fmt: skip

        add("J", f"column0 + {own * LANES}", "next_", 0, layer.own, accumulate=False)
        if below is not None:
            add("J", f"column0 + {below * LANES}", "next_", layer.own, layer.layer.inputs, accumulate=True)
        if i == 0 and self.network.error_feedback:
            last = (self.height(owner) - 1) * LANES
            s.add(*(f"store(a, E + {c} * LANES, negate(load(J, column{c} + {last})))" for c in (0, 1)))
            add("a", "E", "LANES", layer.layer.sources - 1, 1, accumulate=True)
        if layer.index == owner.index:
            for c in (0, 1):
                place = f"Y + {c * far} + row{c} * LANES"
                s.add(f"store(a, {place}, load(a, {place}) + source{c})")

    def _unit(self, layer: Part, block: Block, unit: UnitTrace, own_h: int, own_s: int, dy: str) -> None:
        """The chain rule through unit j, in place; what it adds to the network's output goes to `dy`."""
        s, live, far = self.s, _live(unit), layer.layer.rows * LANES
        inputs = len(block.rows()) + len(block.states())
        s.add(*(f"q{slot} = load(a, {self._partial(layer, block, slot)})" for slot in range(len(live))))
        places = [own_h + block.output, *(own_s + states.start for states in block.states())]
        for c in (0, 1):
            texts = [f"load(a, Y + {c * far} + ({rows.start} + j) * LANES)" for rows in block.rows()]
            texts += [f"load(J, column{c} + ({place} + j) * LANES)" for place in places[1:]]
            used = {index % inputs for index in live}
            s.add(*(f"i{n} = {text}" for n, text in enumerate(texts) if n in used))
            sums: dict[int, str] = {}
            for slot, index in enumerate(live):
                result, n = divmod(index, inputs)
                sums[result] = f"fma(q{slot}, i{n}, {sums[result]})" if result in sums else f"q{slot} * i{n}"
            s.add(*(f"r{c}{n} = {sums.get(n, 'fill(a, 0.0)')}" for n in range(len(places))))
        for c in (0, 1):
            s.add(*(f"store(J, column{c} + ({place} + j) * LANES, r{c}{n})" for n, place in enumerate(places)))
            if layer is self.layers[-2]:
                s.add(f"{dy}{c} = fma(load(a, B + ({block.output} + j) * LANES), r{c}0, {dy}{c})")


def _live(unit: UnitTrace) -> list[int]:
    """Which of a unit's partial derivatives are not identically zero."""
    return [index for index, output in enumerate(unit.partials.outputs) if output is not None]
