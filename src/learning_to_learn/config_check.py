"""What makes a configuration unfit to run, besides a single key's range: checked before anything is built."""

from collections.abc import Mapping, Sequence
from typing import Any

from learning_to_learn.config import Config, LauncherConfig
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.plugins import find_class
from learning_to_learn.ranges import LARGEST, check_ranges
from learning_to_learn.topology import Network
from learning_to_learn.topology.module import ModuleNetwork, module_network
from learning_to_learn.topology.size import scale_layers


def make_network(config: Config) -> Network:
    """Return the topology that the configuration describes. Raises UserError on a unit or a count that there is not."""
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
    check_ranges(config.family, "family.")
    for key in ("bias", "hold"):
        _check_numbers(key, getattr(config.arch, key))
    check_ranges(config.arch, "arch.")
    make_gradient(config.arch.gradient, window=config.arch.window).check(make_network(config))
    family = config.family.make()
    config.family.make(test=True)
    check_ranges(config)
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
