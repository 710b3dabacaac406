"""`python -m src.train`: see learning_to_learn/commands/train.py."""

from learning_to_learn.commands.train import main

if __name__ == "__main__":
    main()
