"""The commands: `python -m src.train` in a checkout, `learning-to-learn train` where the package is installed."""

import sys
from importlib import import_module

from learning_to_learn.errors import unknown
from learning_to_learn.jobs.signals import INTERRUPTED, interruption

COMMANDS = {
    "train": ("learning_to_learn.commands.train", "train networks, alone or in a sweep"),
    "sweep": ("learning_to_learn.commands.sweep", "look at a sweep, resume it, make one table of it"),
    "evaluate": ("learning_to_learn.commands.evaluate", "measure a trained run again, also on other tasks"),
    "probe": ("learning_to_learn.commands.probe", "what a trained network keeps in its cells"),
    "reproduce": ("learning_to_learn.commands.reproduce", "Table 1 and Figure 3 of the paper"),
    "compare": ("learning_to_learn.commands.compare", "which topologies learn to learn"),
    "studies": ("learning_to_learn.commands.studies", "run the studies of sweeps/, and answer their questions"),
    "verdict": ("learning_to_learn.commands.verdict", "judge archs, each tuned with the same budget, over fresh seeds"),
    "floors": ("learning_to_learn.commands.floors", "estimate the Bayes floors of the families"),
    "dashboard": ("learning_to_learn.commands.dashboard", "runs in the browser, as one file, or in wandb"),
    "kernel": ("learning_to_learn.commands.kernel", "show the printed kernel of a topology, or compile those that ship"),
}


def main() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h"):
        print(usage())
        return
    if name not in COMMANDS:
        print(f"error: {unknown('command', name, COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)
    del sys.argv[1]
    sys.path.insert(0, "")  # as with python -m: a plugin is found in the working directory, also by the workers
    start(name)


def start(name: str) -> None:
    """Run a command on the shell's arguments. It may be interrupted from here on, while it imports, too."""
    interruption.own()
    try:
        import_module(COMMANDS[name][0]).main()
    except SystemExit:
        raise
    except BaseException as error:
        if not interruption.asked and not isinstance(error, KeyboardInterrupt):
            raise
        interruption.tell()
        sys.exit(INTERRUPTED)
    finally:
        interruption.settle()


def usage() -> str:
    """What `learning-to-learn --help` says."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "Usage: learning-to-learn COMMAND [--help] ...",
            "",
            "Commands:",
            *(f"  {name:{width}}  {line}" for name, (_, line) in COMMANDS.items()),
            "",
            "Examples:",
            "  learning-to-learn train arch=lstm trainer=quick",
            "  learning-to-learn train -m arch=lstm,elman,rtrl family=boolean",
            "  learning-to-learn train --help",
        ]
    )
