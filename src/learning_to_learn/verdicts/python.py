"""A verdict from Python: a cell of one's own, placed among those that have been measured.

>>> from learning_to_learn import unit, verdict
>>> table = verdict(my_unit, families=["boolean"], budget="20min")  # doctest: +SKIP
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning_to_learn.composing import options
from learning_to_learn.errors import UserError, choose
from learning_to_learn.runs.varying import typed
from learning_to_learn.topology import UNITS
from learning_to_learn.topology.units import Unit
from learning_to_learn.verdicts.analysis import analyse
from learning_to_learn.verdicts.cells import make_cells
from learning_to_learn.verdicts.cost import Budgeted, choose_plan, correction_of
from learning_to_learn.verdicts.protocol import DEFAULT, Contender, Protocol, load_protocol, seconds_of, with_words
from learning_to_learn.verdicts.report import write_report
from learning_to_learn.verdicts.running import STORE, frame_of, kept_rows, run_cells
from learning_to_learn.verdicts.store import Store

if TYPE_CHECKING:
    import pandas as pd

MEASURED = Path("reports") / DEFAULT
"""The report whose archs a cell of one's own is placed among."""


def verdict(
    contender: Unit | str | Sequence[Mapping[str, Any]],
    families: Sequence[str] = ("boolean",),
    budget: str = "20min",
    *,
    gradient: str = "bptt",
    against: str = "lstm",
    size: str | None = "s",
    settings: Sequence[str] = (),
    report: Path | str | None = None,
) -> "pd.DataFrame":
    """Judge a cell of your own: a unit, the name of an arch, or layers such as [{"my_unit": 9}].

    A unit becomes a layer of as many as have the parameters of a `size` (s, m or l; None: those of the arch that it is tested
    `against`, as its file has it); layers are taken as they are. The gradient is
    formed by `gradient`. The largest plan that the `budget` (an estimate) pays for is trained, or a smaller one by which more
    archs have been measured before: their results are used where settings, versions and protocol are equal. `settings` are
    words as those of `python -m src.verdict`, such as ["settings=4"]. A report is written, by default to
    reports/verdict_<name>.md.

    Returns a row for each contender and family, whose index makes `.to_xarray()` a labelled data set. Raises UserError on what
    does not exist, or where not even the smallest plan fits; RuntimeError where training fails.
    """
    from learning_to_learn.jobs.sweeps import start

    choose("arch", against, dict.fromkeys(options("arch")))
    sized = {} if size is None else {"size": size}
    mine = _contender(contender, gradient, against, sized)
    axes = {"arch": (against,), **{key: (value,) for key, value in sized.items()}, "family": tuple(families)}
    protocol = with_words(replace(load_protocol(), axes=axes, against={"arch": against}, own=(mine,)), settings)
    store = Store(STORE, [MEASURED])
    chosen, rivals = _plan(protocol, store, seconds_of(budget))
    if not chosen.fits:
        raise UserError(f"budget={budget}: even the smallest plan takes about {chosen.total:.0f} s; ask for fewer families")
    print(f"{chosen.plan}: about {chosen.total:.0f} s", flush=True)
    rows, failed = run_cells(chosen, store, lambda words: start(words, tells=False), again="the same call of verdict()")
    if failed:
        raise RuntimeError("; ".join(f"{name}: {why}" for name, why in failed.items()))
    whole = replace(protocol, axes={**axes, "arch": (against, *rivals)})
    whole = replace(whole, question=f"Where {mine.label} stands among the archs that have been measured")
    cells = make_cells(whole, chosen.plan)
    have = {cell.digest for cell in chosen.cells}
    print("Trying an epoch of each arch that was measured before, for equal bits; some compile first.", flush=True)
    for number, cell in enumerate(cells, 1):
        _say(f"{number}/{len(cells)}: {cell.name}")
        rows += [] if cell.digest in have else kept_rows(cell, store)
    _say("")
    found = analyse(whole, cells, frame_of(rows, cells))
    path = Path(report) if report else Path("reports") / f"verdict_{mine.label}.md"
    write_report(found, replace(chosen, cells=cells), path, command=f"verdict({mine.label})")
    return found.cells.set_index(["contender", "problem"])


def _say(line: str) -> None:
    """Show what is being done, over what was shown before; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{line}", end="", file=sys.stderr, flush=True)


def _contender(
    given: Unit | str | Sequence[Mapping[str, Any]], gradient: str, against: str, sized: Mapping[str, str]
) -> Contender:
    """What is judged, as words. Raises UserError where there is no such arch or unit."""
    if isinstance(given, str) and given in options("arch"):
        return Contender(given if given != against else f"{given} again", {"arch": given, **sized})
    if isinstance(given, str):
        given = choose("arch or unit", given, {**dict.fromkeys(options("arch"), UNITS["neuron"]), **UNITS})
    words = {"arch": "bptt", "arch.gradient": gradient}
    if isinstance(given, Unit):
        more = sized or {"arch.parameters": str(_parameters(against))}
        return Contender(given.name, {**words, "arch.name": given.name, "arch.layers": f"[{{{given.name}: 1}}]", **more})
    layers = [dict(layer) for layer in given]
    name = "_".join(str(key) for layer in layers for key in layer if key in UNITS) or "layers"
    return Contender(name, {**words, "arch.name": name, "arch.layers": typed(layers)})


def _parameters(against: str) -> int:
    from learning_to_learn.composing import compose_config
    from learning_to_learn.config_check import make_network

    return make_network(compose_config(f"arch={shlex.quote(against)}")).parameters


def _plan(protocol: Protocol, store: Store, budget: float) -> tuple[Budgeted, tuple[str, ...]]:
    """The plan that is trained, and the archs that have been measured by it."""
    everybody = [name for name in load_protocol().axes["arch"] if name not in protocol.axes["arch"]]
    best: tuple[Budgeted, tuple[str, ...]] | None = None
    for plan in protocol.plans:
        one = replace(protocol, plans=(plan,))
        found = choose_plan(one, budget, store.seem_done, correction_of(store.folder))
        rivals = _measured(replace(one, axes={**protocol.axes, "arch": tuple(everybody)}, own=()), store) if found.fits else ()
        if best is None or (found.fits and len(rivals) >= len(best[1])):
            best = found, rivals
    assert best
    return best


def _measured(protocol: Protocol, store: Store) -> tuple[str, ...]:
    """The archs of which everything seems to be done by the protocol's plan, on all of its problems."""
    if not protocol.axes["arch"]:
        return ()
    cells = make_cells(protocol, protocol.plans[0])
    done, lacking = store.seem_done(cells), set()
    for cell in cells:
        kept = done[cell.name]
        fresh = any(cell.fresh(number).fingerprint in kept for number in range(cell.plan.settings))
        if not fresh or not all(job.fingerprint in kept for job in cell.tuning()):
            lacking.add(cell.contender.label)
    return tuple(contender.words["arch"] for contender in protocol.contenders if contender.label not in lacking)
