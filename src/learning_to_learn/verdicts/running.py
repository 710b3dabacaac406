"""Run a verdict, or what is left of it: tuning, then fresh seeds at the best setting, cell after cell."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning_to_learn.composing import RUNS, quoted
from learning_to_learn.config import IN_THIS_PROCESS
from learning_to_learn.errors import RunError, UserError, cause_in_a_line
from learning_to_learn.jobs.rates import machine_rates
from learning_to_learn.jobs.signals import interruption
from learning_to_learn.runs.monitor import duration
from learning_to_learn.runs.run_folder import read_json
from learning_to_learn.runs.varying import typed
from learning_to_learn.verdicts.analysis import analyse
from learning_to_learn.verdicts.cells import FRESH, TUNING, Cell, CellJob
from learning_to_learn.verdicts.cost import Budgeted, choose_plan, correction_of, cost_of_cell, learn_correction, told
from learning_to_learn.verdicts.page_data import PAGE
from learning_to_learn.verdicts.protocol import Protocol
from learning_to_learn.verdicts.store import Store, chosen_setting

if TYPE_CHECKING:
    import pandas as pd

STORE = RUNS / "verdict"
Start = Callable[[list[str]], object]
"""Runs the sweep that command-line arguments say."""
Row = dict[str, Any]


@dataclass
class Progress:
    """What is done of a whole verdict, and when the rest will be."""

    left: dict[str, float]
    """The estimated seconds of the cells that are not done."""
    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    done: float = 0.0
    count: int = 0

    def cell_is_done(self, name: str, what: str) -> None:
        """Say that a cell is done, and how long the rest takes at the pace of those before."""
        self.done += self.left.pop(name, 0.0)
        self.count += 1
        took, rest = time.monotonic() - self.began, sum(self.left.values())
        pace = took / self.done if self.done > 0 else 1.0
        left = f", about {duration(rest * pace)} left" if rest else ""
        total = self.count + len(self.left)
        self.say(f"verdict: {self.count}/{total} cells in {duration(took)}{left}: {name}: {what}")


def judge_all(
    protocol: Protocol, report: Path, budget: float | None, how: Sequence[str] = (), *, again: str, dry_run: bool = False
) -> bool:
    """Run a verdict, or what is left of it, and write its report; with `dry_run` only say what that would be.

    Returns whether all cells are in the report: one whose jobs fail is left out. `again` is the command that resumes it.
    Raises UserError where not even the smallest plan fits the budget.
    """
    from learning_to_learn.jobs.sweeps import start
    from learning_to_learn.verdicts.report import write_report
    from learning_to_learn.verdicts.wandb_views import log_verdict

    store = Store(STORE, [report.with_suffix("")])
    chosen = choose_plan(protocol, budget, store.seem_done, correction_of(store.folder))
    print("\n".join(told(chosen, budget)), file=sys.stdout if dry_run else sys.stderr, flush=True)
    if dry_run:
        return True
    if not chosen.fits:
        raise UserError(f"not even the smallest plan fits the budget: it takes about {duration(chosen.total)}")
    began = time.monotonic()
    rows, failed = run_cells(chosen, store, lambda words: start(words, tells=False), how, again=again)
    chosen = replace(chosen, cells=[cell for cell in chosen.cells if cell.name not in failed])
    if not chosen.cells:
        raise RunError("no cell could be trained")
    findings = analyse(protocol, chosen.cells, frame_of(rows, chosen.cells))
    took = time.monotonic() - began
    write_report(findings, chosen, report, command=again, estimated=chosen.total, took=took, failed=failed)
    shown = store.folder / report.stem
    shown.mkdir(parents=True, exist_ok=True)
    (shown / PAGE).write_bytes((report.with_suffix("") / PAGE).read_bytes())
    mode = dict(word.split("=", 1) for word in how).get("logger.mode", "disabled")
    page = read_json(shown / PAGE)
    if mode != "disabled" and page:
        log_verdict(page, report.with_suffix(""), shown, mode=mode)
    return not failed


def run_cells(
    chosen: Budgeted, store: Store, start: Start, how: Sequence[str] = (), *, again: str
) -> tuple[list[Row], dict[str, str]]:
    """Train what is left of the cells; return a row for every replica, and of the cells that have failed why, by their names.

    `how` are words that say how the jobs run, such as launcher=joblib. In this process each cell is a sweep of its own; another
    launcher gets the jobs of all cells in one, which it runs side by side. `again` is the command that resumes all this.
    """
    given = dict(word.split("=", 1) for word in how)
    how = [f"{key}={value}" for key, value in {"launcher": "packed", "logger.mode": "disabled", **given}.items()]
    together = given.get("launcher", "packed") not in IN_THIS_PROCESS

    def interrupted() -> None:
        interruption.tell(f"interrupted; resume it with: {again}")

    progress = Progress(dict(chosen.seconds), lambda line: print(line, file=sys.stderr, flush=True))
    groups = _groups(chosen.cells) if together else [[cell] for cell in chosen.cells]
    rows: list[Row] = []
    failed: dict[str, str] = {}
    with interruption.ending(interrupted):
        for cells in groups:
            failed |= {cell.name: wrong for cell in cells if (wrong := _wrong_with(cell))}
            sound = [cell for cell in cells if cell.name not in failed]
            rows += _run_group(sound, store, start, how, progress, failed)
    return rows, failed


def _wrong_with(cell: Cell) -> str:
    """What a cell's trial fails with, in a line; nothing where all is well."""
    try:
        assert cell.digest
    except Exception as error:  # whatever it is, the other cells go on
        if interruption.asked:
            raise
        print(f"error: {cell.name}: {cause_in_a_line(error)}", file=sys.stderr, flush=True)
        return cause_in_a_line(error)
    return ""


