"""`python -m src.floors`: see learning_to_learn/commands/floors.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("floors")
