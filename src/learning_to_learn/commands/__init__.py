"""The commands: `python -m src.train` in a checkout, `learning-to-learn train` where the package is installed."""

import sys
from importlib import import_module

from learning_to_learn.errors import unknown

COMMANDS = {
    "train": "learning_to_learn.commands.train",
    "sweep": "learning_to_learn.commands.sweep",
    "evaluate": "learning_to_learn.commands.evaluate",
    "probe": "learning_to_learn.commands.probe",
    "reproduce": "learning_to_learn.commands.reproduce",
    "compare": "learning_to_learn.commands.compare",
    "floors": "learning_to_learn.commands.floors",
    "dashboard": "learning_to_learn.commands.dashboard",
}


def main() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        raise SystemExit(f"error: {unknown('command', name, COMMANDS)}")
    del sys.argv[1]
    import_module(COMMANDS[name]).main()
