"""Meta-training of jobs in their folders: one by itself, or several of a sweep together on the replica axis.

A job that is trained with others leaves in its folder what it leaves alone, to the bit: metrics, checkpoints, results.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import torch

from learning_to_learn.config import Config
from learning_to_learn.jobs.checkpoint import Checkpointing
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.jobs.metrics_log import MetricsLog
from learning_to_learn.jobs.progress_bar import FILE_SECONDS, ProgressBar, ProgressFile
from learning_to_learn.jobs.signals import Interrupted, interruption
from learning_to_learn.jobs.wandb_run import FINISH_SECONDS, INTERRUPTED_SECONDS, WandbRun
from learning_to_learn.lightning import LightningEnvironment, SLURMEnvironment, pl
from learning_to_learn.runs.checkpoint import best_checkpoint, restore, save_checkpoint
from learning_to_learn.runs.run_folder import EPOCH, METRICS, read_rows
from learning_to_learn.training.evaluation import Evaluation, curves_on, validation_score
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.metrics import is_worse_than_no_learning
from learning_to_learn.training.sequences import MetaData

MEMBERS_A_SECOND = 8
"""Of so many jobs that are trained together, progress.json is written every second; of more, less often."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A job in its own folder, which this process holds."""

    config: Config
    folder: Path
    checkpoint: dict[str, Any] | None = None
    """What it is resumed from."""
    sweep: str | None = None
    """The name of the folder of its sweep."""


def prepare(members: Sequence[Member]) -> tuple[MetaLearner, MetaData]:
    """Return the learner of jobs that have come equally far, as their checkpoints left it, and its data.

    Raises UserError where a checkpoint does not fit.
    """
    configs = [member.config for member in members]
    learner, data = MetaLearner(*configs), MetaData(*configs)
    for part, member in zip(learner.parts, members, strict=True):
        if member.checkpoint:
            restore(part, member.checkpoint)
    learner.go_on_from_parts()
    if learner.epochs_done:
        _log.info("resumed after epoch %d", learner.epochs_done)
    data.next_epoch = learner.epochs_done
    return learner, data


def train(
    members: Sequence[Member], learner: MetaLearner, data: MetaData, wandb_run: WandbRun | None = None, *, label: str = ""
) -> None:
    """Meta-train all replicas to the last epoch. A bar shows the `label`, unless that is empty."""
    config = learner.config
    if learner.epochs_done < config.trainer.epochs:
        callbacks: list[pl.Callback] = [*([ProgressBar(label)] if label else []), each_part(members, wandb_run)]
        with interruption.deferred(), without_slurm():
            make_trainer(config, learner.epochs_done, callbacks).fit(learner, datamodule=data)
            learner.tell_parts()
            for part, member in zip(learner.parts, members, strict=True):
                save_checkpoint(member.folder, part)
    elif not config.trainer.epochs:  # the network as it begins
        for part, member in zip(learner.parts, members, strict=True):
            save_checkpoint(member.folder, part)
    if learner.validation_curves is None:  # resumed after the last look
        learner.validation_curves = curves_on(learner, data.validation())
        learner.tell_parts()


