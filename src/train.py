"""`python -m src.train`: see learning_to_learn/commands/train.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("train")
