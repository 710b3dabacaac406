"""Print the kernel that is compiled for a configuration, or compile those of the archs that ship: `python -m src.kernel`."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from learning_to_learn.commands.cli import command, exit_with, invoke
from learning_to_learn.errors import UserError

if TYPE_CHECKING:
    from learning_to_learn.gradients import Gradient
    from learning_to_learn.topology import Network

WARM = "warm"


def main() -> None:
    """Run the command on the shell's arguments."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(kernel, arguments, name="kernel")


@command(name="kernel")
@click.argument("words", nargs=-1)
def kernel(words: Sequence[str]) -> int:
    """Print the source of the kernel that a configuration compiles; with `warm`, compile the kernels of archs that ship.

    Examples:
      python -m src.kernel arch=lstm arch.gradient=rtrl
      python -m src.kernel plugins=[examples/leaky_neuron.py] "arch.layers=[{leaky_neuron: 4}]"
      python -m src.kernel warm lstm elman
      python -m src.kernel warm                       of all archs

    """
    if words[:1] == (WARM,):
        warm(words[1:])
    else:
        print(printed(*words), end="")
    return 0


def printed(*overrides: str) -> str:
    """Return the source that `python -m src.train <overrides>` compiles. Raises UserError where the arch cannot be fused."""
    from learning_to_learn.engine.fused.fused import print_kernel
    from learning_to_learn.engine.fused.trace import UnsupportedOperation
    from learning_to_learn.topology.module import ModuleNetwork

    network, gradient, batch = _composed(*overrides)
    if isinstance(network, ModuleNetwork):
        network.check_engine("fused")
    try:
        return print_kernel(network, gradient, batch=batch)
    except UnsupportedOperation as error:
        raise UserError(f"{error}: the reference engine runs it") from error


def warm(archs: Sequence[str] = ()) -> None:
    """Compile the kernels of these archs, or of all that ship, in float32, so that no first run waits for them."""
    from learning_to_learn.composing import options
    from learning_to_learn.engine import make_engine
    from learning_to_learn.topology.module import ModuleNetwork

    for name in archs or options("arch"):
        network, gradient, batch = _composed(f"arch={name}")
        if isinstance(network, ModuleNetwork):
            continue  # the reference engine runs it
        began = time.perf_counter()
        make_engine("auto", network, gradient, batch=batch)
        print(f"kernel of {name} ({network.describe()}, {gradient.name}): {time.perf_counter() - began:.1f} s", flush=True)


def _composed(*overrides: str) -> "tuple[Network, Gradient, int]":
    from learning_to_learn.composing import compose_config
    from learning_to_learn.config_check import check, make_gradient_of, make_network

    config = compose_config(*overrides)
    check(config)
    return make_network(config), make_gradient_of(config), config.trainer.batch
