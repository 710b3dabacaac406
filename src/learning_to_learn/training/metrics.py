"""What success means: the definitions of DESIGN, in one place for training, evaluation, reports and tests."""

from dataclasses import asdict, dataclass
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
    """Mean squared error over all cycles and mappings."""
    score: float
    """(no_learning - mse) / (no_learning - floor): 0 learns nothing, 1 is the Bayes-optimal learner."""
    success: bool
    cycles_to_learn: int | None
    """The first cycle (from 1) from which the error stays <= 10 % of the no-learning MSE; None: never."""
    mse_after_learning: float | None
    """Mean error past the paper's own cycles to learn (or a tenth of the sequence, where the paper has none)."""


def measure(curve: np.ndarray, floor: Floor, after: int) -> Metrics:
    """Return the metrics of a per-cycle error curve mse[t], t = 1..T, an array [T], which is learnt `after` so many cycles."""
    mse = float(curve.mean())
    gain = floor.no_learning - floor.floor
    score = (floor.no_learning - mse) / gain if gain > 0 else float("nan")
    over = np.flatnonzero(~(curve <= LEARNT * floor.no_learning))
    first = int(over[-1]) + 2 if len(over) else 1
    return Metrics(
        mse=mse,
        score=score,
        success=bool(score >= SUCCESS),
        cycles_to_learn=first if first <= len(curve) else None,
        mse_after_learning=float(curve[after:].mean()) if after < len(curve) else None,
    )


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


def summarise(found: list[Metrics], floor: Floor) -> dict:
    """Return medians and ranges over replicas. A replica that never learns counts as slower than any that does."""
    mse = np.array([m.mse for m in found])
    cycles = np.array([np.inf if m.cycles_to_learn is None else m.cycles_to_learn for m in found], float)
    middle = float(np.median(cycles))
    after = [m.mse_after_learning for m in found if m.mse_after_learning is not None]
    successes = sum(m.success for m in found)
    return {
        "replicas": len(found),
        "successes": successes,
        "success_rate": successes / len(found),
        "success_interval": success_interval(successes, len(found)),
        "score_median": float(np.median([m.score for m in found])),
        "mse_median": float(np.median(mse)),
        "mse_min": float(mse.min()),
        "mse_max": float(mse.max()),
        "mse_after_learning": float(np.median(after)) if after else None,
        "cycles_to_learn": None if np.isinf(middle) else middle,
        **asdict(floor),
    }
