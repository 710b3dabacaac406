"""`python -m src.compare`: see learning_to_learn/commands/compare.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("compare")
