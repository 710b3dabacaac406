"""Checkpoints: everything that training goes on from. Only tensors and plain values, so that none can run code."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.jobs.metrics_log import METRICS
from learning_to_learn.jobs.signals import Interrupted, Interruptible
from learning_to_learn.runs.run_folder import read_rows
from learning_to_learn.training.learner import MetaLearner

CHECKPOINT = Path("checkpoints/last.ckpt")
BEST = Path("checkpoints/best.ckpt")


def load_checkpoint(folder: Path) -> dict:
    """The last checkpoint of a run folder.

    Raises UserError, one line, where it is missing, damaged or not ours.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; give a run folder that was trained, such as runs/<day>/<time>")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds on damaged or hostile files
        raise UserError(f"{path} is damaged or not ours ({type(error).__name__}); nothing in it was executed") from None
    if not isinstance(found, dict) or not {"state_dict", "learning"} <= set(found):
        raise UserError(f"{path} is a checkpoint of something else")
    return found


def best_checkpoint(folder: Path) -> Path:
    """The one with the best score on the validation data, where it was kept; else the last."""
    return folder / (BEST if (folder / BEST).exists() else CHECKPOINT)


def save_checkpoint(folder: Path, learner: MetaLearner, name: Path = CHECKPOINT) -> None:
    """Whole or not at all: written aside and moved into place."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save({"state_dict": learner.state_dict(), "learning": learner.learning_state()}, aside)
    aside.replace(path)


def restore(learner: MetaLearner, checkpoint: dict) -> None:
    """Put a checkpoint's weights into a learner of the same configuration. Raises UserError where they do not fit."""
    try:
        learner.load_state_dict(checkpoint["state_dict"])
        learner.load_learning_state(checkpoint["learning"])
    except (RuntimeError, KeyError, TypeError, AttributeError, ValueError):
        raise UserError("the checkpoint does not fit its config.yaml: one of the two is from another run") from None


class Checkpointing(pl.Callback):
    """Writes a checkpoint every `seconds` and when the job is interrupted. Put it after the callbacks that log."""

    def __init__(self, folder: Path, seconds: float, interruptible: Interruptible, *, best: bool = False) -> None:
        self.folder, self.seconds, self.interruptible = folder, seconds, interruptible
        self.last = time.monotonic()
        self.best = float("-inf") if best else float("inf")
        """The best score so far; infinite where nobody asks for it."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        if self.best < float("inf"):
            rows = read_rows(self.folder / METRICS)
            self.best = max((float(r["score/median"]) for r in rows), default=self.best)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: object) -> None:  # noqa: ARG002
        if not pl_module.evaluation_is_due:  # else after it, so that a resumed run does not miss it
            self._consider(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        if self.best < float("inf"):
            found = pl_module.measure(pl_module.validation_curves, pl_module.validation_floor)
            score = float(np.median([m.score for m in found]))
            if score > self.best:
                self.best = score
                save_checkpoint(self.folder, pl_module, BEST)
        self._consider(pl_module)

    def _consider(self, learner: MetaLearner) -> None:
        if self.interruptible.asked or time.monotonic() - self.last >= self.seconds:
            save_checkpoint(self.folder, learner)
            self.last = time.monotonic()
        if self.interruptible.asked:
            raise Interrupted
