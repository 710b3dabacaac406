"""A search by Optuna as a Hydra sweeper: `hydra/sweeper=optuna`, or `sweep=optuna` for the study in sweeps/.

Optuna proposes a batch of `n_jobs` trials, Hydra's launcher runs them, and Optuna is told their scores. A trial that fails or
whose score is not a finite number is told as failed, and the search continues. The study lies in the sweep folder, and the
number of a trial is the number of its job, so that a search that is resumed never writes into an earlier trial's folder. Trials
that were under way when the search stopped are finished first.
"""

import itertools
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig, OmegaConf

from learning_to_learn.errors import UserError
from learning_to_learn.runs.run_folder import Status, get_status

if TYPE_CHECKING:  # Optuna is imported when a search starts, not by every command
    from optuna import Study
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)

RESULTS = "optimization_results.yaml"
DIRECTIONS = ("maximize", "minimize")
OVERRIDES, FOLDER = "overrides", "folder"
"""What a trial carries besides its parameters: its job's overrides, and the name of its sweep folder."""


@dataclass
class SamplerConfig:
    """How the next trial is proposed."""

    _target_: str = MISSING
    seed: int | None = None


@dataclass
class TPEConfig(SamplerConfig):
    _target_: str = "optuna.samplers.TPESampler"
    n_startup_trials: int = 10
    n_ei_candidates: int = 24
    multivariate: bool | None = None


@dataclass
class RandomConfig(SamplerConfig):
    _target_: str = "optuna.samplers.RandomSampler"


@dataclass
class NSGAIIConfig(SamplerConfig):
    _target_: str = "optuna.samplers.NSGAIISampler"
    population_size: int = 50
    mutation_prob: float | None = None
    crossover_prob: float = 0.9
    swapping_prob: float = 0.5


SAMPLERS = {"tpe": TPEConfig, "random": RandomConfig, "nsgaii": NSGAIIConfig}


@dataclass
class OptunaSweeperConfig:
    """What is searched, for how long, and where the study is kept."""

    _target_: str = "hydra_plugins.learning_to_learn_optuna.OptunaSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    sampler: SamplerConfig = MISSING
    direction: str = "minimize"
    """Whether a larger score is better: `maximize` or `minimize`."""
    storage: str | None = "sqlite:///${hydra.sweep.dir}/optuna.db"
    """The address of Optuna's storage; null keeps the study in memory, so that it cannot be resumed."""
    study_name: str | None = "search"
    n_trials: int = 20
    n_jobs: int = 2
    """Trials that are proposed, and launched, together."""
    params: dict[str, Any] | None = None
    """The space that is searched: a key and its `interval`, `range` or `choice`, or a list with commas."""


def register() -> None:
    """Make `hydra/sweeper=optuna` and its samplers known to Hydra."""
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConfig, provider="learning_to_learn")
    for name, config in SAMPLERS.items():
        store.store(group="hydra/sweeper/sampler", name=name, node=config, provider="learning_to_learn")


