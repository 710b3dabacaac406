"""Print the backward-mode kernel (bptt, truncated): forward over time, error, and back over time.

What the way back needs is kept in slabs of SLAB cycles, in which a row is contiguous over (cycle, lane); that makes the
gradient of a weight one long dot product of two rows. Places of layer i, besides those of every kernel:

    V sources [slab, K + 1, SLAB]    S saved [slab, Q, SLAB]: what the units' backward passes start from
    D errors of the pre-activations [M, SLAB], of one slab    H errors of the outputs [H], from above and from the cycle after
    G errors of the states [S]
"""

from learning_to_learn.engine.fused.elementwise import statements
from learning_to_learn.engine.fused.kernel import HEAD, Kernel, Part
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.trace import UnitTrace
from learning_to_learn.topology.network import Block, Network

SLAB = 16

_RUN = """
@njit(
    "void(F[:,::1], F[:,:,:,:], F[:,:,:], F[:,:,::1], F[:,:,:], F[:,:,::1], F, b1, b1, i8, F[:,::1], F[:,::1], F[:,::1])",
    parallel=True, nogil=True, cache=True, error_model="numpy",
)
def run(p, x, target, state, y, last, scale, learn, recurrent, window, g, pieces, workspaces):
    replicas, batch = x.shape[0], x.shape[1]
    blocks = (batch + LANES - 1) // LANES
    jobs, workers = replicas * blocks, workspaces.shape[0]
    for worker in prange(workers):
        for job in range(np.int64(worker) * jobs // workers, (np.int64(worker) + 1) * jobs // workers):
            r = job // blocks
            block(p[r], x[r], target[r], job % blocks * LANES, state[r], y[r], last[r], scale, learn, recurrent, window,
                  pieces[job], workspaces[worker])
    if learn:
        for r in range(replicas):
            for i in range(p.shape[1]):
                sum_ = pieces[r * blocks, i]
                for b in range(r * blocks + 1, (r + 1) * blocks):
                    sum_ += pieces[b, i]
                g[r, i] = sum_
"""


def print_scan(network: Network, real: str) -> str:
    """The source, for numbers of type `real`, of a module with `run` and `words(steps)`, the size of a worker's workspace."""
    kernel = _Scan(network)
    each = sum(each for _, each, _ in kernel.workspace())
    fixed = sum(fixed for _, _, fixed in kernel.workspace())
    return "\n".join(
        [
            HEAD,
            "",
            "def words(steps):",
            f"    return {each} * (steps // {SLAB} + 1) + {fixed}",
            "",
            "",
            "@njit(**OPTIONS)",
            "def block(p, x, target, lane0, state, y, last, scale, learn, recurrent, window, g, a):",
            *kernel.body(),
            "",
            _RUN.replace("F[", f"{real}[").replace("F,", f"{real},"),
        ]
    )


