"""A trained run, read back from its folder."""

from pathlib import Path

from learning_to_learn.runs.checkpoint import load_checkpoint, restore
from learning_to_learn.runs.saved_config import load_config
from learning_to_learn.training.learner import MetaLearner


def load_run(folder: Path) -> MetaLearner:
    """Return the learner as it was when its run ended. Raise UserError where the folder holds none."""
    config = load_config(folder)
    learner = MetaLearner(config)
    restore(learner, load_checkpoint(folder, config))
    return learner
