"""`python -m src.verdict`: see learning_to_learn/commands/verdict.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("verdict")
