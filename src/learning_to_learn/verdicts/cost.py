"""What a verdict costs before it starts: seconds, by the engine's own rates on this machine and what earlier cells took."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from learning_to_learn.errors import UserError
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.jobs.rates import Rates, estimate_seconds, machine_rates, multiplications
from learning_to_learn.runs.monitor import duration
from learning_to_learn.runs.run_folder import read_json, write_json
from learning_to_learn.training.sequences import LOOKED_AT
from learning_to_learn.verdicts.cells import Cell, CellJob, make_cells, packs_of
from learning_to_learn.verdicts.protocol import Plan, Protocol

JOB_SECONDS = 0.45
"""What a job takes besides training and measuring: composing, its files."""
CELL_SECONDS = 2.0
"""What a cell takes besides its jobs: its trial, two sweeps."""
DRAWING = 60
"""Multiplications that take as long as drawing a cycle of a sequence does, and the loss on it."""
LEAST, MOST = 0.2, 20.0
"""The corrections that are believed."""


@dataclass(frozen=True)
class Budgeted:
    """The plan that was chosen, and what it costs."""

    plan: Plan
    cells: list[Cell]
    seconds: dict[str, float]
    """Of the jobs that are not done, by the cell's name."""
    fits: bool
    """Whether the budget pays for it."""
    tried: list[tuple[Plan, float]]
    """Every plan that was looked at, with its seconds."""

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def cost_of_cell(cell: Cell, rates: Callable[[], Rates], kept: frozenset[str] = frozenset()) -> float:
    """Return the seconds of a cell's jobs, those whose fingerprints are `kept` left out; jobs that can be packed are.

    Which setting is the best is not known yet: the fresh seeds count as kept where those of any setting are.
    """
    tuning = cell.tuning()
    packs = packs_of([job for job in tuning if not (kept and job.fingerprint in kept)])
    if not kept or not any(cell.fresh(number).fingerprint in kept for number in range(cell.plan.settings)):
        packs.append([cell.fresh(0)])
    return (CELL_SECONDS + sum(_cost_of_pack(cell, pack, rates) for pack in packs)) if packs else 0.0


def _cost_of_pack(cell: Cell, pack: Sequence[CellJob], rates: Callable[[], Rates]) -> float:
    replicas = sum(job.config.replicas for job in pack)
    config = replace(pack[0].config, replicas=replicas)
    training = estimate_seconds(config, {}, rates)
    if training is None:
        raise UserError(f"{cell.name}: nothing is known of how long the reference engine takes: choose engine=auto")
    trainer, length = config.trainer, config.family.sequence_length
    forward = multiplications(cell.network, forward_mode=False) / 2
    looked = trainer.epochs // trainer.evaluate_every * min(LOOKED_AT, config.evaluation.mappings)
    cycles = length * (looked + config.evaluation.mappings)
    drawn = length * trainer.epochs * trainer.sequences
    work = replicas * (forward * cycles / threads_of_a_job(config) + DRAWING * drawn)
    return training + rates().multiplication * work + JOB_SECONDS * len(pack)


def choose_plan(
    protocol: Protocol, budget: float | None, kept: Callable[[Sequence[Cell]], Mapping[str, frozenset[str]]], correction: float,
    rates: Callable[[], Rates] = machine_rates,
) -> Budgeted:  # fmt: skip
    """Return the largest plan that a budget (seconds) pays for, without one the last; the cheapest where it pays for none.

    `kept` tells the fingerprints of the jobs that are done, by the name of the cell; `correction` is what earlier cells took
    over what was estimated.
    """
    tried: list[tuple[Plan, float]] = []
    best = None
    for plan in protocol.plans if budget is not None else protocol.plans[-1:]:
        cells = make_cells(protocol, plan)
        done = kept(cells)
        seconds = {cell.name: correction * cost_of_cell(cell, rates, done.get(cell.name, frozenset())) for cell in cells}
        found = Budgeted(plan, cells, seconds, budget is None or sum(seconds.values()) <= budget, tried)
        tried.append((plan, found.total))
        if best is None or found.fits:
            best = found
        if not found.fits:
            break
    assert best
    return best


def correction_of(store: Path) -> float:
    """Return how much longer than estimated the cells of this folder took; 1 where none has."""
    said = read_json(store / "timing.json") or {}
    estimated, took = said.get("estimated"), said.get("took")
    if not isinstance(estimated, int | float) or not isinstance(took, int | float) or estimated <= 0 or took <= 0:
        return 1.0
    return min(MOST, max(LEAST, took / estimated))


def learn_correction(store: Path, estimated: float, took: float) -> None:
    """Add what a cell was estimated to take, without correction, and what it took. Later ones count for more."""
    said = read_json(store / "timing.json") or {}
    before = [said.get(key) for key in ("estimated", "took")]
    old = [0.8 * one if isinstance(one, int | float) and one > 0 else 0.0 for one in before]
    write_json(store / "timing.json", {"estimated": old[0] + estimated, "took": old[1] + took})


def told(chosen: Budgeted, budget: float | None) -> list[str]:
    """Return the lines that say what a verdict will do."""
    protocol, total = chosen.cells[0].protocol, chosen.total
    count = len(chosen.cells)
    cells = f"{len(protocol.contenders)} contenders x {len(protocol.problems)} problems"
    lines = [
        f"{cells} = {count} {'cell' if count == 1 else 'cells'}: {chosen.plan}",
        *(f"  {key}: {draw}" for key, draw in protocol.draw.items()),
        f"about {duration(total)} of work left ({sum(1 for s in chosen.seconds.values() if s)} of {count} cells)",
    ]
    if budget is not None:
        dearer = [(plan, seconds) for plan, seconds in chosen.tried if seconds > budget]
        if not chosen.fits:
            lines.append(f"budget {duration(budget)}: even the smallest plan takes longer; ask for fewer archs or families")
        elif dearer:
            lines.append(f"budget {duration(budget)}: the next plan, {dearer[0][0]}, would take about {duration(dearer[0][1])}")
    return lines
