"""The shape of a job's configuration: every key, its type and its default. Hydra composes it, from `conf/` and the shell.

Values that Hydra cannot judge (a unit's name, a negative rate) are judged by `check`, before anything is built.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from learning_to_learn.engine import ENGINES
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.families import Boolean, Family, Quadratic, SemiLinear
from learning_to_learn.gradients import make_gradient
from learning_to_learn.optimizers import OPTIMIZERS, SCHEDULES
from learning_to_learn.plugins import require
from learning_to_learn.topology import Network

LAUNCHERS = ("basic", "joblib", "submitit_local", "submitit_slurm", "ray")
IN_THIS_PROCESS = "basic"
"""The launcher that runs the jobs of a sweep in the process that was started."""


@dataclass
class ArchConfig:
    """A topology and how its gradient is formed."""

    name: str = MISSING
    layers: list[dict[str, int]] = MISSING
    gradient: str = MISSING
    window: int | None = None
    """bptt only: cut the flow of error every so many cycles."""
    update_every: int | None = None
    """Cycles from one weight update to the next; null: at the end of the sequence."""
    init_scale: float = 0.5
    """Initial weights are uniform in [-init_scale, init_scale]."""
    bias: Any = None
    """Centre of the initial biases by pre-activation, such as {input_gate: -1}; others as their unit says.

    (Typed by `check`: Hydra cannot put keys into an empty typed dictionary.)
    """


@dataclass
class FamilyConfig:
    """A family of mappings and how its sequences are shown."""

    name: str = MISSING
    sequence_length: int = MISSING
    feedback: str = "target"
    """What the third input carries: the previous cycle's `target`, or the `error` of its output."""
    carry_state: bool = False
    """Does the state survive into the next mapping?"""
    corpus: str = "fresh"
    """`fresh`: new instances every epoch; `fixed`: the same ones, as in the paper."""

    def make(self, *, test: bool = False) -> Family:
        """The family that this says; with `test`, of its test mappings."""
        raise NotImplementedError


@dataclass
class BooleanConfig(FamilyConfig):
    functions: list[int] | None = None
    """Truth tables to train on, 0 to 15; null: all."""
    test_functions: list[int] | None = None
    """Truth tables to test on; null: those trained on."""

    def make(self, *, test: bool = False) -> Family:
        return Boolean((self.test_functions if test else None) or self.functions)


@dataclass
class SemiLinearConfig(FamilyConfig):
    def make(self, *, test: bool = False) -> Family:  # noqa: ARG002
        return SemiLinear()


@dataclass
class QuadraticConfig(FamilyConfig):
    scaling: str = "global"

    def make(self, *, test: bool = False) -> Family:  # noqa: ARG002
        return Quadratic(self.scaling)


@dataclass
class OptimizerConfig:
    name: str = MISSING
    lr: float = MISSING
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    """adam"""
    momentum: float = 0.0
    """sgd, rmsprop"""
    decay: float = 0.99
    """rmsprop: of the running mean square; soap: of the running mean of g g^T"""
    refresh: int = 200
    """soap: updates from one search for new axes to the next"""
    schedule: str = "constant"
    warmup: float = 0.0
    """The part of the updates during which the rate rises from zero."""
    clip: float | None = 1.0
    """The largest gradient norm of a replica; null: no clipping."""


@dataclass
class TrainerConfig:
    epochs: int = MISSING
    sequences: int = 100
    """Of an epoch."""
    batch: int = 10
    """Sequences of an update."""
    evaluate_every: int = 20
    """Epochs from one look at the validation data to the next."""
    curriculum: list[int] = field(default_factory=list)
    """Sequence lengths to begin with, such as [32, 100, 300]: each for an equal share of `curriculum_part` of the epochs."""
    curriculum_part: float = 0.5
    average: float = 0.0
    """Evaluate a running average of the weights with this decay an update, such as 0.999; 0: the weights themselves."""
    checkpoint_seconds: float = 30.0
    """The least time between two checkpoints; one more is written at every end."""


