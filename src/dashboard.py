"""`python -m src.dashboard`: see learning_to_learn/commands/dashboard.py."""

from learning_to_learn.commands import start

if __name__ == "__main__":
    start("dashboard")
