"""What the replicas of a verdict say: intervals of each cell, tests of each contender, tuning curves.

A score below 0, or one that is no number, counts as 0: how badly a replica fails is no question of a verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from learning_to_learn.results.paired import LEVEL, least_seeds
from learning_to_learn.results.statistics import (
    holm,
    interquartile_interval,
    interquartile_mean,
    on_the_frontier,
    probability_better,
    seed_p,
)
from learning_to_learn.results.survival import logrank_p
from learning_to_learn.results.tuning_curves import TuningCurve, redrawn_choices, tuning_curve
from learning_to_learn.runs.varying import typed
from learning_to_learn.topology.size import size_of
from learning_to_learn.training.metrics import SUCCESS, success_interval
from learning_to_learn.verdicts.cells import FRESH, TUNING, Cell
from learning_to_learn.verdicts.page_data import COSTS
from learning_to_learn.verdicts.protocol import Contender, Protocol
from learning_to_learn.verdicts.store import chosen_setting


@dataclass(frozen=True)
class Findings:
    """What a verdict finds."""

    protocol: Protocol
    cells: pd.DataFrame
    """A row for every contender and problem: what its fresh seeds reach, what it costs, and how hard it is to tune."""
    contenders: pd.DataFrame
    """A row for every contender, over all problems that it has been measured on."""
    contrasts: pd.DataFrame
    """A row for every contender that is tested: the difference of its mean score to that of the one it is tested against."""
    curves: dict[tuple[str, str], TuningCurve]
    """The tuning curve of every contender and problem."""
    rows: pd.DataFrame
    """The replicas that all this is of: those of tuning, and of the fresh ones those at the setting that was chosen."""
    warning: str
    """Says where there are too few seeds for any contrast to be significant."""


def analyse(protocol: Protocol, cells: Sequence[Cell], frame: pd.DataFrame) -> Findings:
    """Return what the replicas in `frame` say, a row each as `running.frame_of` makes them."""
    frame = frame.assign(score=frame["score"].fillna(0.0).clip(lower=0.0))
    by_cell = {str(digest): rows for digest, rows in frame.groupby("cell", sort=False)}
    chosen = {digest: chosen_setting(rows.to_dict("records")) for digest, rows in by_cell.items()}
    kept = frame[[row.phase == TUNING or row.setting == chosen[str(row.cell)] for row in frame.itertuples()]]
    found = [cell for cell in cells if cell.digest in by_cell]
    parts = {cell.digest: kept[kept["cell"] == cell.digest] for cell in found}
    curves, table = {}, []
    for cell in found:
        curve = tuning_curve(_means(parts[cell.digest], "validation"))
        curves[cell.contender.label, cell.problem.label] = curve
        table.append(_row(cell, parts[cell.digest], chosen[cell.digest], curve))
    contrasts = _contrasts(protocol, kept)
    return Findings(
        protocol, pd.DataFrame(table), _contenders(found, kept), contrasts, curves, kept.reset_index(drop=True),
        _warning(contrasts),
    )  # fmt: skip


def _row(cell: Cell, rows: pd.DataFrame, chosen: int, curve: TuningCurve) -> dict[str, object]:
    fresh = rows[rows["phase"] == FRESH]
    scores = fresh["score"].to_numpy()
    successes = int((scores >= SUCCESS).sum())
    low, high = success_interval(successes, len(scores))
    score_low, score_high = interquartile_interval(scores[:, None])
    redrawn = _redrawn(rows)
    return {
        "contender": cell.contender.label, "problem": cell.problem.label, "seeds": len(scores), "successes": successes,
        "success_rate": successes / len(scores), "success_low": low, "success_high": high,
        "score": interquartile_mean(scores[:, None]), "score_low": score_low, "score_high": score_high,
        "mean_score": float(scores.mean()), "excess": interquartile_mean(fresh["excess"].to_numpy()[:, None]),
        "setting": ", ".join(f"{key.rsplit('.', 1)[-1]}={typed(value)}" for key, value in cell.setting(chosen).items()),
        "settings": len(curve.expected), "tuning_low": curve.low[-1], "tuning_expected": curve.expected[-1],
        "tuning_high": curve.high[-1], "tuning_after_2": curve.expected[min(1, len(curve.expected) - 1)],
        "redrawn_low": float(np.quantile(redrawn, 0.025)), "redrawn_high": float(np.quantile(redrawn, 0.975)),
        "seconds": float(fresh["seconds"].mean()), **costs_of(cell),
    }  # fmt: skip


def costs_of(cell: Cell) -> dict[str, float]:
    """Return what a contender costs: its parameters, the numbers carried from cycle to cycle, multiplications of a cycle.

    NaN where that is not known.
    """
    size = size_of(cell.network)
    return {cost: float("nan") if size[cost] is None else float(size[cost] or 0) for cost in COSTS}


def _means(rows: pd.DataFrame, column: str) -> np.ndarray:
    """The mean over tuning seeds of every random setting, [K]."""
    tuning = rows[rows["phase"] == TUNING]
    return tuning.assign(value=tuning[column].fillna(0.0).clip(lower=0.0)).groupby("setting")["value"].mean().to_numpy()


def _redrawn(rows: pd.DataFrame) -> np.ndarray:
    """What the tuning replicas at the chosen setting score on test data, in many draws of the settings anew."""
    return _means(rows, "score")[redrawn_choices(_means(rows, "validation"))]


def _contenders(cells: Sequence[Cell], rows: pd.DataFrame) -> pd.DataFrame:
    table = []
    for label in dict.fromkeys(cell.contender.label for cell in cells):
        mine = [cell for cell in cells if cell.contender.label == label]
        fresh = rows[(rows["contender"] == label) & (rows["phase"] == FRESH)]
        scores = _matrix(fresh, [cell.problem.label for cell in mine])
        low, high = interquartile_interval(scores)
        successes = int((fresh["score"] >= SUCCESS).sum())
        costs = pd.DataFrame([costs_of(cell) for cell in mine]).mean().to_dict()
        table.append({"contender": label, "problems": len(mine), "seeds": len(scores), "successes": successes,
                      "replicas": len(fresh), "score": interquartile_mean(scores), "score_low": low, "score_high": high,
                      "mean_score": float(scores.mean()), "seconds": float(fresh["seconds"].mean()), **costs})  # fmt: skip
    found = pd.DataFrame(table)
    full = found["problems"] == found["problems"].max()  # what was measured on fewer is no rival
    for cost in (*COSTS, "seconds"):
        known = full & found[cost].notna()
        found[f"frontier_{cost}"] = False
        found.loc[known, f"frontier_{cost}"] = on_the_frontier(
            found.loc[known, cost].to_numpy(), found.loc[known, "mean_score"].to_numpy()
        )
    return found.sort_values("mean_score", ascending=False, kind="stable").reset_index(drop=True)


def _matrix(fresh: pd.DataFrame, problems: Sequence[str], column: str = "score") -> np.ndarray:
    """[seeds, problems], of the seeds that all problems have."""
    table = fresh.pivot_table(index="seed", columns="problem", values=column, dropna=False)[list(problems)]
    return table.to_numpy() if column != "score" else table.dropna().to_numpy()


def _contrasts(protocol: Protocol, rows: pd.DataFrame) -> pd.DataFrame:
    table = []
    for contender in protocol.contenders:
        other = protocol.partner(contender)
        if other is not None and (one := _contrast(contender, other, rows)):
            table.append(one)
    found = pd.DataFrame(table)
    if len(found):
        found["p_holm"] = holm(found["p"].to_numpy())
        found["sooner_p_holm"] = holm(found["sooner_p"].fillna(1.0).to_numpy())
    return found


def _contrast(contender: Contender, other: Contender, rows: pd.DataFrame) -> dict[str, object] | None:
    """What sets two contenders apart, over the problems that both have been measured on."""
    mine, theirs = rows[rows["contender"] == contender.label], rows[rows["contender"] == other.label]
    shared = [problem for problem in dict.fromkeys(mine["problem"]) if problem in set(theirs["problem"])]
    if not shared:
        return None
    fresh = [part[(part["phase"] == FRESH) & part["problem"].isin(shared)] for part in (mine, theirs)]
    seeds = set.intersection(*(set(part.groupby("problem")["seed"].get_group(p)) for part in fresh for p in shared))
    a, b = (_matrix(part[part["seed"].isin(seeds)], shared) for part in fresh)
    better, low, high = probability_better(a, b)
    times = [[part[part["problem"] == p]["epochs_to_success"].to_numpy() for p in shared] for part in fresh]
    last = [1.0 + float(np.nan_to_num(np.concatenate(pair)).max()) for pair in zip(*times, strict=True)]
    redrawn = [np.mean([_redrawn(part[part["problem"] == p]) for p in shared], axis=0) for part in (mine, theirs)]
    return {
        "contender": contender.label, "against": other.label, "problems": len(shared), "seeds": len(a),
        "difference": float((a - b).mean()), "p": seed_p((a - b).mean(1)), "better": better, "better_low": low,
        "better_high": high, "sooner_p": logrank_p(times[0], times[1], last),
        "better_redrawn": float(np.mean(redrawn[0] > redrawn[1])),
    }  # fmt: skip


def _warning(contrasts: pd.DataFrame) -> str:
    if not len(contrasts):
        return ""
    needed, fewest = least_seeds(len(contrasts)), int(contrasts["seeds"].min())
    if fewest >= needed:
        return ""
    return (
        f"with {fewest} fresh seeds no contrast can reach p < {LEVEL:.2g} after Holm's correction for {len(contrasts)}: "
        f"that takes {needed} seeds"
    )
