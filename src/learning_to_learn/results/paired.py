"""Compare settings replica by replica: paired differences with their intervals and p values.

>>> from learning_to_learn import compare
>>> compare("runs/my_sweep", by="lr")  # doctest: +SKIP
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learning_to_learn.errors import UserError
from learning_to_learn.results.statistics import CONFIDENCE, holm, paired_interval, paired_p
from learning_to_learn.results.table import Counted, count_replicas, find_jobs
from learning_to_learn.runs.identity import studied
from learning_to_learn.runs.varying import ABSENT, column, resolve, spelled, together, typed, varying_keys

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 1 - CONFIDENCE
_Pair = tuple[str, int]
"""The other settings, and the seed."""


@dataclass(frozen=True)
class Comparison:
    """All pairs of values of a setting, compared."""

    by: str
    """What is compared, as it is spelled: `lr`, or `folder`."""
    frame: "pd.DataFrame"
    """A row for each two values `a` and `b`, over the `settings` and `seeds` that both have been trained with: the medians of
    the seeds' scores, their `difference` (median_b - median_a), its bootstrap interval `low` to `high`, `p` of the permutation
    test, and `p_holm` after Holm's correction for the number of rows."""
    warning: str
    """Says where there are too few seeds for any difference to be significant."""


def compare(folders: Path | str | Sequence[Path | str], by: str | None = None) -> "pd.DataFrame":
    """Compare the scores of settings that differ in one key, such as by="lr", or of two folders; see `Comparison.frame`.

    Raises UserError where there is no such folder or key, or where no two replicas can be paired.
    """
    several = [folders] if isinstance(folders, str | Path) else list(folders)
    return compare_settings([Path(folder) for folder in several], by).frame


def compare_settings(folders: Sequence[Path], by: str | None = None) -> Comparison:
    """Compare all finished runs under the folders by a key, or without one the folders themselves.

    Replicas are paired that have the same seed and the same settings but for what is compared. Where there are several such
    settings, the score of a seed is its median over them: replicas of one seed start from the same draws, so that only seeds
    are independent. A score that is no number counts as the lowest of all, and not more than 0.
    """
    import pandas as pd

    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    if by is None and len(folders) < 2:
        raise UserError("by=<key> is missing, such as by=lr; or give two folders")
    jobs = {folder: find_jobs(folder) for folder in folders}
    for folder, found in jobs.items():
        if not count_replicas(found):
            raise UserError(f"there is no finished run under {folder}")
    if by is None:
        name, scores = _by_folder({folder: count_replicas(found) for folder, found in jobs.items()})
    else:
        name, scores = _by_key(count_replicas([job for found in jobs.values() for job in found]), by)
    rows = []
    for a, b in itertools.combinations(scores, 2):
        shared = [pair for pair in scores[a] if pair in scores[b]]
        if shared:
            x, y = (_by_seed({pair: scores[value][pair] for pair in shared}) for value in (a, b))
            low, high = paired_interval(y, x)
            medians = float(np.median(x)), float(np.median(y))
            rows.append(
                {"a": a, "b": b, "settings": len({rest for rest, _ in shared}), "seeds": len(x), "median_a": medians[0],
                 "median_b": medians[1], "difference": medians[1] - medians[0], "low": low, "high": high, "p": paired_p(y, x)}
            )  # fmt: skip
    if not rows:
        raise UserError(f"no two replicas differ in {name} alone and have the same seed")
    frame = pd.DataFrame(rows)
    frame["p_holm"] = holm(frame["p"].to_numpy())
    return Comparison(name, frame, _warning(frame))


def least_seeds(comparisons: int) -> int:
    """Return how many seeds the permutation test needs for p < 0.05 after Holm's correction; its least p is 2 / 2^seeds."""
    return math.floor(math.log2(2 * comparisons / LEVEL)) + 1


