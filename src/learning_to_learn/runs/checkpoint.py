"""Checkpoints: everything that a resumed run needs. They hold only tensors and plain values, so that none can run code.

    checkpoints/last.ckpt       the newest; previous.ckpt is the one before it, for the case that the newest is damaged
    checkpoints/best.ckpt       the one with the best validation score, where `logger.artifact` asks for it

A checkpoint carries the SHA-256 of its content and the fingerprint of its configuration. Nothing of it reaches a learner before
both fit, and before every value has the type, the shape and the range that the learner expects.
"""

import hashlib
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learning_to_learn.compiled import compiled
from learning_to_learn.config import Config, fingerprint
from learning_to_learn.errors import UserError
from learning_to_learn.randomness import GOLDEN
from learning_to_learn.training.learner import ALIVE, MetaLearner

CHECKPOINT = Path("checkpoints/last.ckpt")
PREVIOUS = Path("checkpoints/previous.ckpt")
BEST = Path("checkpoints/best.ckpt")
DAMAGED = ".damaged"
"""Appended to the name of a damaged checkpoint when a run resumes from the one before it."""

CONTENT = ("state_dict", "learning", "fingerprint")
CHECKSUM = "checksum"
LARGE, LANES, HALF = 2**16, 16, np.uint64(32)
"""Bytes from which a tensor is condensed before it is hashed, in so many lanes of 64 bits."""

_log = logging.getLogger(__name__)


class DamagedCheckpoint(UserError):
    """No checkpoint of a run can be used; what there is stays as it is."""


def save_checkpoint(folder: Path, learner: MetaLearner, name: Path = CHECKPOINT) -> None:
    """Write a checkpoint whole or not at all: it is written aside and moved into place.

    The last one becomes previous.ckpt. A process that is killed between the two moves leaves that one.
    """
    path = folder / name
    path.parent.mkdir(exist_ok=True)  # not its parents: a run folder that was removed is not made again
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    content = {
        "state_dict": learner.state_dict(),
        "learning": learner.learning_state(),
        "fingerprint": fingerprint(learner.config),
    }
    try:
        torch.save({**_apart(content), CHECKSUM: checksum(content)}, aside)
        if name == CHECKPOINT and path.exists():
            path.replace(folder / PREVIOUS)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def load_checkpoint(folder: Path, config: Config | None = None) -> dict[str, Any]:
    """Return the last checkpoint of a run folder; where it is damaged, the one before it, and log a warning that says so.

    `config` is what the run was trained with: a checkpoint of another configuration is refused like a damaged one.
    Raise DamagedCheckpoint, one line, where neither can be used, or there is none.
    """
    return _newest(folder, config)[1]


def resume_checkpoint(folder: Path, config: Config) -> dict[str, Any] | None:
    """Return the checkpoint that a run goes on from, or None where it has none yet; see `load_checkpoint`.

    A damaged last.ckpt is renamed, so that the next checkpoint does not push out the one before it.
    """
    if not any((folder / name).exists() for name in (CHECKPOINT, PREVIOUS)):
        return None
    name, found = _newest(folder, config)
    damaged = folder / CHECKPOINT
    if name == PREVIOUS and damaged.exists():
        damaged.replace(damaged.with_name(damaged.name + DAMAGED))
    return found


def best_checkpoint(folder: Path, config: Config) -> Path:
    """Return the path of the checkpoint with the best validation score, where it was kept and is sound; else of the last."""
    if (folder / BEST).exists():
        try:
            read_checkpoint(folder / BEST, config)
        except DamagedCheckpoint as error:
            _log.warning("%s; the last checkpoint is used instead", error)
        else:
            return folder / BEST
    return folder / CHECKPOINT


