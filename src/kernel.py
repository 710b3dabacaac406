"""`python -m src.kernel`: see learning_to_learn/commands/kernel.py."""

from learning_to_learn.commands.kernel import main

if __name__ == "__main__":
    main()
