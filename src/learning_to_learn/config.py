"""The shape of a job's configuration: every key, its type, its default and its range. Hydra composes it.

What no range can say (a batch that does not divide an epoch) is judged in config_check.py.
"""

import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from learning_to_learn.bounded_yaml import read_yaml
from learning_to_learn.engine import ENGINES
from learning_to_learn.errors import UserError, cause_in_a_line, choose
from learning_to_learn.families import FAMILIES, FamilyConfig
from learning_to_learn.optimizers import OPTIMIZERS, OptimizerConfig
from learning_to_learn.plugins import require, require_class
from learning_to_learn.ranges import file_name, number, one_of
from learning_to_learn.topology.fixed_weight import RULES

LAUNCHERS = ("basic", "packed", "joblib", "submitit_local", "submitit_slurm", "ray")
IN_THIS_PROCESS = ("basic", "packed")
"""The launchers that run the jobs of a sweep in the process that was started."""


@dataclass
class ArchConfig:
    """A topology and how its gradient is formed."""

    name: str = file_name()
    """What the arch is called in tables, and its job's folder in a sweep."""
    layers: list[dict[str, Any]] = MISSING
    """The units of each layer, such as [{memory_cell: 6, neuron: 6}], and its options, such as [{gru: 8, heads: 2}]. Vector
    units are given in groups: [{delta_rule: {count: 2, width: 8}}]."""
    parameters: int | None = number(None, least=1, below=10**6)
    """About how many parameters the network has: all counts of units are scaled by one factor that a solver finds; null: as
    `layers` says. size=s, m and l are 400, 1600 and 6400."""
    gradient: str = MISSING
    """How the error gradient is formed: bptt, truncated or rtrl; es estimates it, none forms none (optimizer=cma)."""
    window: int | None = number(None, least=1)
    """bptt only: cut the flow of error every so many cycles."""
    update_every: int | None = number(None, least=1)
    """Cycles from one weight update to the next; null: at the end of the sequence."""
    init_scale: float = number(0.5, above=0, per_replica=True)
    """Initial weights are uniform in [-init_scale, init_scale]."""
    bias: Any = field(default=None, metadata={"per_replica": True})
    """Centre of the initial biases by pre-activation, such as {input_gate: -1}; others as their unit says.

    (Hydra cannot put keys into an empty typed dictionary, so that config_check.py judges its type.)
    """
    module: str | None = None
    """A recurrent layer or cell of another library in place of `layers`, such as torch.nn.LSTM, torchrecurrent.LEM, or a class
    of your own; with arch=module, or by a file of conf/arch/. It is trained by bptt on the reference engine."""
    hidden_size: int = number(12, least=1)
    """module only: how many hidden units it is made with."""
    options: Any = None
    """module only: what else it is made with, such as {num_layers: 2}."""
    hold: Any = None
    """Pre-activations that are fixed at a number, such as {input_gate: 10}: a gate that is always open."""
    rule: str | None = one_of(RULES, None)
    """Wire a learner and this learning rule into a network of constant weights (arch=fwnn): delta, backprop or widrow_hoff."""
    hidden: int = number(0, least=0)
    """arch.rule only: the learner's hidden neurons; 0: it is one logistic neuron."""
    rate: float = number(1.0, above=0, per_replica=True)
    """arch.rule only: the learning rate of the rule."""
    start: str = one_of(("constructed", "random"), "constructed")
    """arch.rule only: begin with the weights of the rule, or at random in [-init_scale, init_scale]."""
    population: int | None = number(None, least=2)
    """arch.gradient=es only: perturbed networks of an update, an even number; null: 32."""
    deviation: float | None = number(None, above=0)
    """arch.gradient=es only: standard deviation of the perturbations; null: 0.05."""


@dataclass
class TrainerConfig:
    """How long and on what a job trains."""

    epochs: int = number(least=0)
    """Meta-training epochs; 0: measure the network as it begins."""
    sequences: int = number(100, least=1)
    """Sequences of an epoch."""
    batch: int = number(10, least=1)
    """Sequences of an update; it divides `sequences`."""
    evaluate_every: int = number(20, least=1)
    """Epochs from one look at the validation data to the next."""
    curriculum: list[int] = field(default_factory=list)
    """Sequence lengths to begin with, such as [32, 100, 300]: each for an equal share of `curriculum_part` of the epochs. One
    above the family's length counts as that."""
    curriculum_part: float = number(0.5, least=0, below=1)
    """The part of the epochs that the curriculum takes."""
    average: float = number(0.0, least=0, below=1)
    """Evaluate a running average of the weights with this decay an update, such as 0.999; 0: the weights themselves."""
    checkpoint_seconds: float = number(30.0, least=0)
    """The least time between two checkpoints; one more is written at every end."""


