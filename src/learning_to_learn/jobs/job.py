"""The life of one job in its folder: fresh, resumed or already done; finished, interrupted or failed."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from learning_to_learn.config import Config, conform, fingerprint, load
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.checkpoint import Checkpointing
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.jobs.metrics_log import Logbook
from learning_to_learn.jobs.progress_bar import ProgressBar
from learning_to_learn.jobs.signals import Interrupted, Interruptible
from learning_to_learn.jobs.wandb_run import Tracker
from learning_to_learn.launchers import threads_of_a_job
from learning_to_learn.runs.checkpoint import CHECKPOINT, best_checkpoint, load_checkpoint, restore, save_checkpoint
from learning_to_learn.runs.run_folder import begin, get_status, held, read_json, set_status
from learning_to_learn.runs.sweep_folder import find_place
from learning_to_learn.training.evaluation import evaluate
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData

_log = logging.getLogger(__name__)


class AnotherRun(UserError):
    """The folder belongs to another run, and must not be touched."""


def run_job(
    raw: DictConfig | Config, folder: Path, *, sweep: Path | None = None, overrides: Sequence[str] = (), console: bool = True
) -> str:
    """`place_and_run`, where only the status matters."""
    return place_and_run(raw, folder, sweep=sweep, overrides=overrides, console=console)[0]


def place_and_run(
    raw: DictConfig | Config, folder: Path, *, sweep: Path | None = None, overrides: Sequence[str] = (), console: bool = True
) -> tuple[str, Path]:
    """Train what `raw` says in `folder` and evaluate it; returns the status, and the folder
    where the results are. A folder that has begun is gone on with.

    In a `sweep` folder a job that another folder there has done already is not run again: the status is "duplicate"; and a
    folder that is another job's is left alone for one beside it. `overrides` are what the user typed. A job that fails writes
    why into its own train.log and status.json, and with `console` says so in one line on stderr.
    Raises KeyboardInterrupt, with a checkpoint written, where the user interrupts.
    """
    stamp: dict[str, Any] = {"overrides": list(overrides)}
    config, wrong = _judge(raw)
    if config:
        stamp |= {"fingerprint": fingerprint(config), "epochs": config.trainer.epochs}
        if sweep:
            folder, twin = find_place(folder, sweep, stamp["fingerprint"])
            if twin:
                folder.mkdir(parents=True, exist_ok=True)
                set_status(folder, "duplicate", of=os.path.relpath(twin, folder), **stamp)
                return "duplicate", twin
    folder.mkdir(parents=True, exist_ok=True)
    say: Callable[[str], None] = (lambda line: print(line, file=sys.stderr)) if console else _log.warning
    with (
        held(folder, lambda: say(f"{folder} is being run by another process: waiting for it")),
        _logging_to(folder / "train.log"),
    ):
        try:
            if config is None:
                raise wrong or UserError("no configuration")
            if _is_finished(config, folder):
                return "finished", folder
            begin(folder, config)
            set_status(folder, "running", **stamp)
            train(config, folder, sweep=sweep.name if sweep else None, progress=console)
        except (Interrupted, KeyboardInterrupt):
            set_status(folder, "interrupted", **stamp)
            if sweep is None:
                print(f"interrupted; go on with: python -m src.train resume={folder}", file=sys.stderr)
            raise KeyboardInterrupt from None
        except AnotherRun as error:
            say(f"error: {error}")
            return "failed", folder
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs of a sweep go on
            line = str(error) if isinstance(error, UserError) else cause_in_a_line(error)
            _log.error("%s", line if isinstance(error, UserError) else traceback.format_exc())
            set_status(folder, "failed", error=line, **stamp)
            where = "" if isinstance(error, UserError) else f" (more in {folder / 'train.log'})"
            if console:
                print(f"error: {folder.name}: {line}{where}", file=sys.stderr)
            return "failed", folder
        set_status(folder, "finished", seconds=(read_json(folder / "result.json") or {}).get("seconds"), **stamp)
        return "finished", folder


def _judge(raw: DictConfig | Config) -> tuple[Config | None, Exception | None]:
    """The configuration, or what is wrong with it."""
    try:
        config = conform(raw)
        check(config)
    except Exception as error:  # noqa: BLE001 - told where the job's own log is
        return None, error
    return config, None


def train(config: Config, folder: Path, *, sweep: str | None = None, progress: bool = True) -> None:
    """Meta-train the replicas, from the last checkpoint if there is one, and evaluate them on test data."""
    _use_threads(threads_of_a_job(config), config.engine)
    checkpoint = load_checkpoint(folder) if (folder / CHECKPOINT).exists() else None
    data, learner = MetaData(config), MetaLearner(config)
    if checkpoint:
        restore(learner, checkpoint)
        _log.info("resumed after epoch %d", learner.epochs_done)
    data.next_epoch = learner.epochs_done
    tracker = Tracker(folder, config, sweep=sweep)
    finished = False
    try:
        if learner.epochs_done < config.trainer.epochs:
            with Interruptible() as interruptible:
                callbacks = [
                    *([ProgressBar(f"{config.arch.name} {config.family.name}")] if progress else []),
                    Logbook(folder, tracker),
                    Checkpointing(folder, config.trainer.checkpoint_seconds, interruptible, best=config.logger.artifact),
                ]
                _trainer(config, learner.epochs_done, callbacks).fit(learner, datamodule=data)
            save_checkpoint(folder, learner)
        for replica, epoch in learner.diverged.items():
            _log.warning("seed %d diverged after epoch %d and was frozen there", config.seed + replica, epoch)
        found = evaluate(learner)
        write_evaluation(found, folder)
        # A sweep's pictures are drawn from curve.csv and stream.csv when somebody looks: they take longer than the rest.
        pictures = {} if sweep else draw_pictures(folder, config)
        tracker.conclude(found, pictures, best_checkpoint(folder) if config.logger.artifact else None)
        _log.info("score %.4f, mse %.6f (medians)", found.result["score_median"], found.result["mse_median"])
        finished = True
    finally:
        tracker.finish(failed=not finished)


def _trainer(config: Config, epochs_done: int, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning calls an epoch what lies between two looks at the validation data."""
    width = config.trainer.evaluate_every
    stretches = -(-config.trainer.epochs // width) - epochs_done // width
    return pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=stretches, callbacks=callbacks, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )  # fmt: skip


def _is_finished(config: Config, folder: Path) -> bool:
    """Whether the folder holds this very job, done. Raises UserError where it holds another one."""
    if not (folder / "config.yaml").exists():
        return False
    if fingerprint(load(folder / "config.yaml")) != fingerprint(config):
        raise AnotherRun(f"{folder} holds a run of another configuration: choose another folder")
    return get_status(folder) == "finished"


def _use_threads(threads: int, engine: str) -> None:
    count = min(threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    # What torch still does takes microseconds; its threads would wait actively on the cores that the kernels need.
    torch.set_num_threads(1 if engine != "reference" else count)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Everything that is said goes to the job's own log; warnings also to the console."""
    file, console = logging.FileHandler(path), logging.StreamHandler(sys.stderr)
    file.setFormatter(logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s"))
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.name.startswith("learning_to_learn.engine") or record.levelno == logging.WARNING)
    root, before = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)
    root.addHandler(file)
    root.addHandler(console)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(before)
        for handler in (file, console):
            root.removeHandler(handler)
            handler.close()
