"""Any set of run folders as one tidy table, a row for every replica; and learning curves, pooled over jobs."""

from typing import TYPE_CHECKING

import numpy as np

from learning_to_learn.results.table import count_replicas, plain
from learning_to_learn.runs.run_folder import EPOCH, SCORE, legible
from learning_to_learn.runs.sweep_folder import Job
from learning_to_learn.runs.varying import SEEDS

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("mse", "score", "cycles_to_learn", "mse_after_learning", "diverged_at_epoch", "excess", "excess_error",
           "steps_to_learn", "steps_deviation")  # fmt: skip
OF_THE_JOB = ("no_learning", "floor", "epochs", "parameters", "trained_parameters", "state_size",
              "multiplications", "engine")  # fmt: skip


def replicas(jobs: list[Job]) -> "pd.DataFrame":
    """Return a row for every replica of the finished jobs: its run folder, its settings and seed, what it reached on test data.

    What several jobs have trained, with the same settings and seed, is there once. `seconds` are its share of a job's.
    """
    import pandas as pd

    rows = []
    for counted in count_replicas(jobs):
        job, row = counted.job, counted.replica
        values = {key: getattr(row, key) for key in NUMBERS}
        numbers = {key: np.nan if value is None else float(value) for key, value in values.items()}
        shared = {key: counted.result.get(key) for key in OF_THE_JOB}
        settings = {key: plain(value) for key, value in job.settings.items() if key not in SEEDS}
        first = {"run": legible(job.folder), "seed": row.seed, "success": row.success}
        rows.append({**first, **numbers, "seconds": counted.seconds, **shared, **settings})
    return pd.DataFrame(rows)


def learning_curve(jobs: list[Job]) -> tuple[np.ndarray, np.ndarray]:
    """Return epochs, and at each the median score on the validation data, averaged over the jobs (of one setting)."""
    found: dict[int, list[float]] = {}
    for job in jobs:
        for row in job.run.metrics():
            found.setdefault(int(row[EPOCH]), []).append(row[SCORE])
    whole = {epoch: scores for epoch, scores in found.items() if len(scores) == len(jobs)}
    return np.array(list(whole)), np.array([np.mean(scores) for scores in whole.values()])
