"""How far a job is: progress.json in its folder, for whoever watches, and a bar with its score and the time left.

Where there is no terminal the bar is a plain line now and then.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from learning_to_learn.lightning import pl
from learning_to_learn.runs.run_folder import PROGRESS, write_json
from learning_to_learn.training.evaluation import curves_on, validation_score

BAR_SECONDS, LINE_SECONDS, FILE_SECONDS = 0.1, 10.0, 1.0


class _Watching(pl.Callback):
    """Calls `show` when training begins, now and then, and however it ends. The score is known from the beginning."""

    seconds: float
    """The least time between two calls."""
    last: float | None = None
    """When it was last called; None before training begins."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if pl_module.validation_curves is None:
            pl_module.validation_curves = curves_on(pl_module, trainer.datamodule.validation())  # type: ignore[attr-defined]
        self.last = time.monotonic()
        self.show(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: object) -> None:  # noqa: ARG002
        if self.last is None or time.monotonic() - self.last >= self.seconds:
            self.last = time.monotonic()
            self.show(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:  # noqa: ARG002
        self.show(pl_module)
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        if self.last is not None:
            self.show(pl_module)
            self.close()

    def show(self, learner: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is shown after this."""


class ProgressFile(_Watching):
    """Writes {"epoch": 12, "seconds": 3.5, "score": 0.25} into progress.json."""

    def __init__(self, folder: Path, seconds: float = FILE_SECONDS) -> None:
        self.path, self.seconds = folder / PROGRESS, seconds

    def show(self, learner: Any) -> None:
        said = {"epoch": learner.epochs_done, "seconds": learner.seconds, "score": validation_score(learner)}
        with suppress(OSError):  # it is only looked at; what a job needs says so itself
            write_json(self.path, said)


class ProgressBar(_Watching):
    """Shows the epochs done of one job, its score and the time left, on stderr."""

    def __init__(self, label: str, console: Console | None = None) -> None:
        self.label, self.console = label, console or Console(stderr=True)
        self.seconds = BAR_SECONDS if self.console.is_terminal else LINE_SECONDS
        self.bar: Progress | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.first, self.began = pl_module.epochs_done, time.monotonic()
        if self.console.is_terminal:
            # Narrow enough for a terminal of 80 columns, with a long name and many epochs.
            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("epochs"),
                TextColumn("{task.fields[score]}"), TimeRemainingColumn(compact=True), TextColumn("left"),
                console=self.console, auto_refresh=False,
            )  # fmt: skip
            self.bar.add_task(self.label, total=pl_module.config.trainer.epochs, completed=self.first, score="")
            self.bar.start()
        super().on_train_start(trainer, pl_module)

    def show(self, learner: Any) -> None:
        score = f"score {validation_score(learner):.2f}"
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=learner.epochs_done, score=score, refresh=True)
        elif self.first < learner.epochs_done < learner.config.trainer.epochs:
            done, total = learner.epochs_done, learner.config.trainer.epochs
            left = (time.monotonic() - self.began) / (done - self.first) * (total - done)
            line = f"{self.label}: epoch {done}/{total}, {score}, {left:.0f} s left"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Stop the bar, or it would be drawn again below whatever is printed next."""
        if self.bar:
            self.bar.stop()
            self.bar = None
