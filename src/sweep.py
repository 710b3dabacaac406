"""`python -m src.sweep`: see learning_to_learn/commands/sweep.py."""

from learning_to_learn.commands.sweep import main

if __name__ == "__main__":
    main()
