"""`python -m src.probe`: see learning_to_learn/commands/probe.py."""

from learning_to_learn.commands.probe import main

if __name__ == "__main__":
    main()