class _Scan(Kernel):
    def __init__(self, network: Network) -> None:
        super().__init__(network, row=SLAB * LANES)

    def workspace(self) -> list[tuple[str, int, int]]:
        places = super().workspace()
        for part in self.layers:
            i, layer = part.index, part.layer
            places += [
                (f"V{i}", part.sources * self.row, 0),
                (f"S{i}", self._saved(part) * self.row, 0),
                (f"D{i}", 0, layer.rows * self.row),
                (f"H{i}", 0, layer.outputs * LANES),
                (f"G{i}", 0, layer.states * LANES),
            ]
        return places

    @staticmethod
    def _saved(part: Part) -> int:
        return sum(block.count * len(unit.saved) for block, unit in part.units())

    @staticmethod
    def _slot(part: Part, block: Block) -> int:
        """The first saved row of a block in its layer."""
        return sum(b.count * len(unit.saved) for b, unit in part.units() if b.row < block.row)

    def _at(self, name: str, place: str, rows: int, time: str) -> str:
        return f"{name} = {place} + {time} // {SLAB} * {rows * self.row} + {time} % {SLAB} * LANES"

    def body(self) -> list[str]:
        s = self.s
        s.add("batch, steps = x.shape[0], x.shape[1]", "live = min(LANES, batch - lane0)", f"slabs = steps // {SLAB} + 1")
        s.add(*self.places("slabs"))
        self.transpose_weights()
        self.load_state()
        with s.loop("t", "steps"):
            for part in self.layers:
                i = part.index
                s.add(self._at(f"v{i}", f"V{i}", part.sources, "t"), self._at(f"n{i}", f"V{i}", part.sources, "(t + 1)"))
                s.add(self._at(f"s_{i}", f"S{i}", self._saved(part), "t"))
            self.read_inputs()
            for part in self.layers:
                self.layer_forward(part)
        for part in self.layers:
            s.add(self._at(f"v{part.index}", f"V{part.index}", part.sources, "steps"))
        self.store_state()
        with s.block("if not learn:"):
            s.add("return")
        self._backward()
        return s.lines

    def keep(self, part: Part, block: Block, unit: UnitTrace, names: dict[str, str]) -> None:
        for slot, variable in enumerate(unit.saved):
            row = self._slot(part, block) + slot * block.count
            self.s.add(f"store(a, s_{part.index} + ({row} + j) * {self.row}, {names[variable]})")

    def _backward(self) -> None:
        s = self.s
        with s.loop("i", "g.size"):
            s.add("g[i] = 0.0")
        self._clear(self.layers)
        output = self.layers[-1].index
        with s.loop("back", "steps"):
            s.add("t = steps - 1 - back", f"now = t % {SLAB} * LANES")
            for part in self.layers:
                s.add(self._at(f"s_{part.index}", f"S{part.index}", self._saved(part), "t"))
            extra = " + a[P + l]" if self.network.error_feedback else ""
            with s.loop("l", "live"):
                s.add(f"a[H{output} + l] = scale * (y[lane0 + l, t] - target[lane0 + l, t]){extra}")
            for part in reversed(self.layers):
                self._layer_backward(part)
            with s.block("if t % window == 0:"):
                self._clear(self.layers[:-1])
            with s.block("if now == 0:"):
                s.add(f"count = min({SLAB}, steps - t)")
                for part in self.layers:
                    i = part.index
                    s.add(self._at(f"v{i}", f"V{i}", part.sources, "t"))
                    s.add(f"outer(g, {part.first}, {part.sources}, a, D{i}, {self.row}, a, v{i}, {self.row}, "
                          f"{part.layer.rows}, {part.sources}, count)")  # fmt: skip

    def _clear(self, layers: list[Part]) -> None:
        """No error goes on to the cycle before."""
        for part in layers:
            for letter, n in (("H", part.layer.outputs), ("G", part.layer.states)):
                with self.s.loop("i", n):
                    self.s.add(f"store(a, {letter}{part.index} + i * LANES, 0.0)")
        if self.network.error_feedback:
            self.s.add("store(a, P, 0.0)")

    def _layer_backward(self, part: Part) -> None:
        s, layer, i = self.s, part.layer, part.index
        for block, unit in part.units():
            with s.loop("j", block.count):
                self._unit_backward(part, block, unit)

        def back(place: str, column: int, rows: int, accumulate: bool) -> None:
            s.add(f"product(a, {place}, LANES, p, {part.first + column}, {part.sources}, a, D{i} + now, {self.row}, "
                  f"{rows}, {layer.rows}, {accumulate})")  # fmt: skip

        if i:
            back(f"H{i - 1}", part.own, self.layers[i - 1].layer.outputs, accumulate=True)
        if part.own:
            with s.block("if recurrent:"):
                back(f"H{i}", 0, part.own, accumulate=False)
                if not i and self.network.error_feedback:
                    # The last input is minus the output of the cycle before.
                    back("P", layer.sources - 1, 1, accumulate=False)
                    s.add("store(a, P, negate(load(a, P)))")
            with s.block("else:"), s.loop("i", layer.outputs):
                s.add(f"store(a, H{i} + i * LANES, 0.0)")

    def _unit_backward(self, part: Part, block: Block, unit: UnitTrace) -> None:
        s, i, names = self.s, part.index, {"d0": "d0"}
        for slot, variable in enumerate(unit.saved):
            row = self._slot(part, block) + slot * block.count
            names[variable] = f"b_{variable}"
            s.add(f"b_{variable} = load(a, s_{i} + ({row} + j) * {self.row})")
        s.add(f"d0 = load(a, H{i} + ({block.output} + j) * LANES)")
        for n, states in enumerate(block.states(), 1):
            names[f"d{n}"] = f"d{n}"
            s.add(f"d{n} = load(a, G{i} + ({states.start} + j) * LANES)")
        lines, errors = statements(unit.backward, names, "b_")
        s.add(*lines)
        for rows, error in zip(block.rows(), errors, strict=False):
            s.add(f"store(a, D{i} + now + ({rows.start} + j) * {self.row}, {error or '0.0'})")
        for states, error in zip(block.states(), errors[len(block.rows()) :], strict=True):
            s.add(f"store(a, G{i} + ({states.start} + j) * LANES, {error or '0.0'})")
