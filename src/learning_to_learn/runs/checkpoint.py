"""Checkpoints: everything that training goes on from. They hold only tensors and plain values, so that none can run code."""

import os
from pathlib import Path

import torch

from learning_to_learn.errors import UserError
from learning_to_learn.training.learner import MetaLearner

CHECKPOINT = Path("checkpoints/last.ckpt")
BEST = Path("checkpoints/best.ckpt")


def load_checkpoint(folder: Path) -> dict:
    """Return the last checkpoint of a run folder.

    Raise UserError, one line, where it is missing, damaged or not ours.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; give a run folder that was trained, such as runs/<day>/<time>")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds on damaged or hostile files
        raise UserError(f"{path} is damaged or not ours ({type(error).__name__}); nothing in it was executed") from None
    if not isinstance(found, dict) or not {"state_dict", "learning"} <= set(found):
        raise UserError(f"{path} is a checkpoint of something else")
    return found


def best_checkpoint(folder: Path) -> Path:
    """Return the path of the checkpoint with the best validation score, where it was kept; else that of the last."""
    return folder / (BEST if (folder / BEST).exists() else CHECKPOINT)


def save_checkpoint(folder: Path, learner: MetaLearner, name: Path = CHECKPOINT) -> None:
    """Write a checkpoint whole or not at all: it is written aside and moved into place."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)  # not its parents: a run folder that was removed is not made again
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save({"state_dict": learner.state_dict(), "learning": learner.learning_state()}, aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)  # on a full disk its room is needed
        raise


def restore(learner: MetaLearner, checkpoint: dict) -> None:
    """Put a checkpoint's weights into a learner of the same configuration. Raise UserError where they do not fit."""
    try:
        learner.load_state_dict(checkpoint["state_dict"])
        learner.load_learning_state(checkpoint["learning"])
    except (RuntimeError, KeyError, TypeError, AttributeError, ValueError):
        raise UserError("the checkpoint does not fit its config.yaml: one of the two is from another run") from None