@dataclass
class LoggerConfig:
    mode: str = "offline"
    """offline, online (to the user's server) or disabled"""
    project: str = "learning-to-learn"
    entity: str | None = None
    group: str | None = None
    """null: the sweep's folder, or the arch."""
    artifact: bool = False
    """Keep the checkpoint with the best median score on the validation data, and give it to wandb."""


@dataclass
class LauncherConfig:
    """Who runs the jobs of a sweep; a file of conf/launcher/ gives it, with Hydra's own settings of that launcher."""

    name: str = "basic"
    jobs: int = 1
    """At a time."""
    cores: int | None = None
    """Of a job; null: this machine's, divided by `jobs`."""
    address: str | None = None
    """ray only: of a cluster; null: a Ray is started for the sweep."""


@dataclass
class EvaluationConfig:
    mappings: int = 512
    """Test sequences; the same ones for all replicas."""
    seed: int = 0
    """Of the test data: a stream of its own, which no training seed can touch."""


@dataclass
class Config:
    """A job."""

    arch: ArchConfig = MISSING
    family: FamilyConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = MISSING
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    launcher: LauncherConfig = field(default_factory=LauncherConfig)
    experiment: str | None = None
    sweep: str | None = None
    """The study in sweeps/ that this is a job of."""
    replicas: int = 4
    seed: int = 0
    """Of the first replica; replica i has seed + i."""
    engine: str = "auto"
    threads: int | None = None
    """CPU threads of the job; null: the launcher's share, which for a single job is all."""
    plugins: list[str] = field(default_factory=list)
    """Modules of your own with units and families, such as [my_module, path/to/file.py]."""


SCHEMAS: dict[str, type[FamilyConfig]] = {
    "boolean": BooleanConfig,
    "semilinear": SemiLinearConfig,
    "quadratic": QuadraticConfig,
}


INCIDENTAL = ("logger", "launcher", "threads", "experiment", "sweep", "plugins", "trainer.checkpoint_seconds")
"""Keys that change how a job is run and called, not what it computes."""


def fingerprint(config: Config) -> str:
    """The same for two jobs that compute the same: of every key but the incidental ones, with the seeds."""
    plain: Any = dataclasses.asdict(config)
    for key in INCIDENTAL:
        *groups, name = key.split(".")
        node = plain
        for group in groups:
            node = node[group]
        del node[name]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def register() -> None:
    """Make the schemas known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, node in (("arch", ArchConfig), ("optimizer", OptimizerConfig), ("trainer", TrainerConfig)):
        store.store(group=group, name="schema", node=node)
    for name, schema in SCHEMAS.items():
        store.store(group="family", name=f"schema_{name}", node=schema)


def add_family(schema: type[FamilyConfig]) -> None:
    """Make a family of one's own known as `family=<name>`; the schema's defaults must give its name and sequence_length."""
    SCHEMAS[schema.name] = schema
    ConfigStore.instance().store(group="family", name=schema.name, node=schema)


def conform(raw: DictConfig | Config) -> Config:
    """A composed or saved configuration as plain dataclasses. Raises UserError on a key or type that the schema has not."""
    if isinstance(raw, Config):
        return raw
    try:
        # A plain copy: a typed node would bring along keys that its own type never had.
        plain: Any = OmegaConf.to_container(raw, resolve=True)
        for group in ("arch", "family", "optimizer", "trainer"):
            if not isinstance(plain, dict) or not isinstance(plain.get(group), dict):
                raise UserError(f"there is no {group}: choose one with {group}=...")
        schema = choose("family", str(plain["family"].get("name")), SCHEMAS)
        merged = OmegaConf.merge(OmegaConf.structured(Config(family=schema())), plain)
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from None
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        raise UserError(f"no value for {', '.join(missing)}")
    return cast(Config, OmegaConf.to_object(merged))


def to_yaml(config: Config) -> str:
    """The text that `load` reads."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def explain(error: BaseException) -> str:
    """What OmegaConf complains of, in one line, with the keys that are allowed where one was unknown."""
    line = str(error).splitlines()[0].rstrip(".:")
    key, node = getattr(error, "full_key", None), getattr(error, "object_type", None)
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and dataclasses.is_dataclass(node):
        allowed = ", ".join(f.name for f in dataclasses.fields(node))
        return f"unknown key {key}: choose one of {allowed}"
    return f"{key}: {line}" if key else line


