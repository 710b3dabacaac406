"""`python -m src.reproduce`: see learning_to_learn/paper/reproduce.py."""

from learning_to_learn.paper.reproduce import main

if __name__ == "__main__":
    main()
