"""The life of one job in its folder: fresh, resumed or already done; finished, interrupted or failed."""

import itertools
import logging
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from learning_to_learn import plugins
from learning_to_learn.config import Config, conform, fingerprint
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.jobs.signals import interruption
from learning_to_learn.jobs.train import Member, conclude, prepare, threads, train, wandb_of
from learning_to_learn.runs.checkpoint import resume_checkpoint
from learning_to_learn.runs.run_folder import (
    CONFIG,
    LOG,
    RESULT,
    STATUS,
    Status,
    begin,
    check_kinds,
    get_status,
    held,
    read_json,
    set_status,
)
from learning_to_learn.runs.saved_config import load_config
from learning_to_learn.runs.sweep_folder import find_place
from learning_to_learn.training.evaluation import evaluate
from learning_to_learn.training.memory import check_memory

_log = logging.getLogger(__name__)


class AnotherRun(UserError):
    """The folder belongs to another run, or cannot be resumed: it must not be touched."""


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
    with interruption.owned():
        return _placed(raw, folder, sweep=sweep, overrides=overrides, console=console)


def _placed(raw: DictConfig | Config, folder: Path, *, sweep: Path | None, overrides: Sequence[str], console: bool) -> Outcome:
    """Run the job in its own folder, which in a sweep need not be the one it was given."""
    config, wrong = judge(raw)
    stamp = stamp_of(config, overrides)
    if sweep and sweep.resolve() not in folder.resolve().parents:
        return _refuse(_sayer(console=console), folder, UserError(f"{folder} does not lie in the folder of its sweep, {sweep}"))
    if config and sweep:
        folder, twin = find_place(folder, sweep, stamp["fingerprint"])
        if twin:
            folder = _free_place(folder, stamp["fingerprint"])
            if folder == twin:  # beside another job's: this very job, done or being run
                return Outcome(get_status(twin) or Status.RUNNING, twin, _score_of(twin))
            folder.mkdir(parents=True, exist_ok=True)
            set_status(folder, Status.DUPLICATE, of=os.path.relpath(twin, folder), **stamp)
            return Outcome(Status.DUPLICATE, twin, _score_of(twin))
    elif sweep:
        folder = _free_place(folder)
    elif wrong:
        return _refuse(_sayer(console=console), folder, wrong)
    return _run(config, wrong, folder, stamp, sweep=sweep.name if sweep else None, console=console)


def _run(
    config: Config | None, wrong: Exception | None, folder: Path, stamp: dict[str, Any], *, sweep: str | None, console: bool
) -> Outcome:
    """Run the job in the folder that is its own; `stamp` is what its status.json says besides the status."""
    say = _sayer(console=console)

    def interrupted() -> None:
        if get_status(folder) is Status.RUNNING:
            set_status(folder, Status.INTERRUPTED, **stamp)
        if sweep is None and (folder / CONFIG).exists():
            interruption.tell(f"interrupted; resume it with: python -m src.train resume={shlex.quote(str(folder))}")

    with ExitStack() as stack:
        try:
            check_kinds(folder)
            if config:
                is_finished(config, folder)  # before anything is written into what may be another run's
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder, lambda: say(f"{folder} is being run by another process: waiting for it")))
            stack.enter_context(logging_to(folder / LOG))
        except UserError as error:
            return _refuse(say, folder, error)
        except OSError as error:
            return _refuse(say, folder, UserError(f"cannot use {cause_in_a_line(error)}"))
        stack.enter_context(interruption.ending(interrupted))
        try:
            interruption.check()
            if config is None:
                raise wrong or UserError("no configuration")
            if is_finished(config, folder):
                return Outcome(Status.FINISHED, folder, _score_of(folder))
            checkpoint = _checkpoint_of(config, folder)
            begin_job(config, folder, stamp)
            score = _train(Member(config, folder, checkpoint, sweep), progress=console and sweep is None)
            return finish_job(folder, score, stamp)
        except AnotherRun as error:
            return _refuse(say, folder, error)
        except Exception as error:  # whatever it is, the other jobs of a sweep go on
            if interruption.asked:
                raise
            line = str(error) if isinstance(error, UserError) else cause_in_a_line(error)
            _log.error("%s", line if isinstance(error, UserError) else traceback.format_exc())
            with suppress(OSError), interruption.protected():  # what has failed may be the disk
                set_status(folder, Status.FAILED, error=line, **stamp)
            where = "" if isinstance(error, UserError) else f" (more in {folder / 'train.log'})"
            if console:
                print(f"error: {folder.name}: {line}{where}", file=sys.stderr)
            return Outcome(Status.FAILED, folder, error=line)


