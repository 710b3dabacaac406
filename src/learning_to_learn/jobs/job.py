"""The life of one job in its folder: fresh, resumed or already done; finished, interrupted or failed."""

import itertools
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from omegaconf import DictConfig

from learning_to_learn import plugins
from learning_to_learn.config import Config, conform, fingerprint, load
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.checkpoint import Checkpointing
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.jobs.metrics_log import MetricsLog
from learning_to_learn.jobs.progress_bar import ProgressBar
from learning_to_learn.jobs.signals import Interrupted, Interruptible
from learning_to_learn.jobs.wandb_run import WandbRun
from learning_to_learn.runs.checkpoint import CHECKPOINT, best_checkpoint, load_checkpoint, restore, save_checkpoint
from learning_to_learn.runs.run_folder import (
    CONFIG,
    LOG,
    RESULT,
    STATUS,
    Status,
    begin,
    get_status,
    held,
    read_json,
    set_status,
)
from learning_to_learn.runs.sweep_folder import find_place
from learning_to_learn.training.evaluation import curves_on, evaluate, validation_metrics
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData

_log = logging.getLogger(__name__)


class AnotherRun(UserError):
    """The folder belongs to another run, and must not be touched."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    status: Status
    """finished, duplicate or failed"""
    folder: Path
    """Where its results are: that of its twin, where it is a duplicate."""
    score: float = float("nan")
    """The median score on the validation data, at the last look."""
    error: str = ""
    refused: bool = False
    """The folder belongs to another run, which was left as it is."""


def run_job(
    raw: DictConfig | Config, folder: Path, *, sweep: Path | None = None, overrides: Sequence[str] = (), console: bool = True
) -> Outcome:
    """Train what `raw` says in `folder` and evaluate it. An unfinished run folder is resumed.

    In a `sweep` folder a job that another folder there has done already is not run again: the status is "duplicate"; and a
    folder that is another job's is left alone for one beside it. `overrides` are what the user typed. A job that fails writes
    why into its own train.log and status.json, and with `console` says so in one line on stderr.
    Raises KeyboardInterrupt, with a checkpoint written, where the user interrupts.
    """
    stamp: dict[str, Any] = {"overrides": list(overrides)}
    config, wrong = _judge(raw)
    if config:
        stamp |= {"fingerprint": fingerprint(config), "epochs": config.trainer.epochs}
        if config.plugins:
            stamp["plugins"] = plugins.digests(config.plugins)
        if sweep:
            folder, twin = find_place(folder, sweep, stamp["fingerprint"])
            if twin:
                folder = _free_place(folder, stamp["fingerprint"])
                folder.mkdir(parents=True, exist_ok=True)
                set_status(folder, Status.DUPLICATE, of=os.path.relpath(twin, folder), **stamp)
                return Outcome(Status.DUPLICATE, twin, _score_of(twin))
    elif sweep:
        folder = _free_place(folder)
    elif (folder / CONFIG).exists():
        return _refuse(_sayer(console=console), folder, wrong)
    return _run(config, wrong, folder, stamp, sweep=sweep.name if sweep else None, console=console)


def _run(
    config: Config | None, wrong: Exception | None, folder: Path, stamp: dict[str, Any], *, sweep: str | None, console: bool
) -> Outcome:
    """Run the job in the folder that is its own; `stamp` is what its status.json says besides the status."""
    say = _sayer(console=console)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        held(folder, lambda: say(f"{folder} is being run by another process: waiting for it")),
        _logging_to(folder / LOG),
    ):
        try:
            if config is None:
                raise wrong or UserError("no configuration")
            if _is_finished(config, folder):
                return Outcome(Status.FINISHED, folder, _score_of(folder))
            begin(folder, config)
            for name in plugins.save(config.plugins, folder):
                _log.warning("plugin %s has changed since this run began: plugins/%s.py is what it was", name, name)
            set_status(folder, Status.RUNNING, **stamp)
            score = train(config, folder, sweep=sweep, progress=console)
        except (Interrupted, KeyboardInterrupt):
            set_status(folder, Status.INTERRUPTED, **stamp)
            if sweep is None:
                print(f"interrupted; resume it with: python -m src.train resume={folder}", file=sys.stderr)
            raise KeyboardInterrupt from None
        except AnotherRun as error:
            return _refuse(say, folder, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs of a sweep go on
            line = str(error) if isinstance(error, UserError) else cause_in_a_line(error)
            _log.error("%s", line if isinstance(error, UserError) else traceback.format_exc())
            set_status(folder, Status.FAILED, error=line, **stamp)
            where = "" if isinstance(error, UserError) else f" (more in {folder / 'train.log'})"
            if console:
                print(f"error: {folder.name}: {line}{where}", file=sys.stderr)
            return Outcome(Status.FAILED, folder, error=line)
        seconds = (read_json(folder / RESULT) or {}).get("seconds")
        set_status(folder, Status.FINISHED, seconds=seconds, score=_plain(score), **stamp)
        return Outcome(Status.FINISHED, folder, score)


def _sayer(*, console: bool) -> Callable[[str], None]:
    return (lambda line: print(line, file=sys.stderr)) if console else _log.warning


def _refuse(say: Callable[[str], None], folder: Path, error: Exception | None) -> Outcome:
    """Leave the folder of another run as it is."""
    say(f"error: {error}")
    return Outcome(Status.FAILED, folder, error=str(error), refused=True)


def _free_place(folder: Path, fingerprint: str | None = None) -> Path:
    """Where a job that does not run says why: in its folder, or beside it where that holds another run."""

    def is_free(place: Path) -> bool:
        said = read_json(place / STATUS) or {}
        return not (place / CONFIG).exists() or said.get("fingerprint", "") == fingerprint

    beside = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(place for place in itertools.chain([folder], beside) if is_free(place))


def _score_of(folder: Path) -> float:
    """The score that a finished run has left in its status."""
    score = (read_json(folder / STATUS) or {}).get("score")
    return float(score) if isinstance(score, int | float) else float("nan")


def _plain(score: float) -> float | None:
    return score if math.isfinite(score) else None


def _judge(raw: DictConfig | Config) -> tuple[Config | None, Exception | None]:
    """The configuration, or what is wrong with it."""
    try:
        config = conform(raw)
        check(config)
    except Exception as error:  # noqa: BLE001 - told where the job's own log is
        return None, error
    return config, None


def train(config: Config, folder: Path, *, sweep: str | None = None, progress: bool = True) -> float:
    """Meta-train the replicas, from the last checkpoint if there is one, and evaluate them on test data.

    Returns the median score on the validation data at the end.
    """
    with _threads(threads_of_a_job(config), config.engine):
        return _train(config, folder, sweep=sweep, progress=progress)


def _train(config: Config, folder: Path, *, sweep: str | None, progress: bool) -> float:
    checkpoint = load_checkpoint(folder) if (folder / CHECKPOINT).exists() else None
    data, learner = MetaData(config), MetaLearner(config)
    if checkpoint:
        restore(learner, checkpoint)
        _log.info("resumed after epoch %d", learner.epochs_done)
    data.next_epoch = learner.epochs_done
    wandb_run = WandbRun(folder, config, sweep=sweep)
    finished = False
    try:
        if learner.epochs_done < config.trainer.epochs:
            with Interruptible() as interruptible:
                callbacks = [
                    *([ProgressBar(f"{config.arch.name} {config.family.name}")] if progress else []),
                    MetricsLog(folder, wandb_run),
                    Checkpointing(folder, config.trainer.checkpoint_seconds, interruptible, best=config.logger.artifact),
                ]
                with _without_slurm():
                    _trainer(config, learner.epochs_done, callbacks).fit(learner, datamodule=data)
            save_checkpoint(folder, learner)
        for replica, epoch in learner.diverged.items():
            _log.warning("seed %d diverged after epoch %d and was frozen there", config.seed + replica, epoch)
        found = evaluate(learner)
        write_evaluation(found, folder)
        # A sweep's pictures are drawn from curve.csv and stream.csv when somebody looks: they take longer than the rest.
        pictures = {} if sweep else draw_pictures(folder, config)
        wandb_run.conclude(found, pictures, best_checkpoint(folder) if config.logger.artifact else None)
        _log.info("score %.4f, mse %.6f (medians)", found.result["score_median"], found.result["mse_median"])
        finished = True
    finally:
        wandb_run.finish(failed=not finished)
    return _validation_score(learner, data)


def _validation_score(learner: MetaLearner, data: MetaData) -> float:
    if learner.validation_curves is None:  # resumed after the last look
        learner.validation_curves = curves_on(learner, data.validation())
    return float(np.median([m.score for m in validation_metrics(learner)]))


def _trainer(config: Config, epochs_done: int, callbacks: list[pl.Callback]) -> pl.Trainer:
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
def _without_slurm() -> Iterator[None]:
    """Keep Lightning from SLURM: it would warn where srun is installed, and load a hpc_ckpt_*.ckpt of the working folder."""
    before = SLURMEnvironment.detect
    SLURMEnvironment.detect = staticmethod(lambda: False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        SLURMEnvironment.detect = staticmethod(before)  # type: ignore[method-assign]


def _is_finished(config: Config, folder: Path) -> bool:
    """Whether the folder holds this very job, done. Raises UserError where it holds another one."""
    if not (folder / CONFIG).exists():
        return False
    if fingerprint(load(folder / CONFIG)) != fingerprint(config):
        raise AnotherRun(f"{folder} holds a run of another configuration: choose another folder")
    return get_status(folder) is Status.FINISHED


@contextmanager
def _threads(threads: int, engine: str) -> Iterator[None]:
    """Let the kernels and torch use the threads of this job; afterwards as many as before."""
    before = numba.get_num_threads(), torch.get_num_threads()
    count = min(threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    # What torch still does takes microseconds; its threads would wait actively on the cores that the kernels need.
    torch.set_num_threads(1 if engine != "reference" else count)
    try:
        yield
    finally:
        numba.set_num_threads(before[0])
        torch.set_num_threads(before[1])


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Everything that is said goes to the job's own log; warnings also to the console. Afterwards all is as it was before."""
    file, console = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace"), logging.StreamHandler(sys.stderr)
    file.setFormatter(logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s"))
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.name.startswith("learning_to_learn.engine") or record.levelno == logging.WARNING)
    root, lightning = logging.getLogger(), logging.getLogger("pytorch_lightning")
    levels = root.level, lightning.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        root.setLevel(logging.INFO)
        lightning.setLevel(logging.WARNING)
        for handler in (file, console):
            root.addHandler(handler)
        logging.captureWarnings(capture=True)
        try:
            yield
        finally:
            logging.captureWarnings(capture=False)
            root.setLevel(levels[0])
            lightning.setLevel(levels[1])
            for handler in (file, console):
                root.removeHandler(handler)
                handler.close()
