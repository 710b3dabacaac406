"""`python -m src.kernel`: see learning_to_learn/commands/kernel.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("kernel")
