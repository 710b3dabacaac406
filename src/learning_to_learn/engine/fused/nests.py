"""Print traced operations on vectors and matrices as loops over their elements, each of which is a row of lanes.

A value is *kept*, in memory or in a variable, if it is asked for, is a reduction, is expensive and no matrix, or is a vector
that a matrix is made of. Everything else is elementwise or a change of index, and is written out where it is read. A kept value
is a nest of at most two loops, i and j. Nests share one loop over i as long as they read of each other only what belongs to the
same i, and within it a loop over j, stage after stage. The innermost extent of every array is the lanes: one index is as cheap
as the other, and sums over columns need no transposing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from learning_to_learn.engine.fused.elementwise import VECTORS
from learning_to_learn.engine.fused.trace import EXPENSIVE, MASKS, Op, UnsupportedOperation, Value
from learning_to_learn.engine.fused.vector_trace import REDUCTIONS, VIEWS, Shape, closure, rank, sources

Index = tuple[str, ...]
"""The loop variable of each axis; "0" of an axis of one element."""


class Place(NamedTuple):
    """Where the elements of a value lie in memory: element n at `base + n * stride`."""

    base: str
    stride: str | int


Result = tuple[Value | None, Shape, Place | None]
"""A value, its shape, and the place where it is wanted; None: anywhere in the scratch."""


@dataclass
class _Group:
    """Nests under one loop over i. Its length is None as long as they are all single numbers."""

    length: int | None = None
    stage: dict[str, int] = field(default_factory=dict)
    inner: dict[int, int] = field(default_factory=dict)
    """The length of the loop over j of each stage."""


class Nests:
    """`lines` that compute `results` from `known`, with a scratch of `rows` rows of lanes at `scratch`.

    `places` says where the results are. None may lie where something is still read. Variables begin with `prefix`.
    """

    def __init__(
        self,
        ops: Mapping[str, Op],
        shapes: Mapping[str, Shape],
        known: Mapping[str, Place],
        results: Sequence[Result],
        scratch: str,
        prefix: str,
    ) -> None:
        self.ops, self.shapes, self.prefix, self.scratch = dict(ops), dict(shapes), prefix, scratch
        self.lines: list[str] = []
        self.rows = 0
        self._place: dict[str, Place | str] = dict(known)
        self._groups: list[_Group] = []
        self._home: dict[str, int] = {}
        self._variables = 0
        self._wanted: dict[str, Place] = {}
        names = [self._result(n, *result) for n, result in enumerate(results)]
        needed = closure(self.ops, names, known) - set(known)
        # A vector that a matrix is made of is read once for every row or column: what it is made of is computed once.
        drawn = {a for v in needed for a in self._drawn(v)}
        self._kept = {v for v in needed if v in self._wanted or self._is_kept(v) or v in drawn}
        for v in (v for v in self.ops if v in self._kept):
            self._join(v)
        for group in self._groups:
            self._print(group)
        self.places = [self._wanted[n] for n in names]

    def _result(self, n: int, value: Value | None, shape: Shape, place: Place | None) -> str:
        """The name of a result: the value's own, where that is an operation that nobody else wants."""
        value = 0.0 if value is None else value
        name = str(value)
        if name not in self.ops or name in self._wanted or self.ops[name].function in VIEWS or self.shapes[name] != shape:
            name = f"result{n}"
            self.ops[name], self.shapes[name] = Op(name, "copy", (value,)), shape
        if place is None:
            place = self._allocate(shape)
        self._wanted[name] = place
        return name

    def _allocate(self, shape: Shape) -> Place:
        place = Place(f"{self.scratch} + {self.rows} * LANES", "LANES")
        self.rows += _size(shape)
        return place

    def _is_kept(self, v: str) -> bool:
        function = self.ops[v].function
        return function in REDUCTIONS or (function in EXPENSIVE and rank(self.shapes[v]) < 2)

    def _drawn(self, v: str) -> Iterator[str]:
        """The vectors that a matrix, or a product with a matrix, reads: what is worth a place."""
        matrix = rank(self.shapes[v]) == 2 or self.ops[v].function == "mv"
        for a in sources(self.ops[v]) if matrix else ():
            while a in self.ops and self.ops[a].function in VIEWS:
                (a,) = self.ops[a].args  # type: ignore[assignment]
            if a in self.ops and rank(self.shapes[a]) == 1 and self.ops[a].function not in MASKS:
                yield a

    def _factors(self, v: str) -> tuple[list[tuple[str, Index]], int]:
        """What the nest of a kept value reads, where, and how many of the loop variables belong to the value itself."""
        op, shape = self.ops[v], self.shapes[v]
        own = _symbols(shape, "ij")
        if op.function not in REDUCTIONS:
            return [(v, own)], rank(shape)
        first = str(op.args[0])
        rest = "ij"[rank(shape) :]
        if op.function == "mv":
            (summed,) = _symbols(self.shapes[first][1:], rest)
            return [(first, (*own, summed)), (str(op.args[1]), (summed,))], rank(shape)
        if op.function == "dot":
            at = _symbols(self.shapes[first], rest)
            return [(first, at), (str(op.args[1]), at)], rank(shape)
        whole = self.shapes[first]
        if op.function.endswith(("0", "1")):
            axis = int(op.function[-1])
            (summed,) = _symbols(whole[axis : axis + 1], rest)
            return [(first, (summed, *own) if axis == 0 else (*own, summed))], rank(shape)
        return [(first, _symbols(whole, rest))], rank(shape)

    def _extents(self, v: str) -> dict[str, int]:
        """The lengths of the loops of a nest."""
        factors, _ = self._factors(v)
        return {x: n for a, at in factors for x, n in zip(at, self.shapes[a], strict=True) if x != "0"}

    def _operands(self, v: str, index: Index) -> Iterator[tuple[Value, Index]]:
        """The arguments of an operation, each at the index that belongs to `index` of its result."""
        op, shape = self.ops[v], self.shapes[v]
        for a in op.args:
            whole = self.shapes[a] if isinstance(a, str) else ()
            if op.function == "t":
                yield a, index[::-1]
            elif op.function == "view":
                live = iter(x for x, n in zip(index, shape, strict=True) if n != 1)
                yield a, tuple("0" if n == 1 else next(live) for n in whole)
            else:
                yield a, tuple("0" if n == 1 else x for x, n in zip(index[len(index) - len(whole) :], whole, strict=True))

    def _reads(self, v: str) -> list[tuple[str, Index]]:
        """The kept and known values that a nest reads, and where."""
        factors = self._factors(v)[0]
        remaining: list[tuple[Value, Index]] = list(factors)
        if self.ops[v].function not in REDUCTIONS:
            remaining = list(self._operands(*factors[0]))
        found: dict[tuple[str, Index], bool] = {}
        """Whether it is kept or known, of all that has been seen."""
        while remaining:
            a, at = remaining.pop()
            if isinstance(a, str) and (a, at) not in found:
                found[a, at] = a in self._place or a in self._kept
                remaining += [] if found[a, at] else self._operands(a, at)
        return [read for read, there in found.items() if there]

    def _join(self, v: str) -> None:
        """Put v into the first group after, or with, all that it reads."""
        extents = self._extents(v)
        length, reads = extents.get("i"), self._reads(v)
        first = max((self._home[m] for m, _ in reads if m in self._home), default=0)
        for n in range(first, len(self._groups) + 1):
            if n == len(self._groups):
                self._groups.append(_Group())
            group = self._groups[n]
            if length is not None and group.length not in (None, length):
                continue
            stage = self._stage(group, reads, extents)
            if stage is not None:
                group.length = group.length if length is None else length
                group.stage[v], self._home[v] = stage, n
                return

    def _stage(self, group: _Group, reads: list[tuple[str, Index]], extents: Mapping[str, int]) -> int | None:
        """The stage of the group's loops over j that a nest can run in; None if it must wait for the end of the loop over i."""
        stage, inner = 0, extents.get("j")
        for m, at in reads:
            if m in group.stage:
                depth = rank(self.shapes[m])
                if depth == 0 and not self._extents(m):
                    continue  # a single number, which is computed before the loop
                if depth == 0 or not extents or tuple(x for x in at if x != "0") != ("i", "j")[:depth]:
                    return None
                stage = max(stage, group.stage[m] + (depth == 1 and "j" in self._extents(m)))
        while inner is not None and group.inner.setdefault(stage, inner) != inner:
            stage += 1
        return stage

    def _print(self, group: _Group) -> None:
        body: list[list[str]] = [[], [], []]
        """Statements before the loops, in the loop over i, in the loop over j."""
        made: list[dict[str, str]] = [{}, {}, {}]
        local: dict[tuple[str, Index], str] = {}
        after: list[str] = []

        def let(text: str, depth: int) -> str:
            if text not in made[depth]:
                made[depth][text] = f"{self.prefix}{self._variables}"
                self._variables += 1
                body[depth].append(f"{made[depth][text]} = {text}")
            return made[depth][text]

        def value(v: Value, index: Index, top: bool = False) -> str:
            if not isinstance(v, str):
                return repr(v)
            depth = 2 if "j" in index else 1 if "i" in index else 0
            if not top and (v, index) in local:
                return local[v, index]
            if not top and v in self._place:
                place = self._place[v]
                if isinstance(place, str):
                    return place
                return let(f"load(memory, {_address(place, index, self.shapes[v])})", depth)
            args = [value(a, at) for a, at in self._operands(v, index)]
            function = self.ops[v].function
            read = function == "copy" or function in VIEWS
            local[v, index] = args[0] if read else let(self._text(v, args), depth)
            return local[v, index]

        for stage in range(max(group.stage.values()) + 1):
            ends: list[str] = []
            for key in [key for key in local if "j" in key[1]]:
                del local[key]
            made[2], body[2] = {}, []
            for v in (v for v in group.stage if group.stage[v] == stage):
                factors, kept = self._factors(v)
                depth = len(self._extents(v))
                summed = self.ops[v].function in REDUCTIONS
                text, *more = [value(a, at, top=not summed) for a, at in factors]
                if summed:
                    text = self._accumulate(v, text, more, body, kept, depth)
                place = self._wanted.get(v)
                if kept == 0:
                    if place:
                        (after if summed and depth else body[0]).append(f"store(memory, {place.base}, {text})")
                    self._place[v] = text
                    continue
                if place is None:
                    place = self._allocate(self.shapes[v])
                self._place[v] = place
                index = _symbols(self.shapes[v], "ij")
                local[v, index] = text
                line = f"store(memory, {_address(place, index, self.shapes[v])}, {text})"
                (ends if summed and depth == 2 and kept == 1 else body[depth]).append(line)
            if body[2]:
                body[1] += [f"for j in range({group.inner[stage]}):", *("    " + line for line in body[2])]
            body[1] += ends
        self.lines += body[0]
        if body[1]:
            self.lines += [f"for i in range({group.length}):", *("    " + line for line in body[1])]
        self.lines += after

    def _accumulate(self, v: str, text: str, more: list[str], body: list[list[str]], kept: int, depth: int) -> str:
        """Add a term to a reduction's variable, which begins outside of the loops that are summed over."""
        total = f"{self.prefix}{v}"
        if depth == kept:  # over axes of one element
            return f"{text} * {more[0]}" if more else text
        function = self.ops[v].function.rstrip("01")
        start = {"amax": "-1e400", "amin": "1e400"}.get(function, "0.0")
        body[kept].append(f"{total} = fill(memory, {start})")
        if function in ("amax", "amin"):
            body[depth].append(f"{total} = {'maximum' if function == 'amax' else 'minimum'}({text}, {total})")
        else:
            body[depth].append(f"{total} = fma({text}, {more[0]}, {total})" if more else f"{total} = {total} + {text}")
        return total

    def _text(self, v: str, args: list[str]) -> str:
        function = self.ops[v].function
        if function not in VECTORS:
            raise UnsupportedOperation(f"{function} has no form in the operation table")
        choices = args[1:] if function == "where" else args
        if all(map(_is_number, choices)):
            # One of the values must be a vector.
            args = [*args[:-1], VECTORS["constant"].format(args[-1])]
        return VECTORS[function].format(*args)


def _symbols(shape: Shape, letters: str) -> Index:
    """A loop variable for each axis that is more than one element long."""
    left = iter(letters)
    return tuple("0" if n == 1 else next(left) for n in shape)


def _address(place: Place, index: Index, shape: Shape) -> str:
    live = [(x, n) for x, n in zip(index, shape, strict=True) if n != 1]
    at = f"({live[0][0]} * {live[1][1]} + {live[1][0]})" if len(live) == 2 else live[0][0] if live else "0"
    return f"{place.base} + {at} * {place.stride}"


def _size(shape: Shape) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