def _run_group(
    cells: Sequence[Cell], store: Store, start: Start, how: Sequence[str], progress: Progress, failed: dict[str, str]
) -> list[Row]:
    """Tune some cells, then train their fresh seeds; those of which a job fails are `failed`."""
    began = time.monotonic()
    estimated = sum(cost_of_cell(cell, machine_rates, frozenset(store.done(cell))) for cell in cells)
    tuning = {cell.name: cell.tuning() for cell in cells}
    trained = _train(cells, tuning, TUNING, store, start, how)
    cells = [cell for cell in cells if _is_done(cell, tuning[cell.name], store, failed)]
    found = {cell.name: store.rows(cell, tuning[cell.name]) for cell in cells}
    fresh = {cell.name: [cell.fresh(chosen_setting(found[cell.name]))] for cell in cells}
    trained = _train(cells, fresh, FRESH, store, start, how) or trained
    if trained and estimated:
        learn_correction(store.folder, estimated, time.monotonic() - began)
    rows = []
    for cell in cells:
        if not _is_done(cell, fresh[cell.name], store, failed):
            continue
        mine = [*found[cell.name], *store.rows(cell, fresh[cell.name])]
        progress.cell_is_done(cell.name, _summary(mine))
        rows += mine
    return rows


def kept_rows(cell: Cell, store: Store) -> list[Row]:
    """Return the rows of a cell of which everything is done, none of another one; nothing is trained."""
    done, tuning = store.done(cell), cell.tuning()
    if not all(job.fingerprint in done for job in tuning):
        return []
    found = store.rows(cell, tuning)
    fresh = cell.fresh(chosen_setting(found))
    return [*found, *store.rows(cell, [fresh])] if fresh.fingerprint in done else []


def _train(
    cells: Sequence[Cell], jobs: Mapping[str, Sequence[CellJob]], phase: str, store: Store, start: Start, how: Sequence[str]
) -> bool:
    """Run the jobs that no sweep has finished, as one sweep; return whether there were any."""
    left = []
    for cell in cells:
        done = store.done(cell)
        left += [(cell, job) for job in jobs[cell.name] if job.fingerprint not in done]
    if left:
        folder = store.place(cells) / phase
        folder.mkdir(exist_ok=True)
        start(sweep_words(left, folder, how))
        store.has_changed()
    return bool(left)


def sweep_words(jobs: Sequence[tuple[Cell, CellJob]], folder: Path, how: Sequence[str]) -> list[str]:
    """Return the words of the sweep of some jobs, whose values are paired.

    >>> sweep_words(jobs, Path("runs/x"), ["launcher=packed"])  # doctest: +SKIP
    ['-m', 'launcher=packed', 'arch=lstm', 'optimizer.lr=0.1,0.03', 'seed=1000', 'zip=[optimizer.lr,...]', ...]
    """
    lines = [{**_typed(cell.shared), **cell.words, **_typed(job.values)} for cell, job in jobs]
    keys = list(dict.fromkeys(key for line in lines for key in line))
    # A contender without gates has no bias.
    values = {key: [line.get(key, "null") for line in lines] for key in keys}
    several = [key for key in keys if len(set(values[key])) > 1]
    words = [f"{key}={','.join(values[key] if key in several else values[key][:1])}" for key in keys]
    paired = [f"zip=[{','.join(several)}]"] if len(several) > 1 else []
    return ["-m", *how, *words, *paired, f"hydra.sweep.dir={quoted(folder)}"]


def _typed(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: typed(value) for key, value in values.items()}


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells whose contenders are said by the same keys, which one sweep can have."""
    found: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        found.setdefault(tuple(cell.words), []).append(cell)
    return list(found.values())


def _is_done(cell: Cell, jobs: Sequence[CellJob], store: Store, failed: dict[str, str]) -> bool:
    """Whether all of the jobs are finished; if not, the cell is `failed`."""
    done = store.done(cell)
    missing = sum(job.fingerprint not in done for job in jobs)
    if missing:
        where = store.place([cell])
        failed[cell.name] = f"{missing} of {len(jobs)} jobs are not finished; python -m src.sweep status {where} says why"
        print(f"error: {cell.name}: {failed[cell.name]}", file=sys.stderr, flush=True)
    return not missing


def _summary(rows: Sequence[Row]) -> str:
    from learning_to_learn.training.metrics import SUCCESS

    fresh = [float(row["score"]) for row in rows if row["phase"] == FRESH]
    return f"{sum(score >= SUCCESS for score in fresh)} of {len(fresh)} succeed"


def frame_of(rows: Sequence[Row], cells: Sequence[Cell]) -> "pd.DataFrame":
    """Return the rows as a table, with the names of the contender and the problem."""
    import pandas as pd

    names = {cell.digest: (cell.contender.label, cell.problem.label) for cell in cells}
    frame = pd.DataFrame([row for row in rows if row["cell"] in names])
    if len(frame):
        frame.insert(1, "contender", [names[one][0] for one in frame["cell"]])
        frame.insert(2, "problem", [names[one][1] for one in frame["cell"]])
    return frame
