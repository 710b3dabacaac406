"""A trained run, read back from its folder."""

from pathlib import Path

from src.checkpoint import load_checkpoint, restore
from src.config import load
from src.learner import MetaLearner


def load_run(folder: Path) -> MetaLearner:
    """The learner as it was when its run ended. Raises UserError where the folder holds none."""
    learner = MetaLearner(load(folder / "config.yaml"))
    restore(learner, load_checkpoint(folder))
    return learner
