"""`python -m src.reproduce`: see learning_to_learn/commands/reproduce.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("reproduce")
