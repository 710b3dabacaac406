"""What success means: the definitions of DESIGN, in one place for training, evaluation, reports and tests."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist

import numpy as np

from learning_to_learn.families import Family, Floor

SUCCESS = 0.9
"""The learning score from which a replica succeeds."""
LEARNT = 0.1
"""A mapping counts as learnt when the error stays below this part of the no-learning MSE."""


@dataclass(frozen=True)
class Metrics:
    """What one replica reaches on test data."""

    mse: float
    """The mean loss over all cycles and mappings: the mean squared error or, with the log loss, nats a cycle."""
    score: float
    """(no_learning - mse) / (no_learning - floor): 0 learns nothing, 1 is the Bayes-optimal learner."""
    success: bool
    cycles_to_learn: int | None
    """The first cycle (from 1) from which the loss stays `learnt_below` a tenth of the no-learning loss; None: never."""
    mse_after_learning: float | None
    """Mean error past the paper's own cycles to learn (or a tenth of the sequence, where the paper has none)."""
    excess: float | None = None
    """Mean squared difference to the Bayes predictor on the same sequences (log loss: the divergence from it), which is the
    expected loss above the floor. Not measured on validation data."""
    excess_error: float | None = None
    """The standard error of the excess, over test sequences."""
    steps_to_learn: float | None = None
    """The mean over sequences of the first cycle from which that sequence's own loss stays <= 10 % of no learning. Not measured
    where there is noise."""
    steps_deviation: float | None = None
    """The standard deviation over sequences of that cycle."""


def learnt_below(floor: Floor) -> float:
    """Return the loss from which a mapping counts as learnt: a tenth of no learning, above what noise leaves of it."""
    return floor.limit + LEARNT * (floor.no_learning - floor.limit)


def measure(curve: np.ndarray, floor: Floor, after: int) -> Metrics:
    """Return the metrics of a per-cycle error curve mse[t], t = 1..T, an array [T], which is learnt `after` so many cycles."""
    mse = float(curve.mean())
    gain = floor.no_learning - floor.floor
    score = (floor.no_learning - mse) / gain if gain > 0 else float("nan")
    over = np.flatnonzero(~(curve <= learnt_below(floor)))
    first = int(over[-1]) + 2 if len(over) else 1
    return Metrics(
        mse=mse,
        score=score,
        success=bool(score >= SUCCESS),
        cycles_to_learn=first if first <= len(curve) else None,
        mse_after_learning=float(curve[after:].mean()) if after < len(curve) else None,
    )


def beside_the_best(found: Metrics, excess: np.ndarray, steps: np.ndarray | None) -> Metrics:
    """Return the metrics with what each of the sequences [N] says: its excess and, if known, the cycles until it is learnt."""
    found = replace(found, excess=float(excess.mean()), excess_error=standard_error(excess))
    if steps is None:
        return found
    deviation = float(steps.std(ddof=1)) if len(steps) > 1 else 0.0
    return replace(found, steps_to_learn=float(steps.mean()), steps_deviation=deviation)


def standard_error(samples: np.ndarray) -> float:
    """Return the standard error of the mean of independent samples [N]; infinite where one sample cannot tell."""
    return float(samples.std(ddof=1) / len(samples) ** 0.5) if len(samples) > 1 else float("inf")


def measure_all(curves: np.ndarray, floor: Floor, after: int) -> list[Metrics]:
    """Return the metrics of every replica's curve, [R, T]."""
    return [measure(curve, floor, after) for curve in curves]


def cycles_until_learnt(family: type[Family], length: int) -> int:
    """Return how many cycles the MSE after learning skips: the paper's, or a tenth where the paper has no such row."""
    return family.paper_cycles.get(length, max(1, length // 10))


def success_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval for a success rate (Wilson 1927)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, n = successes / trials, trials
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


MEMORIES = ("floor_of_training_mappings", "mse_of_memorizing", "mse_on_training_mappings", "distance_to_memorizing")
"""Keys of a result on a finite set of training mappings: see `evaluation.memorizing`."""
OF_SEQUENCES = {"excess_median": "excess", "excess_error": "excess_error", "steps_to_learn": "steps_to_learn",
                "steps_deviation": "steps_deviation"}  # fmt: skip
"""Keys of a summary, and the metrics whose medians they are; null where a replica's was not measured."""


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known, worst=np.inf) if known else None


def ranked(values: Sequence | np.ndarray, *, worst: float) -> np.ndarray:
    """Return the values with `worst`, an infinity, in the place of NaN, so that they have an order.

    >>> ranked([0.5, float("nan")], worst=-math.inf).tolist()
    [0.5, -inf]
    """
    values = np.asarray(values, float)
    return np.where(np.isnan(values), worst, values)


def median(values: Sequence[float] | np.ndarray, *, worst: float) -> float:
    """Return the median, where NaN ranks worst; NaN where the median is no finite number."""
    return finite(np.median(ranked(values, worst=worst)))


def finite(value: float) -> float:
    """Return the number, or NaN where it is infinite."""
    return float(value) if math.isfinite(value) else math.nan


def is_worse_than_no_learning(mse: float, floor: Floor) -> bool:
    """Whether a replica's error is above that of a learner that learns nothing, so that its score is negative."""
    return not mse <= floor.no_learning


def summarise(found: list[Metrics], floor: Floor) -> dict:
    """Return medians and ranges over replicas. A replica that never learns counts as slower than any that does.

    NaN ranks worst. Where the middle replica has none, the median is NaN, which the files of a run say as null.
    """
    mse = ranked([m.mse for m in found], worst=np.inf)
    cycles = median([np.nan if m.cycles_to_learn is None else m.cycles_to_learn for m in found], worst=np.inf)
    after = [m.mse_after_learning for m in found if m.mse_after_learning is not None]
    successes = sum(m.success for m in found)
    return {
        "replicas": len(found),
        "successes": successes,
        "success_rate": successes / len(found),
        "success_interval": success_interval(successes, len(found)),
        "worse_than_no_learning": sum(is_worse_than_no_learning(m.mse, floor) for m in found),
        "score_median": median([m.score for m in found], worst=-np.inf),
        "mse_median": median(mse, worst=np.inf),
        "mse_min": finite(mse.min()),
        "mse_max": finite(mse.max()),
        "mse_after_learning": median(after, worst=np.inf) if after else None,
        "cycles_to_learn": None if np.isnan(cycles) else cycles,
        **{key: _median(getattr(m, name) for m in found) for key, name in OF_SEQUENCES.items()},
        **asdict(floor),
    }