def each_part(members: Sequence[Member], wandb_run: WandbRun | None = None) -> "EachPart":
    """Return what a job says of itself while it trains; of several jobs together, what each says."""
    many = max(1, len(members) // MEMBERS_A_SECOND)
    return EachPart(
        [
            [
                ProgressFile(member.folder, FILE_SECONDS * many),
                MetricsLog(member.folder, wandb_run),
                Checkpointing(member.folder, member.config.trainer.checkpoint_seconds, best=member.config.logger.artifact),
            ]
            for member in members
        ]
    )


class EachPart(pl.Callback):
    """Calls the callbacks of each job of a learner with that job's own learner."""

    def __init__(self, callbacks: Sequence[Sequence[pl.Callback]]) -> None:
        self.callbacks = callbacks

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if pl_module.validation_curves is None:  # of all at once
            pl_module.validation_curves = curves_on(pl_module, trainer.datamodule.validation())  # type: ignore[attr-defined]
        self._call("on_train_start", trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *more: Any) -> None:
        self._call("on_train_batch_end", trainer, pl_module, *more)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._call("on_validation_end", trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._call("on_train_end", trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        self._call("on_exception", trainer, pl_module, exception)

    def _call(self, name: str, trainer: pl.Trainer, learner: MetaLearner, *more: Any) -> None:
        learner.tell_parts()
        interrupted = None
        for part, callbacks in zip(learner.parts, self.callbacks, strict=True):
            try:
                for callback in callbacks:
                    getattr(callback, name)(trainer, part, *more)
            except Interrupted as error:  # when every job has its checkpoint
                interrupted = error
        if interrupted:
            raise interrupted


@contextmanager
def wandb_of(member: Member, *, logged: int | None = None) -> Iterator[WandbRun]:
    """Open the job's wandb run, and finish it however the context ends.

    A new one is given the job's history so far, as wandb may have been off until now. One that is there is given what came
    after the epoch that is `logged`, where its job was trained without it.
    """
    run = WandbRun(member.folder, member.config, sweep=member.sweep)
    finished = False
    try:
        since = 0 if run.is_new else logged
        if since is not None:
            run.replay(row for row in read_rows(member.folder / METRICS) if int(row[EPOCH]) > since)
        yield run
        finished = True
    finally:
        run.finish(failed=not finished, patience=INTERRUPTED_SECONDS if interruption.asked else FINISH_SECONDS)


def conclude(member: Member, learner: MetaLearner, found: Evaluation, wandb_run: WandbRun) -> float:
    """Write down what the job has reached; return the median score on the validation data at the end."""
    config, folder = member.config, member.folder
    for replica, epoch in learner.diverged.items():
        _log.warning("seed %d diverged after epoch %d and was frozen there", config.seed + replica, epoch)
    if bad := [str(row["seed"]) for row in found.replicas if is_worse_than_no_learning(row["mse"], learner.test_floor)]:
        _log.warning("worse than no learning (score < 0): seed %s", ", ".join(bad))
    write_evaluation(found, folder)
    # A sweep's pictures are drawn from curve.csv and stream.csv when somebody looks: they take longer than the rest.
    pictures = {} if member.sweep else draw_pictures(folder, config)
    wandb_run.conclude(found, pictures, best_checkpoint(folder, config) if config.logger.artifact else None)
    _log.info("score %.4f, mse %.6f (medians)", found.result["score_median"], found.result["mse_median"])
    return validation_score(learner)


def make_trainer(config: Config, epochs_done: int, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning calls an epoch what lies between two looks at the validation data."""
    width = config.trainer.evaluate_every
    stretches = -(-config.trainer.epochs // width) - epochs_done // width
    return pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=stretches, callbacks=callbacks, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        plugins=[LightningEnvironment()],  # else it takes part in SLURM by itself, with signal handlers of its own
    )  # fmt: skip


@contextmanager
def without_slurm() -> Iterator[None]:
    """Keep Lightning from SLURM: it would warn where srun is installed, and load a hpc_ckpt_*.ckpt of the working folder."""
    before = SLURMEnvironment.detect
    SLURMEnvironment.detect = staticmethod(lambda: False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        SLURMEnvironment.detect = staticmethod(before)  # type: ignore[method-assign]


@contextmanager
def threads(wanted: int, engine: str) -> Iterator[None]:
    """Let the kernels and torch use the threads of this job; afterwards as many as before."""
    before = numba.get_num_threads(), torch.get_num_threads()
    count = min(wanted, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    # What torch still does takes microseconds; its threads would wait actively on the cores that the kernels need.
    torch.set_num_threads(1 if engine != "reference" else count)
    try:
        yield
    finally:
        numba.set_num_threads(before[0])
        torch.set_num_threads(before[1])
