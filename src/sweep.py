"""`python -m src.sweep`: see learning_to_learn/commands/sweep.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("sweep")