@dataclass
class LoggerConfig:
    """What wandb is given."""

    mode: str | None = one_of(("offline", "online", "disabled"), None)
    """offline, online (to the user's server) or disabled; null: what WANDB_MODE or WANDB_DISABLED says, else offline."""
    project: str | None = None
    """wandb's project; null: WANDB_PROJECT, else learning-to-learn."""
    entity: str | None = None
    """wandb's entity; null: WANDB_ENTITY, else the user's own."""
    group: str | None = None
    """wandb's group; null: WANDB_RUN_GROUP, else the sweep's day and folder, or the arch."""
    notes: str | None = None
    """What wandb shows beside the run, such as logger.notes='with the old clipping'; null: WANDB_NOTES."""
    tags: list[str] = field(default_factory=list)
    """Tags in wandb, such as logger.tags=[draft], besides those of WANDB_TAGS and the names of family, arch and experiment."""
    artifact: bool = False
    """Keep the checkpoint with the best median score on the validation data, and give it to wandb."""


@dataclass
class LauncherConfig:
    """Who runs the jobs of a sweep; a file of conf/launcher/ gives it, with Hydra's own settings of that launcher."""

    name: str = one_of(LAUNCHERS, "basic")
    """The launcher's name."""
    jobs: int = number(1, least=1)
    """Jobs at a time."""
    cores: int | None = number(None, least=1)
    """Cores of a job; null: this machine's, divided by `jobs`."""
    address: str | None = None
    """ray only: the address of a cluster; null: a Ray is started for the sweep."""
    wait: bool = True
    """submitit_slurm only: wait for the jobs; false: submit them and leave."""


@dataclass
class EvaluationConfig:
    """What a trained job is measured on."""

    mappings: int = number(8192, least=1)
    """Test sequences; the same ones for all replicas. Training looks at 512 others, or as many as this where it is less."""
    seed: int = number(0, least=0, below=2**64)
    """Seed of the test data: a stream of its own, which no training seed can touch."""


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
    """The file of conf/experiment/ that the job was composed with."""
    sweep: str | None = None
    """The study in sweeps/ that this is a job of."""
    replicas: int = number(4, least=1, per_replica=True)
    """Independent networks that the job trains, replica i with seed + i."""
    seed: int = number(0, least=0, below=2**63, per_replica=True)
    """The seed of the first replica."""
    engine: str = one_of(ENGINES, "auto")
    """Who runs the time loop: fused, reference, or auto: fused where the units allow it."""
    threads: int | None = number(None, least=1)
    """CPU threads of the job; null: the launcher's share, which for a single job is all."""
    plugins: list[str] = field(default_factory=list)
    """Modules of your own with units and families, such as [my_module, path/to/file.py]."""


_TABLES: dict[str, dict[str, Any]] = {"family": FAMILIES, "optimizer": OPTIMIZERS}
"""The groups whose schema depends on the option that is chosen."""


INCIDENTAL = ("logger", "launcher", "threads", "experiment", "sweep", "plugins", "trainer.checkpoint_seconds")
"""Keys that change how a job is run, not what it computes."""
LABELS = ("arch.name",)
"""Keys that only say what a job is called. `family.name` and `optimizer.name` choose what is computed."""


def fingerprint(config: Config | Mapping[str, Any]) -> str:
    """The same for two jobs that compute the same: of every key but the incidental ones and the labels, with the seeds.

    The mapping is what stands in a saved config.yaml. Raises KeyError where it lacks an incidental key or a label.
    """
    return hashlib.sha256(text_without((*INCIDENTAL, *LABELS), config).encode()).hexdigest()[:16]


def text_without(keys: Iterable[str], config: Config | Mapping[str, Any]) -> str:
    """Return a configuration without some keys, as text. Raises KeyError where it lacks one of `keys`."""
    plain: Any = dataclasses.asdict(config) if isinstance(config, Config) else copy.deepcopy(dict(config))
    for key in keys:
        *groups, name = key.split(".")
        node = plain
        for group in groups:
            node = node[group]
        del node[name]
    return json.dumps(plain, sort_keys=True)


def judge_fingerprint(found: str, expected: str | None, where: Path | str) -> None:
    """Raise UserError where a saved configuration is not what its run began with; None: that is not known."""
    if expected is not None and found != expected:
        raise UserError(f"{where} was changed after the run began: its fingerprint is {found}, the run's is {expected}")


