"""The loops of a block of vector units, and where in the workspace they read and write.

In the loop over time a group's states lie in `kept0`, of layer 0. There is one for every cycle, in which group after group has
its states and then what its backward pass starts from. `kept0_now` is that of this cycle, whose states are those before it. The
errors of the states take turns in two places, `state_errors0_now` and `state_errors0_next`: nothing that is still read may be
overwritten. Between segments the states lie in `states0` as those of scalar units do, and `Kernel.move_states` copies them.
"""

from dataclasses import dataclass
from itertools import accumulate

from learning_to_learn.engine.fused.nests import Nests, Place, Result
from learning_to_learn.engine.fused.vector_trace import Shape, VectorTrace
from learning_to_learn.topology.units import Unit

SCRATCH = "scratch"


@dataclass(frozen=True)
class GroupPlaces:
    """The text of an index for each argument of a group: of its first element among all of its kind in the layer."""

    rows: list[str]
    outputs: list[str]
    states: list[str]
    kept: str
    constants: str


class Groups:
    """What is printed of the groups of a block, in the loops over heads and over the units of one."""

    def __init__(self, unit: Unit, trace: VectorTrace) -> None:
        self.unit, self.trace = unit, trace
        self.saved = dict(zip(trace.saved, self._offsets([trace.shapes[v] for v in trace.saved], self._states), strict=False))
        numbers = [f"number{n}" for n in range(len(unit.numbers))]
        self.constants = [*numbers, *(v for v in trace.constants if v not in numbers)]
        sizes = [trace.shapes[v] for v in self.constants]
        self._constant = dict(zip(self.constants, self._offsets(sizes, 0), strict=False))

    @staticmethod
    def _offsets(shapes: list[Shape], first: int) -> list[int]:
        return list(accumulate((size(shape) for shape in shapes), initial=first))

    @property
    def _states(self) -> int:
        return sum(map(self.unit.size, self.unit.states))

    @property
    def kept_rows(self) -> int:
        """What a group keeps of a cycle."""
        return self._states + sum(size(self.trace.shapes[v]) for v in self.trace.saved)

    @property
    def constant_rows(self) -> int:
        """What a group keeps of its own numbers."""
        return sum(size(self.trace.shapes[v]) for v in self.constants)

    def state_offset(self, n: int) -> int:
        """Where state n lies in what a group keeps."""
        return sum(map(self.unit.size, self.unit.states[:n]))

    def _known_constants(self, layer: int, at: GroupPlaces) -> dict[str, Place]:
        return {
            v: Place(f"constants{layer} + ({at.constants} + {offset}) * LANES", "LANES") for v, offset in self._constant.items()
        }

    def _kept(self, layer: int, when: str, at: GroupPlaces, offset: int) -> Place:
        return Place(f"kept{layer}_{when} + ({at.kept} + {offset}) * LANES", "LANES")

    def constant_nests(self, layer: int, at: GroupPlaces) -> Nests:
        """What is computed of the numbers, which lie where the constants are."""
        places = self._known_constants(layer, at)
        known = {v: p for v, p in places.items() if v.startswith("number")}
        results: list[Result] = [(v, self.trace.shapes[v], places[v]) for v in self.constants if v not in known]
        return Nests(self.trace.ops, self.trace.shapes, known, results, SCRATCH, "constant_")

    def forward(self, layer: int, at: GroupPlaces) -> Nests:
        """The pre-activations and states to the outputs, which are its first places, and the next states."""
        trace, outputs = self.trace, self.unit.outputs
        known = self._known_constants(layer, at)
        known |= {f"pre{n}": Place(f"pre_activations + {row} * LANES", "LANES") for n, row in enumerate(at.rows)}
        known |= {f"state{n}": self._kept(layer, "now", at, self.state_offset(n)) for n in range(len(self.unit.states))}
        results: list[Result] = [(v, (self.unit.width,), None) for v in trace.outputs[:outputs]]
        for n, v in enumerate(trace.outputs[outputs:]):
            shape = self.unit.shape(self.unit.states[n])
            results.append((v, shape, self._kept(layer, "next", at, self.state_offset(n))))
        results += [(v, trace.shapes[v], self._kept(layer, "now", at, offset)) for v, offset in self.saved.items()]
        return Nests(trace.ops, trace.shapes, known, results, SCRATCH, "forward_")

    def backward(self, layer: int, at: GroupPlaces, row: int) -> Nests:
        """The errors of the outputs and states to those of the pre-activations, of the states before, and of the numbers, which
        are its last places.
        """
        trace, unit = self.trace, self.unit
        known = self._known_constants(layer, at)
        known |= {v: self._kept(layer, "now", at, offset) for v, offset in self.saved.items()}
        known |= {f"state{n}": self._kept(layer, "now", at, self.state_offset(n)) for n in range(len(unit.states))}
        for n, v in enumerate(trace.outputs[unit.outputs :]):
            if isinstance(v, str) and v not in known:
                known[v] = self._kept(layer, "next", at, self.state_offset(n))
        errors = [Place(f"output_errors{layer} + {place} * LANES", "LANES") for place in at.outputs]
        errors += [Place(f"state_errors{layer}_now + {place} * LANES", "LANES") for place in at.states]
        known |= {f"error{n}": place for n, place in enumerate(errors)}
        wanted: list[Place | None] = [Place(f"pre_activation_errors{layer} + now + {place} * {row}", row) for place in at.rows]
        wanted += [Place(f"state_errors{layer}_next + {place} * LANES", "LANES") for place in at.states]
        wanted += [None] * len(unit.numbers)
        names = (*unit.pre_activations, *unit.states, *unit.numbers)
        results: list[Result] = [(v, unit.shape(name), p) for v, name, p in zip(trace.errors, names, wanted, strict=True)]
        return Nests(trace.ops, trace.shapes, known, results, SCRATCH, "backward_")


def size(shape: Shape) -> int:
    """The elements of a shape."""
    found = 1
    for n in shape:
        found *= n
    return found
