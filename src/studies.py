"""`python -m src.studies`: see learning_to_learn/commands/studies.py."""

from learning_to_learn.commands.studies import main

if __name__ == "__main__":
    main()
