"""`python -m src.probe`: see learning_to_learn/results/probe.py."""

from learning_to_learn.results.probe import main

if __name__ == "__main__":
    main()
