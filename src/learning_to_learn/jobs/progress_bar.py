"""A progress bar with the time left and the current score; plain lines where there is no terminal."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from learning_to_learn.training.evaluation import validation_metrics
from learning_to_learn.training.metrics import median

BAR_SECONDS, LINE_SECONDS = 0.1, 10.0


class ProgressBar(pl.Callback):
    """Shows the epochs done of one job, on stderr."""

    def __init__(self, label: str, console: Console | None = None) -> None:
        self.label, self.console = label, console or Console(stderr=True)
        self.bar: Progress | None = None
        self.last = self.began = time.monotonic()
        self.first = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        self.first, self.began = pl_module.epochs_done, time.monotonic()
        if self.console.is_terminal:
            # Narrow enough for a terminal of 80 columns, with a long name and many epochs.
            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("epochs"),
                TextColumn("{task.fields[score]}"), TimeRemainingColumn(compact=True), TextColumn("left"),
                console=self.console, auto_refresh=False,
            )  # fmt: skip
            self.bar.start()
            self.bar.add_task(self.label, total=pl_module.config.trainer.epochs, completed=self.first, score="")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: object) -> None:  # noqa: ARG002
        now = time.monotonic()
        if now - self.last >= (BAR_SECONDS if self.bar else LINE_SECONDS):
            self.last = now
            self._show(pl_module)

    def _show(self, learner: Any) -> None:
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=learner.epochs_done, score=self._score(learner), refresh=True)
            return
        done, total = learner.epochs_done, learner.config.trainer.epochs
        left = (time.monotonic() - self.began) / max(done - self.first, 1) * (total - done)
        self.console.print(f"{self.label}: epoch {done}/{total}, {self._score(learner)}, {left:.0f} s left", highlight=False)

    def _score(self, learner: Any) -> str:
        if learner.validation_curves is None:
            return ""
        found = validation_metrics(learner)
        return f"score {median([m.score for m in found], worst=-math.inf):.2f}"

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        """Stop the bar, however training ended."""
        if self.bar:
            self._show(pl_module)
            self.bar.stop()
            self.bar = None
