"""`python -m src.evaluate`: see learning_to_learn/commands/evaluate.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("evaluate")
