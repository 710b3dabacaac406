"""Jobs of a sweep that differ only in numbers are trained together on the replica axis: `launcher=packed`.

A pack only trains: it leaves in every job's folder the metrics and the checkpoint that the job alone would have left. Then each
job runs as it always does. It finds its training done, and evaluates, or it finds a folder that the pack has left alone, and
says why. So whatever goes wrong with a pack costs time, never a result.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from learning_to_learn.config import INCIDENTAL, Config, fingerprint, text_without
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.checkpoint import Checkpointing
from learning_to_learn.jobs.job import (
    Outcome,
    begin_job,
    is_finished,
    judge,
    logging_to,
    make_trainer,
    run_job,
    stamp_of,
    threads,
    without_slurm,
)
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.jobs.metrics_log import MetricsLog
from learning_to_learn.jobs.progress_bar import ProgressBar
from learning_to_learn.jobs.signals import Interrupted, interruption
from learning_to_learn.jobs.sweeps import Request
from learning_to_learn.ranges import per_replica_keys
from learning_to_learn.runs.checkpoint import restore, resume_checkpoint, save_checkpoint
from learning_to_learn.runs.run_folder import LOG, Status, get_status, held, is_held, set_status
from learning_to_learn.runs.sweep_folder import find_place
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData

MOST_REPLICAS = 256
"""The most replicas of a pack: beyond, an epoch's data leave the caches, and a pack gains nothing more."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A job of a pack, in its own folder."""

    config: Config
    folder: Path
    checkpoint: dict[str, Any] | None
    """What it is resumed from."""


def run_requests(requests: Sequence[Request]) -> list[Outcome]:
    """Run jobs of a sweep, those that can be packed together; return how each ended, in the order of the requests."""
    outcomes: dict[int, Outcome] = {}
    with interruption.owned():
        for numbers in packs([request.config for request in requests]):
            pack = [requests[number] for number in numbers]
            if len(pack) > 1:
                try:
                    train_together(pack)
                except Exception as error:  # each job then finds out by itself what is wrong
                    if interruption.asked:
                        raise
                    _log.warning("%d jobs are trained one by one: %s", len(pack), cause_in_a_line(error))
            for number, one in zip(numbers, pack, strict=True):
                outcomes[number] = run_job(one.config, one.folder, sweep=one.sweep, overrides=one.overrides)
    return [outcomes[number] for number in range(len(requests))]


def packs(configs: Sequence[Any]) -> list[list[int]]:
    """Return the numbers of the jobs that are trained together, in the order of the first of each pack.

    They agree in every key but those that may differ from replica to replica, and those that do not matter. A job that no
    other agrees with, one that is no sound configuration, and one that carries its state are by themselves.
    """
    found: dict[str, list[int]] = defaultdict(list)
    replicas: dict[str, int] = defaultdict(int)
    for number, raw in enumerate(configs):
        config, _ = judge(raw)
        key = (
            f"alone {number}"
            if config is None or config.family.carry_state
            else text_without((*per_replica_keys(config), *INCIDENTAL), config)
        )
        size = 1 if config is None else config.replicas
        part = (replicas[key] + size - 1) // MOST_REPLICAS
        replicas[key] += size
        found[f"{key} {part}"].append(number)
    return list(found.values())


def train_together(pack: Sequence[Request]) -> None:
    """Train the jobs of a pack to the last epoch, as far as they are equally far and their folders are free."""
    with ExitStack() as stack:
        members = [member for request in pack if (member := stack.enter_context(_begun(request)))]
        equally_far: dict[int, list[Member]] = defaultdict(list)
        for member in members:
            equally_far[member.checkpoint["learning"]["epochs_done"] if member.checkpoint else 0].append(member)
        for together in equally_far.values():
            if len(together) > 1:
                config = together[0].config
                with (
                    logging_to(*(member.folder / LOG for member in together)),
                    threads(threads_of_a_job(config), config.engine),
                ):
                    _log.info("trained together with %d other jobs", len(together) - 1)
                    _train(together)


def _train(members: Sequence[Member]) -> None:
    configs = [member.config for member in members]
    config = configs[0]
    learner, data = MetaLearner(*configs), MetaData(*configs)
    for part, member in zip(learner.parts, members, strict=True):
        if member.checkpoint:
            restore(part, member.checkpoint)
    learner.go_on_from_parts()
    if learner.epochs_done >= config.trainer.epochs:
        return
    data.next_epoch = learner.epochs_done
    callbacks: list[pl.Callback] = [
        ProgressBar(f"{config.arch.name} {config.family.name}, {len(members)} jobs"),
        EachPart([_callbacks(member) for member in members]),
    ]
    with interruption.deferred(), without_slurm():
        make_trainer(config, learner.epochs_done, callbacks).fit(learner, datamodule=data)
        learner.tell_parts()
        for part, member in zip(learner.parts, members, strict=True):
            save_checkpoint(member.folder, part)


def _callbacks(member: Member) -> list[pl.Callback]:
    config = member.config
    return [
        MetricsLog(member.folder),
        Checkpointing(member.folder, config.trainer.checkpoint_seconds, best=config.logger.artifact),
    ]


class EachPart(pl.Callback):
    """Calls for each job of a pack the callbacks that it has by itself."""

    def __init__(self, callbacks: Sequence[Sequence[pl.Callback]]) -> None:
        self.callbacks = callbacks

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._call("on_train_start", trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *more: Any) -> None:
        self._call("on_train_batch_end", trainer, pl_module, *more)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._call("on_validation_end", trainer, pl_module)

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
def _begun(request: Request) -> Iterator[Member | None]:
    """A job that is begun in its own folder, which is held; None where there is a reason against it, which the job will say."""
    config, _ = judge(request.config)
    if config is None or request.sweep is None:
        yield None
        return
    folder, twin = find_place(request.folder, request.sweep, fingerprint(config))
    if twin or is_held(folder) or is_finished(config, folder):
        yield None
        return
    stamp = stamp_of(config, request.overrides)
    folder.mkdir(parents=True, exist_ok=True)

    def interrupted() -> None:
        if get_status(folder) is Status.RUNNING:
            set_status(folder, Status.INTERRUPTED, **stamp)

    with held(folder, lambda: None), interruption.ending(interrupted):
        try:
            checkpoint = resume_checkpoint(folder, config)
        except UserError:
            yield None
            return
        begin_job(config, folder, stamp)
        yield Member(config, folder, checkpoint)
