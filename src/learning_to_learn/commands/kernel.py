"""Print the kernel that is compiled for a configuration, or compile those of all archs.

python -m src.kernel arch=lstm arch.gradient=rtrl    prints the source
python -m src.kernel warm                            compiles the kernels of conf/arch/ into the cache
"""

import time

from learning_to_learn.commands.cli import compose_config, exit_with, options
from learning_to_learn.config import Config, make_network
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import Gradient, make_gradient
from learning_to_learn.topology import Network


def main() -> None:
    """Run the command on the shell's arguments."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    if arguments in (["--help"], ["-h"]):
        print(__doc__)
    elif arguments == ["warm"]:
        warm()
    else:
        print(printed(*arguments), end="")
    return 0


def printed(*overrides: str) -> str:
    """The source that `python -m src.train <overrides>` compiles. Raises UserError where the arch cannot be fused."""
    from learning_to_learn.engine.fused.fused import print_kernel  # noqa: PLC0415 - numba and torch take a second
    from learning_to_learn.engine.fused.trace import UnsupportedOperation  # noqa: PLC0415

    try:
        return print_kernel(*_network(compose_config(*overrides)))
    except UnsupportedOperation as error:
        raise UserError(f"{error}: the reference engine runs it") from error


def warm() -> None:
    """Compile the kernels of all archs that ship, in float32, so that no first run waits for them."""
    from learning_to_learn.engine import make_engine  # noqa: PLC0415

    for name in options("arch"):
        network, gradient = _network(compose_config(f"arch={name}"))
        began = time.perf_counter()
        make_engine("auto", network, gradient)
        print(f"{name}: {network.describe()}, {gradient.name}: {time.perf_counter() - began:.1f} s", flush=True)


def _network(config: Config) -> tuple[Network, Gradient]:
    return make_network(config), make_gradient(config.arch.gradient, window=config.arch.window)
