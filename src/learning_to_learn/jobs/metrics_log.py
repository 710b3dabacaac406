"""What a run says of itself while it trains: metrics.csv, and the same in wandb."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from learning_to_learn.jobs.wandb_run import Tracker
from learning_to_learn.runs.run_folder import append_row, keep_rows
from learning_to_learn.training.evaluation import validation_metrics
from learning_to_learn.training.metrics import summarise

METRICS = "metrics.csv"


class Logbook(pl.Callback):
    """A row for every look at the validation data, one a job: medians, ranges and quartiles over the replicas."""

    def __init__(self, folder: Path, tracker: Tracker) -> None:
        self.path, self.tracker = folder / METRICS, tracker

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        # A run that was killed may have looked further than its checkpoint.
        keep_rows(self.path, lambda row: int(row["epoch"]) <= pl_module.epochs_done)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        found = validation_metrics(pl_module)
        summary, scores = summarise(found, pl_module.validation_floor), np.array([m.score for m in found])
        row = {
            "train/mse": float(np.median(pl_module.train_mse)),
            "validation/mse": summary["mse_median"],
            "validation/mse_min": summary["mse_min"],
            "validation/mse_max": summary["mse_max"],
            "score/median": summary["score_median"],
            "score/lower_quartile": float(np.quantile(scores, 0.25)),
            "score/upper_quartile": float(np.quantile(scores, 0.75)),
            "score/success_rate": summary["success_rate"],
            "time/seconds": pl_module.seconds,
        }
        append_row(self.path, {"epoch": pl_module.epochs_done, **row})
        self.tracker.log(row, scores=scores, epoch=pl_module.epochs_done)
