"""The callback that writes checkpoints while a job trains."""

import math
import time
from pathlib import Path
from typing import Any

from learning_to_learn.jobs.metrics_log import METRICS
from learning_to_learn.jobs.signals import Interrupted, interruption
from learning_to_learn.lightning import pl
from learning_to_learn.runs.checkpoint import BEST, save_checkpoint
from learning_to_learn.runs.run_folder import SCORE, read_rows
from learning_to_learn.training.evaluation import validation_score
from learning_to_learn.training.learner import MetaLearner


class Checkpointing(pl.Callback):
    """Writes a checkpoint every `seconds` and when the job is interrupted. Put it after the callbacks that log."""

    def __init__(self, folder: Path, seconds: float, *, best: bool = False) -> None:
        self.folder, self.seconds = folder, seconds
        self.last = time.monotonic()
        self.best = float("-inf") if best else float("inf")
        """The best score so far; infinite where nobody asks for it."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        interruption.handle()  # Lightning has just put a handler of its own before ours, which would raise SystemExit
        if self.best < float("inf"):
            rows = read_rows(self.folder / METRICS)
            self.best = max((s for r in rows if not math.isnan(s := float(r[SCORE]))), default=self.best)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: object) -> None:  # noqa: ARG002
        if not pl_module.evaluation_is_due:  # else after it, so that a resumed run does not miss it
            self._consider(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        if self.best < float("inf"):
            score = validation_score(pl_module)
            if score > self.best:
                self.best = score
                save_checkpoint(self.folder, pl_module, BEST)
        self._consider(pl_module)

    def _consider(self, learner: MetaLearner) -> None:
        if interruption.asked or time.monotonic() - self.last >= self.seconds:
            save_checkpoint(self.folder, learner)
            self.last = time.monotonic()
        if interruption.asked:
            raise Interrupted
