"""A cell of a verdict: a contender on a problem, with the jobs that judge it."""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from learning_to_learn.composing import compose_config
from learning_to_learn.config import INCIDENTAL, LABELS, Config, fingerprint, text_without
from learning_to_learn.config_check import check, make_network
from learning_to_learn.errors import UserError
from learning_to_learn.ranges import per_replica_keys
from learning_to_learn.runs.varying import typed
from learning_to_learn.topology import Network
from learning_to_learn.verdicts.protocol import BIAS, Contender, Plan, Protocol

TUNING, FRESH = "tuning", "fresh"
"""The two phases."""
PACKAGES = ("torch", "numba", "llvmlite", "numpy")
LOOKS = 20
"""Looks at the validation data during a training."""
LENGTHS = ("trainer.epochs", "trainer.evaluate_every")
"""What a plan says of a job."""
_MEASURED = ("evaluation", "seed", "replicas")
TRIED = {"optimizer.lr": 0.02, "optimizer.clip": 0.1, "arch.init_scale": 0.5, "trainer.batch": 5}
"""What a trial trains with, of the keys that are tuned: a default that is changed leaves a cell's results what they are."""


@dataclass(frozen=True)
class CellJob:
    """A job of a cell."""

    phase: str
    number: int
    """Of its random setting."""
    values: Mapping[str, Any]
    """What sets it apart from the cell's other jobs."""
    config: Config

    @cached_property
    def fingerprint(self) -> str:
        """That of its run folder."""
        return fingerprint(self.config)


@dataclass(frozen=True)
class Cell:
    """A contender on a problem."""

    protocol: Protocol
    contender: Contender
    problem: Contender
    plan: Plan
    config: Config
    """What all its jobs share."""

    @property
    def name(self) -> str:
        return f"{self.contender.label}, {self.problem.label}"

    @property
    def words(self) -> dict[str, str]:
        """What chooses the contender and the problem, as one would type it."""
        return {**self.contender.words, **self.problem.words}

    @cached_property
    def network(self) -> Network:
        return make_network(self.config)

    @cached_property
    def shared(self) -> dict[str, Any]:
        """What the jobs of every cell share."""
        return _shared(self.protocol, self.plan)

    def setting(self, number: int) -> dict[str, Any]:
        """Return its random setting of that number."""
        return self.protocol.setting(number, self.protocol.gates(self.network))

    def tuning(self) -> list[CellJob]:
        """Return the jobs that try its random settings."""
        more = {**self.protocol.tuning, "replicas": self.plan.replicas}
        return [self._job(TUNING, number, more) for number in range(self.plan.settings)]

    def fresh(self, number: int) -> CellJob:
        """Return the job that trains fresh seeds at the random setting of that number."""
        return self._job(FRESH, number, {**self.protocol.fresh, "replicas": self.plan.fresh})

    def _job(self, phase: str, number: int, more: Mapping[str, Any]) -> CellJob:
        values = {**more, **self.setting(number)}
        return CellJob(phase, number, values, with_values(self.config, values))

    @cached_property
    def text(self) -> str:
        """A hash of all that its jobs share but for the tuned keys: what is trained, and with which versions."""
        return shared_text(self.config, self.protocol.draw, versions())

    @cached_property
    def trial(self) -> str:
        """A hash of a small training on this machine: what one network's weights and outputs are after an epoch, to the bit.

        It changes with whatever of the code, or of the processor, changes results.
        """
        return try_out(self.config, self.protocol.tuning)

    @cached_property
    def digest(self) -> str:
        """What names the results of this cell: other settings, versions or results to the bit have another one."""
        return _hash(self.text, self.trial)


def make_cells(protocol: Protocol, plan: Plan) -> list[Cell]:
    """Return all cells, problem after problem. Raises UserError on one that no job could run with."""
    lengths, found = {k: v for k, v in _shared(protocol, plan).items() if k in LENGTHS}, []
    for problem in protocol.problems:
        for contender in protocol.contenders:
            config = base_config({**protocol.settings, **_ours(contender.words), **_ours(problem.words)})
            found.append(Cell(protocol, contender, problem, plan, with_values(config, lengths)))
            check(found[-1].config)
    return found


