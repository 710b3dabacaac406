"""Any set of run folders as one tidy table, a row for every replica; and learning curves, pooled over jobs."""

import numpy as np
import pandas as pd

from learning_to_learn.results.table import Job, plain, seeds_apart, unique_jobs
from learning_to_learn.runs.run_folder import read_json, read_rows

NUMBERS = ("mse", "score", "cycles_to_learn", "mse_after_learning", "diverged_at_epoch")
OF_THE_JOB = ("no_learning", "floor", "epochs", "parameters", "engine")


def replicas(jobs: list[Job]) -> pd.DataFrame:
    """A row for every replica of the finished jobs: its run folder, every setting, its seed, what it reached on test data.

    A replica that two jobs have trained, with the same settings and seed, is there once. `seconds` are its share of its job's.
    """
    rows = []
    for job in unique_jobs(jobs):
        result = read_json(job.folder / "result.json") or {}
        settings = {key: plain(value) for key, value in job.settings.items() if key not in ("seed", "replicas", "engine")}
        shared = {key: result.get(key) for key in OF_THE_JOB}
        found = read_rows(job.folder / "replicas.csv")
        for row in found:
            numbers = {key: float(row[key]) if row.get(key) else np.nan for key in NUMBERS}
            success, share = row["success"] == "True", float(result.get("seconds", np.nan)) / len(found)
            rows.append(
                {
                    "run": str(job.folder),
                    "seed": int(row["seed"]),
                    "success": success,
                    **numbers,
                    "seconds": share,
                    **shared,
                    **settings,
                }
            )
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    same = [c for c in frame if c in seeds_apart(list(frame)) or c == "seed"]
    return frame.drop_duplicates(subset=same).reset_index(drop=True)


def learning_curve(jobs: list[Job]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs, and at each the median score on the validation data, averaged over the jobs (of one setting)."""
    found: dict[int, list[float]] = {}
    for job in jobs:
        for row in read_rows(job.folder / "metrics.csv"):
            found.setdefault(int(row["epoch"]), []).append(float(row["score/median"]))
    whole = {epoch: scores for epoch, scores in found.items() if len(scores) == len(jobs)}
    return np.array(list(whole)), np.array([np.mean(scores) for scores in whole.values()])