class Search:
    """What `hydra_plugins.learning_to_learn_optuna` builds from an OptunaSweeperConfig: `setup`, then `sweep`."""

    def __init__(
        self,
        sampler: Any,
        direction: str,
        storage: str | None,
        study_name: str | None,
        n_trials: int,
        n_jobs: int,
        params: DictConfig | None,
    ) -> None:
        self.sampler, self.direction, self.storage, self.study_name = sampler, direction, storage, study_name
        self.n_trials, self.n_jobs, self.params = n_trials, n_jobs, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        if self.direction not in DIRECTIONS:
            raise UserError(f"unknown hydra.sweeper.direction {self.direction!r}: choose one of {', '.join(DIRECTIONS)}")
        if self.n_jobs < 1:
            raise UserError(f"hydra.sweeper.n_jobs={self.n_jobs}: it must be at least 1")
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.folder = Path(config.hydra.sweep.dir)

    def sweep(self, arguments: list[str]) -> None:
        """Make `n_trials` trials with these overrides, of which those that sweep extend the space of `params`."""
        import optuna

        self.folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self.folder / "multirun.yaml")
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = [*(f"{key!s}={value}" for key, value in (self.params or {}).items()), *arguments]
        space, fixed = read_space(parser.parse_overrides(given))
        study = optuna.create_study(
            study_name=self.study_name,
            storage=self.storage,
            sampler=self.sampler,
            direction=self.direction,  # type: ignore[arg-type]  # `setup` has judged it
            load_if_exists=True,
        )
        left = self.n_trials
        for batch in self._stopped(study, arguments):
            left -= sum(not self._has_finished(number) for number in batch)
            self._run(study, batch)
        while left > 0:
            numbers = [self._propose(study, space, fixed) for _ in range(min(left, self.n_jobs))]
            for batch in _consecutive(numbers, self.n_jobs):
                self._run(study, batch)
            left -= len(numbers)
        self._save_best(study)

    def _propose(self, study: "Study", space: "dict[str, BaseDistribution]", fixed: dict[str, str]) -> int:
        """The number of a new trial, whose overrides are kept with it."""
        trial = study.ask(space)
        values = {**{key: as_override(value) for key, value in trial.params.items()}, **fixed}
        trial.set_user_attr(FOLDER, self.folder.name)
        trial.set_user_attr(OVERRIDES, [f"{key}={value}" for key, value in values.items()])
        return trial.number

    def _stopped(self, study: "Study", given: list[str]) -> list[list[int]]:
        """The trials of this folder that were under way when an earlier search stopped, in batches.

        Raises UserError where a trial has an override that is neither given now nor one that a folder may have.
        """
        from optuna.trial import TrialState

        from learning_to_learn.jobs.recorded_words import why_not

        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # A trial without overrides was stopped before its job could start.
        mine = [t for t in running if t.user_attrs.get(FOLDER) == self.folder.name and OVERRIDES in t.user_attrs]
        for word in (word for trial in mine for word in map(str, trial.user_attrs[OVERRIDES]) if word not in given):
            if why_not(word):
                raise UserError(
                    f"{self.folder}: a stopped trial has {word!r}, which is not taken from a folder ({why_not(word)})"
                )
        return list(_consecutive([trial.number for trial in mine], self.n_jobs))

    def _has_finished(self, number: int) -> bool:
        return any(get_status(path) is Status.FINISHED for path in self.folder.glob(f"{number}_*"))

    def _run(self, study: "Study", numbers: list[int]) -> None:
        """Run the jobs of these trials, whose numbers are consecutive, and tell the study how they ended."""
        from optuna.trial import TrialState

        trials = study.get_trials(deepcopy=False)
        jobs = [trials[number].user_attrs[OVERRIDES] for number in numbers]
        returns = self.launcher.launch(jobs, initial_job_idx=numbers[0])
        for number, returned in zip(numbers, returns, strict=True):
            score = _score(returned)
            if math.isfinite(score):
                study.tell(number, score)
            else:
                study.tell(number, state=TrialState.FAIL)
                log.warning("trial %d failed: %s", number, json.dumps(jobs[number - numbers[0]]))

    def _save_best(self, study: "Study") -> None:
        from optuna.trial import TrialState

        found: dict[str, Any] = {"name": "optuna", "best_params": None, "best_value": None}
        if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            found.update(best_params=study.best_params, best_value=study.best_value)
        OmegaConf.save(OmegaConf.create(found), self.folder / RESULTS)


def read_space(overrides: Sequence[Override]) -> "tuple[dict[str, BaseDistribution], dict[str, str]]":
    """Return what is searched, as Optuna's distributions, and what stays fixed, as text.

    A later override of a key replaces an earlier one.

    `a=interval(0,1) b=tag(log,interval(1,8)) c=range(1,9,2) d=choice(x,y) e=1,2 f=3` searches a to e and fixes f.
    """
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for override in overrides:
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            space[key] = _distribution(override)
        else:
            fixed[key] = override.get_value_element_as_str()
    return space, fixed


def as_override(value: Any) -> str:
    """A value that Optuna proposed, as Hydra reads it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        integer = isinstance(value.start, int) and isinstance(value.end, int)
        kind = IntDistribution if integer else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)  # type: ignore[arg-type]
    if isinstance(value, RangeSweep) and not value.shuffle:
        numbers = list(value.range())  # without its end, as in Python
        kind = FloatDistribution if any(isinstance(n, float) for n in numbers) else IntDistribution
        return kind(min(numbers), max(numbers), step=abs(value.step))  # type: ignore[arg-type]
    return CategoricalDistribution(list(override.sweep_iterator(transformer=Transformer.encode)))  # type: ignore[arg-type]


def _score(returned: JobReturn) -> float:
    """What the job returned, or NaN where it failed."""
    try:
        return float(returned.return_value)
    except Exception as error:  # noqa: BLE001  Hydra raises here whatever the job raised
        log.debug("%s", error)
        return math.nan


def _consecutive(numbers: Sequence[int], most: int) -> Iterator[list[int]]:
    """Runs of consecutive numbers, of at most so many: a launcher numbers its jobs from a first one."""
    for _, run in itertools.groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        run_numbers = [number for _, number in run]
        yield from (run_numbers[start : start + most] for start in range(0, len(run_numbers), most))
