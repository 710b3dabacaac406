"""The commands of a checkout: `python -m src.train` and its neighbours. What they do is in the package `learning_to_learn`."""
