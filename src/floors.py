"""`python -m src.floors`: see learning_to_learn/commands/floors.py."""

from learning_to_learn.commands.floors import main

if __name__ == "__main__":
    main()