def read_checkpoint(path: Path, config: Config | None = None) -> dict[str, Any]:
    """Return the content of a checkpoint file. Raise DamagedCheckpoint, one line, where it is not what was written."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds on damaged or hostile files
        raise DamagedCheckpoint(f"{path} is damaged or not ours ({type(error).__name__}); nothing in it was executed") from None
    if not isinstance(found, dict) or not {"state_dict", "learning"} <= set(found):
        raise DamagedCheckpoint(f"{path} is a checkpoint of something else")
    if set(found) != {*CONTENT, CHECKSUM}:
        raise DamagedCheckpoint(f"{path} has no checksum: an older version wrote it, or it was changed; train the run again")
    try:
        sound = found.pop(CHECKSUM) == checksum(found)
    except Exception:  # noqa: BLE001 - a hostile file may hold tensors of any kind
        sound = False
    if not sound:
        raise DamagedCheckpoint(f"{path} is damaged or not ours: its content does not fit its checksum")
    if config is not None and found["fingerprint"] != fingerprint(config):
        raise DamagedCheckpoint(f"{path} does not fit its config.yaml: one of the two is from another run, or was changed")
    return found


def restore(learner: MetaLearner, checkpoint: dict[str, Any]) -> None:
    """Put a checkpoint's weights into a learner of the same configuration.

    Everything is judged first: where something does not fit, raise UserError, and the learner is as it was.
    """
    found = {"state_dict": checkpoint["state_dict"], "learning": checkpoint["learning"]}
    if isinstance(found["learning"], dict) and not learner.config.family.carry_state:
        found["learning"] = {**found["learning"], "carry": None}  # it may have been trained with one, and is measured without
    carries = isinstance(found["learning"], dict) and found["learning"].get("carry") is not None
    expected = {
        "state_dict": learner.state_dict(),
        "learning": {**learner.learning_state(), "carry": learner.empty_carry() if carries else None},
    }
    _compare(found, expected, "checkpoint")
    _judge_values(found, learner)
    learner.load_state_dict(found["state_dict"])
    learner.load_learning_state(found["learning"])


def _apart(value: Any) -> Any:
    """The same content with no view into a larger tensor: torch would write all of that."""
    if isinstance(value, dict):
        return {key: _apart(inner) for key, inner in value.items()}
    if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() > value.numel() * value.element_size():
        return value.clone()
    return value


def checksum(content: object) -> str:
    """Return the SHA-256 of tensors and plain values: of their types, shapes, keys and bytes (see `_condensed`)."""
    digest = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, torch.Tensor):
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise TypeError("a tensor is larger than its storage")
            digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
            digest.update(_condensed(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()).tobytes())
        elif isinstance(value, dict):
            digest.update(f"dict {len(value)} ".encode())
            for key in sorted(value):
                digest.update(f"{key!r} ".encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            digest.update(f"{type(value).__name__} {len(value)} ".encode())
            for one in value:
                add(one)
        elif value is None or isinstance(value, bool | int | float | str):
            digest.update(f"{type(value).__name__} {value!r} ".encode())
        else:
            raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")

    add(content)
    return digest.hexdigest()


def _condensed(raw: np.ndarray) -> np.ndarray:
    """The bytes themselves where they are few; else a few that depend on all of them, at 20 GB/s where SHA-256 makes 0.6."""
    if raw.size < LARGE:
        return raw
    whole = raw.size // (8 * LANES) * 8 * LANES
    lanes = np.zeros(LANES, np.uint64)
    _fold(raw[:whole].view(np.uint64).reshape(-1, LANES), lanes)
    return np.concatenate([lanes.view(np.uint8), raw[whole:]])


@compiled()
def _fold(words: np.ndarray, lanes: np.ndarray) -> None:  # pragma: no cover - compiled
    """Mix words [N, LANES] into the lanes. Every step is one-to-one, so that a change of one word always shows."""
    for i in range(words.shape[0]):
        for k in range(lanes.shape[0]):
            mixed = (lanes[k] ^ words[i, k]) * GOLDEN
            lanes[k] = mixed ^ (mixed >> HALF)


def _newest(folder: Path, config: Config | None) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint that can be used, and its name."""
    wrong: list[DamagedCheckpoint] = []
    for name in (CHECKPOINT, PREVIOUS):
        if not (folder / name).is_file():
            continue
        try:
            found = read_checkpoint(folder / name, config)
        except DamagedCheckpoint as error:
            wrong.append(error)
            continue
        if name == PREVIOUS:
            why = wrong[0] if wrong else f"{folder / CHECKPOINT} is missing"
            epochs = found["learning"].get("epochs_done") if isinstance(found["learning"], dict) else None
            _log.warning("%s; the checkpoint before it is used, of epoch %s", why, epochs)
        return name, found
    if len(wrong) > 1:
        raise DamagedCheckpoint(f"{wrong[0]}; {PREVIOUS.name}, the one before it, cannot be used either")
    if wrong:
        raise wrong[0]
    raise DamagedCheckpoint(
        f"{folder / CHECKPOINT}: no such checkpoint; give a run folder that was trained, such as runs/<day>/<time>"
    )


def _compare(found: object, expected: object, where: str) -> None:
    """Raise UserError where types, keys or shapes are not those expected."""
    if isinstance(expected, torch.Tensor):
        if not isinstance(found, torch.Tensor) or (found.dtype, found.layout) != (expected.dtype, expected.layout):
            raise _damaged(f"{where} is no tensor of {expected.dtype}")
        if found.shape != expected.shape:
            raise _unfit(f"{where} has shape {list(found.shape)}, not {list(expected.shape)}")
    elif type(found) is not type(expected) and not (isinstance(found, dict) and isinstance(expected, dict)):
        raise _damaged(f"{where} is of the wrong type")
    elif isinstance(expected, dict) and isinstance(found, dict):
        if set(found) != set(expected):
            raise _unfit(f"{where} has other keys")
        for key, value in expected.items():
            _compare(found[key], value, f"{where}.{key}")


def _judge_values(found: dict[str, Any], learner: MetaLearner) -> None:
    """Raise UserError where a value, whose type is right, is none that training can have left."""
    learning, state = found["learning"], found["state_dict"]
    if not 0 <= learning["epochs_done"] <= learner.config.trainer.epochs:
        raise _damaged(f"epochs_done is {learning['epochs_done']}")
    if not 0 <= learning["seconds"] < math.inf:
        raise _damaged(f"seconds is {learning['seconds']}")
    if learning["optimizer"]["updates"] < 0:
        raise _damaged(f"updates is {learning['optimizer']['updates']}")
    diverged_at = state["diverged_at"]
    if not ((diverged_at >= ALIVE) & (diverged_at < max(learning["epochs_done"], 1))).all():
        raise _damaged("diverged_at is no epoch that was trained")
    alive = diverged_at == ALIVE
    for name in ("weights", "average"):
        if name in state and not state[name][alive].isfinite().all():
            raise _damaged(f"{name} of a replica that has not diverged are not finite")


def _damaged(why: str) -> UserError:
    return UserError(f"the checkpoint is damaged or not ours: {why}")


def _unfit(why: str) -> UserError:
    return UserError(f"the checkpoint does not fit its config.yaml: one of the two is from another run ({why})")
