"""`python -m src.compare`: see learning_to_learn/results/compare.py."""

from learning_to_learn.results.compare import main

if __name__ == "__main__":
    main()
