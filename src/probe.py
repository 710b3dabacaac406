"""`python -m src.probe`: see learning_to_learn/commands/probe.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("probe")