def base_config(words: Mapping[str, Any]) -> Config:
    """Return the configuration of these keys and values. Raises UserError, one line, where there is none."""
    return _composed(tuple(as_word(key, value) for key, value in words.items()))


@lru_cache(maxsize=1024)
def _composed(words: tuple[str, ...]) -> Config:
    """The plans of a protocol, and its phases, share it: nobody may change it."""
    return compose_config(*words)


class Verbatim(str):
    """A value as it was typed."""

    __slots__ = ()


def as_word(key: str, value: Any) -> str:
    """Return key=value, as one would type it."""
    return f"{key}={value if isinstance(value, Verbatim) else typed(value)}"


def _ours(words: Mapping[str, str]) -> dict[str, Verbatim]:
    return {key: Verbatim(value) for key, value in words.items()}


def _shared(protocol: Protocol, plan: Plan) -> dict[str, Any]:
    looks = {"trainer.evaluate_every": max(1, plan.epochs // LOOKS)}
    return {**looks, **protocol.settings, "trainer.epochs": plan.epochs}


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a copy of the configuration with other values of some keys, such as {"optimizer.lr": 0.01}."""
    found = copy.deepcopy(config)
    for key, value in values.items():
        *groups, name = key.split(".")
        node: Any = found
        for group in groups:
            node = getattr(node, group, None)
        if not dataclasses.is_dataclass(node) or name not in {f.name for f in dataclasses.fields(node)}:
            raise UserError(f"{key} is no key of a job with {config.optimizer.name} on {config.family.name}")
        before = getattr(node, name)
        setattr(node, name, {**before, **value} if isinstance(value, Mapping) and isinstance(before, Mapping) else value)
    return found


def shared_text(config: Config, tuned: Iterable[str], made_with: Mapping[str, str]) -> str:
    """Return `Cell.text` of what its jobs share, of the keys that are tuned, and of the versions."""
    left_out = [key for key in tuned if key != BIAS]
    return _hash(text_without((*INCIDENTAL, *LABELS, *_MEASURED, *left_out), config), json.dumps(made_with))


def packs_of(jobs: Sequence[CellJob]) -> list[list[CellJob]]:
    """Return the jobs of a cell that can be trained together on the replica axis: they differ in per-replica keys only."""
    found: dict[str, list[CellJob]] = {}
    for job in jobs:
        scaling = per_replica_keys(job.config)
        apart = {key: value for key, value in job.values.items() if key not in scaling}
        found.setdefault(json.dumps(apart, sort_keys=True), []).append(job)
    return list(found.values())


@cache
def versions() -> dict[str, str]:
    """Return the versions of what computes."""

    def one(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    return {package: one(package) for package in PACKAGES}


def try_out(config: Config, more: Mapping[str, Any]) -> str:
    """Return a hash of what a network of the configuration does after an epoch; see `Cell.trial`."""
    from learning_to_learn.jobs.train import threads
    from learning_to_learn.training.evaluation import errors_on_test_data
    from learning_to_learn.training.learner import MetaLearner
    from learning_to_learn.training.sequences import MetaData

    small = with_values(config, {**TRIED, **more, "replicas": 1, "evaluation.mappings": 4})
    with threads(1, small.engine):
        learner = MetaLearner(small)
        learner.train_epoch(MetaData(small).epoch(0))
        errors = errors_on_test_data(learner)
    return _hash(learner.weights.detach().numpy().tobytes(), errors.curves.tobytes(), errors.excess.tobytes())


def weights_digest(weights: Any) -> str:
    """Return a hash of a replica's weights [P], to the bit."""
    return _hash(weights.detach().contiguous().numpy().tobytes())


def _hash(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:12]
