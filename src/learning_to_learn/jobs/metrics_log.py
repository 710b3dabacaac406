"""What a run says of itself while it trains: metrics.csv, scores.csv of every replica, and the same in wandb."""

from pathlib import Path
from typing import Any

import numpy as np

from learning_to_learn.jobs.wandb_run import WandbRun
from learning_to_learn.lightning import pl
from learning_to_learn.runs.run_folder import (
    EPOCH,
    METRICS,
    SCORE,
    SCORE_LOWER,
    SCORE_UPPER,
    SCORES,
    SECONDS,
    SUCCESS_RATE,
    TRAIN_MSE,
    VALIDATION_MSE,
    VALIDATION_MSE_MAX,
    VALIDATION_MSE_MIN,
    append_row,
    keep_rows,
)
from learning_to_learn.training.evaluation import validation_metrics
from learning_to_learn.training.metrics import finite, median, ranked, summarise


class MetricsLog(pl.Callback):
    """A row for every look at the validation data: medians, ranges and quartiles over the replicas, and all scores."""

    def __init__(self, folder: Path, wandb_run: WandbRun | None = None) -> None:
        self.path, self.scores, self.wandb_run = folder / METRICS, folder / SCORES, wandb_run

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        # A run that was killed may have looked further than its checkpoint.
        for path in (self.path, self.scores):
            keep_rows(path, lambda row: int(row[EPOCH]) <= pl_module.epochs_done)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        found = validation_metrics(pl_module)
        summary, scores = summarise(found, pl_module.validation_floor), np.array([m.score for m in found])
        with np.errstate(invalid="ignore"):  # between two infinities there is no number
            lower, upper = np.quantile(ranked(scores, worst=-np.inf), [0.25, 0.75])
        row = {
            TRAIN_MSE: median(pl_module.train_mse, worst=np.inf),
            VALIDATION_MSE: summary["mse_median"],
            VALIDATION_MSE_MIN: summary["mse_min"],
            VALIDATION_MSE_MAX: summary["mse_max"],
            SCORE: summary["score_median"],
            SCORE_LOWER: finite(lower),
            SCORE_UPPER: finite(upper),
            SUCCESS_RATE: summary["success_rate"],
            SECONDS: pl_module.seconds,
        }
        append_row(self.path, {EPOCH: pl_module.epochs_done, **row})
        seeds = range(pl_module.config.seed, pl_module.config.seed + len(scores))
        replicas = {f"seed_{seed}": score for seed, score in zip(seeds, scores.tolist(), strict=True)}
        append_row(self.scores, {EPOCH: pl_module.epochs_done, **replicas})
        if self.wandb_run:
            self.wandb_run.log(row, scores=scores, epoch=pl_module.epochs_done)
