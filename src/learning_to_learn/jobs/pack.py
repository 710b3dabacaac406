"""Jobs of a sweep that differ only in numbers are trained together on the replica axis: `launcher=packed`.

A pack trains its jobs together, measures them together, and writes into every job's folder what the job alone would have left.
A job that a pack has to leave alone runs by itself afterwards, as it always does, and says why where it fails. So whatever goes
wrong with a pack costs time, never a result.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from learning_to_learn.config import INCIDENTAL, Config, fingerprint, text_without
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.job import Outcome, begin_job, finish_job, is_finished, judge, logging_to, run_job, stamp_of
from learning_to_learn.jobs.launchers import threads_of_a_job
from learning_to_learn.jobs.signals import interruption
from learning_to_learn.jobs.sweeps import Request
from learning_to_learn.jobs.train import Member, conclude, prepare, threads, train, wandb_of
from learning_to_learn.ranges import per_replica_keys
from learning_to_learn.runs.checkpoint import resume_checkpoint
from learning_to_learn.runs.run_folder import LOG, Status, get_status, held, is_held, set_status
from learning_to_learn.runs.sweep_folder import Places
from learning_to_learn.training.evaluation import evaluate_parts
from learning_to_learn.training.memory import estimate_memory, machine_memory

MOST_REPLICAS = 256
"""The most replicas of a pack: beyond, an epoch's data leave the caches, and a pack gains nothing more."""
MEMORY = 0.5
"""The most of the machine's memory that a pack may need."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Begun:
    """A job of a pack that has begun."""

    number: int
    """Its place among the requests."""
    member: Member
    stamp: dict[str, Any]
    """What its status.json says besides the status."""

    @property
    def epochs_done(self) -> int:
        """How far its checkpoint is."""
        return self.member.checkpoint["learning"]["epochs_done"] if self.member.checkpoint else 0


def run_requests(requests: Sequence[Request]) -> list[Outcome]:
    """Run jobs of a sweep, those that can be packed together; return how each ended, in the order of the requests."""
    outcomes: dict[int, Outcome] = {}
    configs = [judge(request.config)[0] for request in requests]
    with interruption.owned():
        for numbers in packs(configs):
            if len(numbers) > 1:
                pack = {number: (requests[number], config) for number in numbers if (config := configs[number])}
                try:
                    run_together(pack, outcomes)
                except Exception as error:  # each job then finds out by itself what is wrong
                    if interruption.asked:
                        raise
                    _log.warning("%d jobs are trained one by one: %s", len(pack), cause_in_a_line(error))
            for number in numbers:
                if number not in outcomes:
                    one = requests[number]
                    outcomes[number] = run_job(one.config, one.folder, sweep=one.sweep, overrides=one.overrides)
    return [outcomes[number] for number in range(len(requests))]


def packs(configs: Sequence[Config | None]) -> list[list[int]]:
    """Return the numbers of the jobs that are trained together, in the order of the first of each pack.

    They agree in every key but those that may differ from replica to replica, and those that do not matter. A job that no
    other agrees with, one that is no sound configuration (None), and one that carries its state are by themselves.
    """
    found: dict[str, list[int]] = defaultdict(list)
    for number, config in enumerate(configs):
        packed = config is not None and not config.family.carry_state
        key = text_without((*per_replica_keys(config), *INCIDENTAL), config) if config and packed else f"alone {number}"
        found[key].append(number)
    return [pack for numbers in found.values() for pack in _parts(numbers, configs)]


def _parts(numbers: Sequence[int], configs: Sequence[Config | None]) -> list[list[int]]:
    """Return the numbers in parts that are small enough to be trained together."""
    first = configs[numbers[0]]
    most = _most_replicas(first) if first and len(numbers) > 1 else 1
    parts: list[list[int]] = []
    held = most
    for number in numbers:
        size = config.replicas if (config := configs[number]) else 1
        if held + size > most:
            parts.append([])
            held = 0
        parts[-1].append(number)
        held += size
    return parts


def _most_replicas(config: Config) -> int:
    """How many replicas of such jobs this machine has the memory for."""
    one, two = (sum(estimate_memory(replace(config, replicas=count)).values()) for count in (1, 2))
    return max(1, min(MOST_REPLICAS, int((MEMORY * machine_memory() - one) / max(1, two - one)) + 1))


def run_together(pack: Mapping[int, tuple[Request, Config]], outcomes: dict[int, Outcome]) -> None:
    """Run the jobs of a pack, as far as they are equally far and their folders are free; add how those ended to `outcomes`."""
    with ExitStack() as stack:
        sweeps = {request.sweep: Places(request.sweep) for request, _ in pack.values() if request.sweep}
        begun = [
            one
            for number, (request, config) in pack.items()
            if request.sweep and (one := stack.enter_context(_begun(number, request, config, sweeps[request.sweep])))
        ]
        equally_far: dict[int, list[Begun]] = defaultdict(list)
        for one in begun:
            equally_far[one.epochs_done].append(one)
        for together in equally_far.values():
            if len(together) > 1:
                _run(together, outcomes)


def _run(together: Sequence[Begun], outcomes: dict[int, Outcome]) -> None:
    """Train jobs that are equally far, measure them, and write down what each has reached."""
    members = [one.member for one in together]
    config = members[0].config
    with threads(threads_of_a_job(config), config.engine):
        with logging_to(*(member.folder / LOG for member in members)):
            _log.info("trained together with %d other jobs", len(members) - 1)
            learner, data = prepare(members)
            train(members, learner, data, label=f"{config.arch.name} {config.family.name}, {len(members)} jobs")
            found = evaluate_parts(learner)
        for one, part, evaluation in zip(together, learner.parts, found, strict=True):
            folder = one.member.folder
            try:
                with logging_to(folder / LOG), wandb_of(one.member, logged=one.epochs_done) as wandb_run:
                    score = conclude(one.member, part, evaluation, wandb_run)
                outcomes[one.number] = finish_job(folder, score, one.stamp)
            except Exception as error:  # the others go on; this one finds out by itself
                if interruption.asked:
                    raise
                _log.warning("%s: %s", folder, cause_in_a_line(error))


@contextmanager
def _begun(number: int, request: Request, config: Config, places: Places) -> Iterator[Begun | None]:
    """A job that is begun in its own folder, which is held; None where there is a reason against it, which the job will say."""
    assert request.sweep
    folder, twin = places.find(request.folder, fingerprint(config))
    try:
        free = not (twin or is_held(folder) or is_finished(config, folder))
    except UserError:
        free = False
    if not free:
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
        places.read(folder)
        yield Begun(number, Member(config, folder, checkpoint, request.sweep.name), stamp)