def lacking(saved: Mapping[str, Any]) -> list[str]:
    """The keys that a saved configuration lacks. `to_yaml` writes all of them, also those with a default."""

    def walk(schema: Any, node: object, prefix: str) -> Iterator[str]:
        for key in dataclasses.fields(schema):
            name = f"{prefix}{key.name}"
            if not isinstance(node, Mapping) or key.name not in node:
                yield name
                continue
            # A type may be a text, where its module has all annotations so; the factory is none.
            inner: Any = key.default_factory if dataclasses.is_dataclass(key.default_factory) else key.type
            table = _TABLES.get(name)
            if table and isinstance(node[key.name], Mapping) and (owner := table.get(str(node[key.name].get("name")))):
                inner = owner.config
            if dataclasses.is_dataclass(inner):
                yield from walk(inner, node[key.name], f"{name}.")

    return list(walk(Config, saved, ""))


def register() -> None:
    """Make the schemas known to Hydra: those of the project, and those of the families and optimizers of a user's own.

    The project's own have a file in conf/ besides; a user's are options by themselves, `family=<name>`.
    """
    _store(None, "schema", Config)
    for group, node in (("arch", ArchConfig), ("trainer", TrainerConfig)):
        _store(group, "schema", node)
    for group, table in _TABLES.items():
        for name, owner in table.items():
            ours = owner.__module__.startswith(f"{__package__}.")
            _store(group, f"schema_{name}" if ours else name, owner.config)


def _store(group: str | None, name: str, node: Any) -> None:
    """Store what Hydra does not have yet: to read all schemas anew would be a sixth of every composing."""
    store = ConfigStore.instance()
    content: Any = store.repo if group is None else store.repo.get(group, {})
    known: Any = content.get(f"{name}.yaml")
    if known is None or OmegaConf.get_type(known.node) is not node:
        store.store(group=group, name=name, node=node)


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
        chosen = {group: choose(group, str(plain[group].get("name")), table) for group, table in _TABLES.items()}
        # A copy of the typed node, and a plain one made beforehand: half of the time of `OmegaConf.merge(schema, plain)`.
        typed = copy.deepcopy(_typed(tuple((group, owner.config) for group, owner in chosen.items())))
        merged = OmegaConf.unsafe_merge(typed, OmegaConf.create(plain))
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"no value for {', '.join(missing)}")
        config = cast(Config, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from None
    except TypeError as error:
        raise UserError(f"a value is of the wrong type: {cause_in_a_line(error)}") from None
    config.arch.bias, config.arch.hold = _as_floats(config.arch.bias), _as_floats(config.arch.hold)
    return config


@functools.cache
def _typed(groups: tuple[tuple[str, Any], ...]) -> DictConfig:
    """Return the defaults of these configurations, whose nodes know their types. To be copied, not changed."""
    return cast(DictConfig, OmegaConf.structured(Config(**{group: config() for group, config in groups})))


def _as_floats(given: Any) -> Any:
    """The numbers of a table as floats: {input_gate: 4} is {input_gate: 4.0}. Hydra cannot say so of a typed dictionary."""
    if not isinstance(given, dict):
        return given
    return {name: float(value) if type(value) is int else value for name, value in given.items()}


def to_yaml(config: Config) -> str:
    """The text that `load` reads."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def explain(error: BaseException) -> str:
    """What OmegaConf complains of, in one line, with the keys that are allowed where one was unknown."""
    line = str(error).splitlines()[0].rstrip(".:")
    key, node = getattr(error, "full_key", None), getattr(error, "object_type", None)
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and dataclasses.is_dataclass(node):
        allowed = ", ".join(f.name for f in dataclasses.fields(node))
        return f"unknown key {key}{_owners(str(key))}: choose one of {allowed}"
    return f"{key}: {line}" if key else line


def _owners(key: str) -> str:
    """Say which options of the group have a key that the one that was chosen has not."""
    group, _, name = key.partition(".")
    owners = [
        option for option, owner in _TABLES.get(group, {}).items() if name in {f.name for f in dataclasses.fields(owner.config)}
    ]
    return f" (only with {group}={' or '.join(owners)})" if owners else ""


def load(path: Path) -> Config:
    """A saved configuration. Nothing in it is executed or resolved. Raises UserError on a missing, damaged or foreign file."""
    try:
        found = read_yaml(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run folder holds a config.yaml") from None
    except (UserError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} is no configuration of ours")
    if "${" in json.dumps(found):  # it could name an environment variable
        raise UserError(f"{path} is no configuration of ours: it holds an interpolation ${{...}}, which is not resolved")
    named, arch = found.get("plugins"), found.get("arch")
    require_class(arch.get("module") if isinstance(arch, dict) else None)
    require([str(one) for one in named] if isinstance(named, list) else [])
    try:
        config = conform(OmegaConf.create(found))
    except UserError as error:
        raise UserError(f"{path} is no configuration of ours: {error}") from None
    if keys := lacking(found):
        raise UserError(f"{path} lacks {', '.join(keys)}: lines were removed from it, or another version wrote it")
    return config
