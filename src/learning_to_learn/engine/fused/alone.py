"""Print the forward mode of a unit whose parameters change nothing else: its Jacobian stays in registers.

With J the derivatives of the unit's results (outputs and states) by their own sensitivities, a column of them becomes

    d = J d + partial source

where `source` is what its parameter is multiplied with, and `partial` the results' derivatives by that pre-activation.
"""

from collections.abc import Callable

from learning_to_learn.engine.fused.columns import Group, covering, live_partials, partial_place
from learning_to_learn.engine.fused.kernel import KernelBlock, KernelLayer, place
from learning_to_learn.engine.fused.lanes import LANES
from learning_to_learn.engine.fused.source import Source

Partials = dict[tuple[int, int], str]
"""The variables that hold the derivatives of result n by input m: its pre-activations, its states, its own numbers."""


def partial_names(s: Source, part: KernelLayer, block: KernelBlock) -> Partials:
    """Load the partial derivatives of the unit `owner` of `own_head`."""
    live, width = live_partials(block), block.rows + block.states + block.numbers
    s.add("head, unit = own_head, owner")
    s.add(*(f"partial{slot} = load(memory, {partial_place(part, block, slot)})" for slot in range(len(live))))
    return {divmod(index, width): f"partial{slot}" for slot, index in enumerate(live)}


def print_alone(s: Source, group: Group, partials: Partials, error: Callable[[KernelLayer, KernelBlock, int], str]) -> None:
    """Update the columns of that unit, and add error x sensitivity to the sums of their parameters.

    `error` is the text of the derivative of the loss by the unit's output n, within the cycle.
    """
    part, (stretch,) = group.part, group.stretches
    block, i = stretch.block, part.index
    same = _same_results(group, block)
    jacobian = _jacobian(s, group, block, partials, same)
    outputs = range(block.unit.outputs)
    for n in jacobian:
        heard = [error(part, block, o) for o in outputs if same[o] == n]
        if heard:
            s.add(f"change{n} = {' + '.join(heard)}")

    def update(column: str, parameter: str, direct: dict[int, str]) -> None:
        """One column; `direct` is how the results depend on its parameter itself."""
        s.add(f"column0 = first_column + ({column}) * {group.height * LANES}", f"sum0 = sums + ({parameter}) * LANES")
        s.add(*(f"old{row} = load(sensitivities, column0 + {row} * LANES)" for row in range(group.height)))
        s.add("total0 = load(memory, sum0)")
        for n, by_row in jacobian.items():
            text = direct.get(n, "")
            for row, name in by_row.items():
                text = f"fma({name}, old{row}, {text})" if text else f"{name} * old{row}"
            s.add(f"result{n} = {text or 'fill(memory, 0.0)'}")
            if any(same[o] == n for o in outputs):
                s.add(f"total0 = fma(change{n}, result{n}, total0)")
        stored = {row: same[n] for n, row in group.rows.items()}
        s.add(*(f"store(sensitivities, column0 + {row} * LANES, result{n})" for row, n in stored.items()))
        s.add("store(memory, sum0, total0)")

    column = 0
    for pre, row in enumerate(block.block.row):
        direct = {n: f"{partials[n, pre]} * source0" for n in jacobian if (n, pre) in partials}
        for p in covering(part, row):
            first = f"{part.first + p.first} + ({block.row(pre)} - {p.row}) * {p.terms}"
            with s.loop("k", p.terms):
                s.add(f"source0 = load(memory, {place(f'sources{i}', p.source * LANES, p, p.terms * LANES)} + k * LANES)")
                update(f"{column} + k", f"{first} + k", direct)
            column += p.terms
    for number in range(len(block.unit.trained)):
        at = block.rows + block.states + number
        # A trained initial state is no input of the unit at any cycle.
        direct = {n: partials[n, at] for n in jacobian if number < block.numbers and (n, at) in partials}
        update(str(column), block.number(number, part.first + part.layer.weights), direct)
        column += 1


def _same_results(group: Group, block: KernelBlock) -> dict[int, int]:
    """For each result that is needed, the first one that is the same variable: it is computed once."""
    variables, outputs = block.trace.forward.outputs, block.unit.outputs
    results = [n for n in range(outputs + block.states) if n in group.rows or n < outputs]

    def are_same(n: int, m: int) -> bool:
        return n == m or (isinstance(variables[n], str) and variables[n] == variables[m])

    return {n: next(m for m in results if are_same(n, m)) for n in results}


def _jacobian(
    s: Source, group: Group, block: KernelBlock, partials: Partials, same: dict[int, int]
) -> dict[int, dict[int, str]]:
    """Print the derivatives of the results by the rows of the columns; return the variables that hold them."""
    part, outputs, found = group.part, block.unit.outputs, {}
    for n in dict.fromkeys(same.values()):
        terms: dict[int, list[str]] = {}
        for result, row in group.rows.items():
            if result >= outputs and (n, block.rows + result - outputs) in partials:
                terms.setdefault(row, []).append(partials[n, block.rows + result - outputs])
            own = block.block.output + result  # among the outputs of its head, other units' before it
            for pre, first in enumerate(block.block.row) if result < outputs else ():
                for p in covering(part, first):
                    if p.source < part.own and (n, pre) in partials:
                        weight = f"{part.first + p.first} + ({block.row(pre)} - {p.row}) * {p.terms} + {own}"
                        terms.setdefault(row, []).append(f"{partials[n, pre]} * splat(parameters, {weight})")
        found[n] = {row: f"jacobian{n}_{row}" for row in terms}
        s.add(*(f"jacobian{n}_{row} = {' + '.join(texts)}" for row, texts in terms.items()))
    return found
