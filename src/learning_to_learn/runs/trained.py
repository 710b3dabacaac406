"""A trained run, read back from its folder."""

from pathlib import Path

from learning_to_learn.config import load
from learning_to_learn.runs.checkpoint import load_checkpoint, restore
from learning_to_learn.runs.run_folder import CONFIG
from learning_to_learn.training.learner import MetaLearner


def load_run(folder: Path) -> MetaLearner:
    """Return the learner as it was when its run ended. Raise UserError where the folder holds none."""
    learner = MetaLearner(load(folder / CONFIG))
    restore(learner, load_checkpoint(folder))
    return learner