def stamp_of(config: Config | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what status.json says of a job besides its status."""
    stamp: dict[str, Any] = {"overrides": list(overrides)}
    if config:
        stamp |= {"fingerprint": fingerprint(config), "name": config.arch.name, "epochs": config.trainer.epochs}
        if config.plugins:
            stamp["plugins"] = plugins.digests(config.plugins)
    return stamp


def begin_job(config: Config, folder: Path, stamp: dict[str, Any]) -> None:
    """Write down what the job is, and that it is running."""
    with interruption.protected():
        begin(folder, config)
        for name in plugins.save(config.plugins, folder):
            _log.warning("plugin %s has changed since this run began: plugins/%s.py is what it was", name, name)
        set_status(folder, Status.RUNNING, **stamp)


def finish_job(folder: Path, score: float, stamp: dict[str, Any]) -> Outcome:
    """Write down that the job is done, with the checksums of what it has written."""
    if not (folder / CONFIG).exists():
        raise UserError(f"{folder} has been removed while the job ran")
    seconds = (read_json(folder / RESULT) or {}).get("seconds")
    with interruption.protected():
        set_status(folder, Status.FINISHED, seconds=seconds, score=score, **stamp)
    return Outcome(Status.FINISHED, folder, score)


def _train(member: Member, *, progress: bool) -> float:
    """Meta-train the replicas of a job, evaluate them on test data, and return the median score on the validation data."""
    config = member.config
    with threads(threads_of_a_job(config), config.engine):
        learner, data = prepare([member])
        with wandb_of(member) as wandb_run:
            train([member], learner, data, wandb_run, label=f"{config.arch.name} {config.family.name}" if progress else "")
            return conclude(member, learner, evaluate(learner), wandb_run)


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


def judge(raw: DictConfig | Config) -> tuple[Config | None, Exception | None]:
    """The configuration, or what is wrong with it."""
    try:
        config = conform(raw)
        check(config)
        check_memory(config)
    except Exception as error:  # noqa: BLE001 - told where the job's own log is
        return None, error
    return config, None


def is_finished(config: Config, folder: Path) -> bool:
    """Whether the folder holds this very job, done. Raises UserError where it holds another one."""
    if not (folder / CONFIG).exists():
        return False
    try:
        saved = load_config(folder)
    except UserError as error:
        raise AnotherRun(str(error)) from None
    if fingerprint(saved) != fingerprint(config):
        raise AnotherRun(f"{folder} holds a run of another configuration: choose another folder, or remove this one")
    return get_status(folder) is Status.FINISHED


def _checkpoint_of(config: Config, folder: Path) -> dict[str, Any] | None:
    """What the run is resumed from; None where it is fresh. Raises AnotherRun where its checkpoints are damaged."""
    try:
        return resume_checkpoint(folder, config)
    except UserError as error:
        raise AnotherRun(str(error)) from None


class _File(logging.FileHandler):
    """A log file that says nothing of its own troubles, such as a full disk: the job finds out by itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Lose the record."""


@contextmanager
def logging_to(*paths: Path) -> Iterator[None]:
    """Everything that is said goes to the jobs' own logs; warnings also to the console. Afterwards all is as it was before."""
    files = [_File(path, encoding="utf-8", errors="backslashreplace") for path in paths]
    console = logging.StreamHandler(sys.stderr)
    for file in files:
        file.setFormatter(logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s"))
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.name.startswith("learning_to_learn.engine") or record.levelno == logging.WARNING)
    handlers: list[logging.Handler] = [*files, console]
    root, lightning = logging.getLogger(), logging.getLogger("pytorch_lightning")
    levels = root.level, lightning.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
        root.setLevel(logging.INFO)
        lightning.setLevel(logging.WARNING)
        for handler in handlers:
            root.addHandler(handler)
        logging.captureWarnings(capture=True)
        try:
            yield
        finally:
            logging.captureWarnings(capture=False)
            root.setLevel(levels[0])
            lightning.setLevel(levels[1])
            for handler in handlers:
                root.removeHandler(handler)
                handler.close()