def load(path: Path) -> Config:
    """A saved configuration. Raises UserError on a missing, damaged or foreign file. Nothing in the file is executed."""
    try:
        raw = OmegaConf.load(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run folder holds a config.yaml") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if not isinstance(raw, DictConfig):
        raise UserError(f"{path} is no configuration of ours")
    named = OmegaConf.to_container(raw).get("plugins")  # type: ignore[union-attr]
    require([str(one) for one in named] if isinstance(named, list) else [])
    try:
        return conform(raw)
    except UserError as error:
        raise UserError(f"{path} is no configuration of ours: {error}") from None


def make_network(config: Config) -> Network:
    return Network.of(config.arch.layers, error_feedback=config.family.feedback == "error")


def check(config: Config) -> None:
    """Raise UserError, one line, on a value that no job could run with."""
    make_network(config)
    make_gradient(config.arch.gradient, window=config.arch.window)
    config.family.make()
    config.family.make(test=True)
    for key, allowed in (
        ("family.feedback", ("target", "error")),
        ("family.corpus", ("fixed", "fresh")),
        ("optimizer.name", OPTIMIZERS),
        ("optimizer.schedule", SCHEDULES),
        ("logger.mode", ("offline", "online", "disabled")),
        ("engine", ENGINES),
        ("launcher.name", LAUNCHERS),
    ):
        value = attrgetter(key)(config)
        if value not in allowed:
            raise unknown(key, value, allowed)
    bias = config.arch.bias
    numbers = isinstance(bias, dict) and all(isinstance(v, int | float) for v in bias.values())
    if bias is not None and not numbers:
        raise UserError(f"arch.bias={bias}: give a number for each pre-activation, such as {{input_gate: -1}}")
    for key, least in (
        ("replicas", 1),
        ("seed", 0),
        ("evaluation.seed", 0),
        ("evaluation.mappings", 1),
        ("family.sequence_length", 1),
        ("trainer.epochs", 1),
        ("trainer.sequences", 1),
        ("trainer.batch", 1),
        ("trainer.evaluate_every", 1),
        ("arch.update_every", 1),
        ("threads", 1),
        ("launcher.jobs", 1),
        ("launcher.cores", 1),
        ("optimizer.refresh", 1),
        ("optimizer.warmup", 0),
        ("trainer.checkpoint_seconds", 0),
        ("trainer.curriculum_part", 0),
        ("trainer.average", 0),
    ):
        value = attrgetter(key)(config)
        if value is not None and not value >= least:
            raise UserError(f"{key}={value}: it must be at least {least}")
    for key in ("optimizer.lr", "optimizer.clip", "arch.init_scale"):
        value = attrgetter(key)(config)
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"{key}={value}: it must be a number above 0")
    for key in ("trainer.curriculum_part", "trainer.average", "optimizer.warmup"):
        if attrgetter(key)(config) >= 1:
            raise UserError(f"{key}={attrgetter(key)(config)}: it must be below 1")
    if any(length < 1 for length in config.trainer.curriculum):
        raise UserError(f"trainer.curriculum={config.trainer.curriculum}: lengths are whole numbers >= 1")
    if config.trainer.curriculum and config.family.carry_state:
        raise UserError(
            "trainer.curriculum and family.carry_state do not go together: a state is carried between equal lengths"
        )
    if config.trainer.sequences % config.trainer.batch:
        raise UserError(
            f"trainer.sequences={config.trainer.sequences} is no multiple of trainer.batch={config.trainer.batch}: "
            "an epoch is a whole number of updates"
        )
