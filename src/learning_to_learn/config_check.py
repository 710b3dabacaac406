"""What makes a configuration unfit to run, besides a single key's range: checked before anything is built."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from learning_to_learn.config import Config, LauncherConfig
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import Gradient, make_gradient
from learning_to_learn.optimizers import OPTIMIZERS
from learning_to_learn.plugins import find_class
from learning_to_learn.ranges import LARGEST, check_ranges
from learning_to_learn.topology import Network
from learning_to_learn.topology.fixed_weight import RULES, FixedWeight, check_rule, fixed_weight, learner
from learning_to_learn.topology.module import ModuleNetwork, module_network
from learning_to_learn.topology.size import scale_layers


def make_network(config: Config) -> Network:
    """Return the topology that the configuration describes. Raises UserError on a unit or a count that there is not."""
    if config.arch.rule:
        return make_fixed_weight(config).network
    if config.arch.module is not None:
        return _module_network(config)
    family = config.family.make()
    hold = {name: float(number) for name, number in (config.arch.hold or {}).items()}

    def build(layers: Sequence[Mapping[str, Any]]) -> Network:
        return Network.of(
            layers,
            inputs=config.family.shown(family),
            outputs=family.output_size,
            kind=family.output,
            loss=family.loss,
            error_feedback=config.family.feedback == "error",
            hold=hold,
        )

    try:
        if config.arch.parameters is None:
            return build(config.arch.layers)
        return scale_layers(config.arch.layers, config.arch.parameters, build)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith("arch.") else f"arch.layers: {error}") from None


def make_fixed_weight(config: Config) -> FixedWeight:
    """Return the network into which `arch.rule` is wired. Raises UserError where the rule does not fit the learner."""
    arch = config.arch
    check_rule(str(arch.rule), arch.hidden)
    if arch.layers or arch.hold or arch.parameters is not None:
        raise UserError("arch.rule wires its own layers: leave arch.layers=[], arch.hold=null and arch.parameters=null")
    if config.family.feedback == "error":
        raise UserError("arch.rule hears the previous target, as family.feedback=target shows it")
    family = config.family.make()
    if (family.output, family.output_size) != ("logistic", 1) or config.family.encoding != "paper":
        raise UserError(
            "arch.rule wires a learner with one logistic output, which is shown the previous target: not this family"
        )
    made = fixed_weight(learner(family.input_size, arch.hidden), RULES[str(arch.rule)](arch.rate))
    network = replace(made.network, loss=family.loss)
    return FixedWeight(replace(made.wired, network=network))


def make_gradient_of(config: Config) -> Gradient:
    """Return the learning algorithm that the configuration names. Raises UserError where it is given what it has not."""
    arch = config.arch
    return make_gradient(arch.gradient, window=arch.window, population=arch.population, deviation=arch.deviation)


def _module_network(config: Config) -> ModuleNetwork:
    """Return the network of a module of torch's signature. Raises UserError, one line, on what it cannot have."""
    arch, name = config.arch, config.arch.module
    assert name is not None
    if not isinstance(arch.options, dict | None):
        raise UserError(f"arch.options={arch.options}: give what {name} is made with, such as {{num_layers: 2}}")
    for key in ("layers", "bias", "hold"):
        if getattr(arch, key):
            raise UserError(f"arch.{key}: {name} has no units of ours; it takes arch.hidden_size and arch.options")
    if config.family.feedback == "error":
        raise UserError(f"family.feedback=error: {name} cannot hear the network's own output")
    family = config.family.make()
    network = module_network(
        name, find_class(name), arch.hidden_size, arch.options or {}, arch.parameters, inputs=config.family.shown(family),
        outputs=family.output_size, kind=family.output, loss=family.loss,
    )  # fmt: skip
    network.check_gradient(arch.gradient)
    network.check_engine(config.engine)
    if not network.state_size:
        for key, given in (("arch.window", arch.window), ("arch.update_every", arch.update_every)):
            if given is not None:
                raise UserError(f"{key}={given}: {name} keeps no state of a fixed size, so that a sequence cannot be cut")
        if config.family.carry_state:
            raise UserError(f"family.carry_state: {name} keeps no state of a fixed size that could be carried on")
    return network


def check(config: Config) -> None:
    """Raise UserError, one line, on a value that no job could run with."""
    for key in ("bias", "hold"):
        _check_numbers(key, getattr(config.arch, key))
    check_ranges(config)  # before torch is imported
    network = make_network(config)
    make_gradient_of(config).check(network)
    if OPTIMIZERS[config.optimizer.name].searches != (config.arch.gradient == "none"):
        raise UserError(
            f"optimizer={config.optimizer.name} with arch.gradient={config.arch.gradient}: an optimizer that searches (cma) "
            "goes with arch.gradient=none, and no other one does"
        )
    family = config.family.make()
    config.family.make(test=True)
    if family.moving and config.family.training_mappings is not None:
        raise UserError(
            f"family.training_mappings: {family.name} moves while it is shown, so that no finite set can be its prior"
        )
    _check_launcher(config.launcher)
    trainer = config.trainer
    if any(length < 1 for length in trainer.curriculum):
        raise UserError(f"trainer.curriculum={trainer.curriculum}: lengths are whole numbers >= 1")
    if trainer.sequences % trainer.batch:
        raise UserError(
            f"trainer.sequences={trainer.sequences} is no multiple of trainer.batch={trainer.batch}: "
            "an epoch is a whole number of updates"
        )


def _check_launcher(launcher: LauncherConfig) -> None:
    """Raise UserError on a setting that this launcher has not."""
    if launcher.address is not None and launcher.name != "ray":
        raise UserError(f"launcher.address={launcher.address}: only launcher=ray joins a cluster by its address")
    if not launcher.wait and launcher.name != "submitit_slurm":
        raise UserError("launcher.wait=false: only launcher=submitit_slurm submits jobs and leaves")


def _check_numbers(key: str, given: object) -> None:
    """Raise UserError where arch.bias or arch.hold is not a finite number for each pre-activation that it names."""

    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST

    if given is not None and not (isinstance(given, dict) and all(map(is_number, given.values()))):
        raise UserError(f"arch.{key}={given}: give a number for each pre-activation, such as {{input_gate: -1}}")