def _warning(frame: "pd.DataFrame") -> str:
    needed, fewest = least_seeds(len(frame)), int(frame["seeds"].min())
    if fewest >= needed:
        return ""
    seeds = f"{fewest} seed{'' if fewest == 1 else 's'}"
    comparisons = f"{len(frame)} comparison{'' if len(frame) == 1 else 's'}"
    return f"with {seeds} no difference can reach p < {LEVEL:.2g} in {comparisons}: that takes {needed} seeds"


def _by_seed(scores: Mapping[_Pair, float]) -> np.ndarray:
    """The median score of every seed over the settings."""
    found: dict[int, list[float]] = defaultdict(list)
    for (_, seed), score in scores.items():
        found[seed].append(score)
    return np.array([np.median(of_seed) for of_seed in found.values()])


def _by_key(counted: Sequence[Counted], word: str) -> tuple[str, dict[str, dict[_Pair, float]]]:
    """The scores of each value of a key."""
    settings = together([one.job.settings for one in counted])
    known = [key for one in settings for key in one]
    key = resolve(word, known)
    implied = _implied_by(key, settings)
    if len({typed(one.get(key, ABSENT)) for one in settings}) < 2:
        raise UserError(f"{word} does not vary: it is {typed(settings[0].get(key, ABSENT))} in all runs")
    shown = column([one.get(key, ABSENT) for one in settings])
    found = _paired(counted, shown, settings, {key, *implied})
    pairs = zip(shown, (one.get(key) for one in settings), strict=True)
    numbers = {value: float(number) for value, number in pairs if isinstance(number, int | float)}
    values = sorted(found, key=numbers.__getitem__) if len(numbers) == len(found) else list(found)
    return spelled([key], known)[key], {value: found[value] for value in values}


def _implied_by(key: str, settings: Sequence[dict[str, Any]]) -> set[str]:
    """The settings that the name of their group tells, where it is the name that is compared."""
    group, _, rest = key.partition(".")
    if rest != "name":
        return set()
    mine = [{k: v for k, v in one.items() if k.startswith(f"{group}.")} for one in settings]
    return {k for one in mine for k in one} - set(varying_keys(mine))


def _by_folder(counted: dict[Path, list[Counted]]) -> tuple[str, dict[str, dict[_Pair, float]]]:
    """The scores of each folder; what no folder shares with another is what makes them different."""
    every = [(folder, one) for folder, found in counted.items() for one in found]
    settings = together([one.job.settings for _, one in every])
    values: dict[str, dict[Path, set[str]]] = defaultdict(lambda: defaultdict(set))
    for (folder, _), one in zip(every, settings, strict=True):
        for key in {key for any_of in settings for key in any_of}:
            values[key][folder].add(typed(one.get(key, ABSENT)))
    different = {key for key, by_folder in values.items() if len({frozenset(v) for v in by_folder.values()}) > 1}
    return "folder", _paired([one for _, one in every], [str(folder) for folder, _ in every], settings, different)


def _paired(
    counted: Sequence[Counted], values: Sequence[str], settings: Sequence[dict[str, Any]], compared: set[str]
) -> dict[str, dict[_Pair, float]]:
    """The scores by value, and by what else must be equal. Raises UserError where a value has two replicas of one seed."""
    scores = np.array([one.replica.score for one in counted])
    worst = min(0.0, *scores[np.isfinite(scores)])
    found: dict[str, dict[_Pair, float]] = defaultdict(dict)
    for one, value, mine, score in zip(counted, values, settings, scores, strict=True):
        rest = {key: mine[key] for key in studied(mine) if key not in compared}
        pair = (typed(dict(sorted(rest.items()))), one.replica.seed)
        if pair in found[value]:
            keys = ", ".join(sorted(compared))
            raise UserError(f"{value} has several replicas with seed {pair[1]}, which differ in what is compared ({keys})")
        found[value][pair] = float(score) if math.isfinite(score) else worst
    return dict(found)
