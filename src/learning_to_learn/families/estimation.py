"""The Bayes floor of a family without a closed form: its own Bayes predictor on fresh sequences, kept on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from learning_to_learn.compiled import cache_folder
from learning_to_learn.families.family import Family, Losses
from learning_to_learn.lazy import torch
from learning_to_learn.losses import divergence, loss_of

if TYPE_CHECKING:
    from torch import Tensor

SEQUENCES = 4096
NUMBERS = 2_000_000
"""Cycles times sequences of an estimate, at most: some seconds of most predictors."""
AT_LEAST = 256
AT_ONCE = 512
SEED = 2001


def estimated_losses(family: Family, cycles: int) -> Losses:
    """Return the expected losses of the family's Bayes predictor, with standard errors over sequences.

    The mean y of the source that knows the mapping is known, so that the luck of the noise is left out: E[loss(y, m)] is the
    source's own loss plus the divergence of m from it.
    """
    key = (type(family).__module__, type(family).__qualname__, family.floor_key, family.output, family.loss, cycles)
    if key not in _kept:
        stored = _stored(key)
        found = None if stored is None else _read(stored)
        if found is None:
            found = estimate(family, cycles, min(SEQUENCES, family.predictable, max(AT_LEAST, NUMBERS // cycles)))
            if stored is not None:
                _write(stored, found)
        _kept[key] = found
    return _kept[key]


_kept: dict[tuple, Losses] = {}


def estimate(family: Family, cycles: int, sequences: int, seed: int = SEED) -> Losses:
    """Return the expected losses over so many fresh sequences of so many cycles."""
    random = np.random.default_rng(seed)
    pieces = [_piece(family, cycles, min(AT_ONCE, sequences - first), random) for first in range(0, sequences, AT_ONCE)]
    losses, fixed, known = (torch.cat(part).numpy() for part in zip(*pieces, strict=True))
    values, errors = losses.mean(0), losses.std(0, ddof=1) / sequences**0.5
    constant = fixed.mean(1)
    return Losses(
        tuple(values.tolist()),
        tuple(errors.tolist()),
        float(constant.mean()),
        float(constant.std(ddof=1) / sequences**0.5),
        float(known[:, -1].mean()),
        float(losses.mean(1).std(ddof=1) / sequences**0.5),
    )


def draw(family: Family, cycles: int, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return mappings [N, E], x [N, T, d] and y [N, T, m] of `count` sequences."""

    def uniforms(*shape: int) -> Tensor:
        return torch.from_numpy(random.random((count, *shape)))

    mapping = family.mappings(uniforms(family.dimensions_at(cycles)))
    x = family.inputs(uniforms(cycles, family.input_size))
    return mapping, x, family.targets(mapping, x, uniforms(cycles, family.noise_uniforms))


def _piece(family: Family, cycles: int, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return the losses [N, T] of the Bayes predictor, of the best fixed function, and of the source."""
    mapping, x, y = draw(family, cycles, count, random)
    source, best = family.known(mapping, x, y), family.bayes(mapping, x, y)
    fixed = family.no_learning_outputs(x, y)
    kind = family.output, family.loss
    own = loss_of(source, source if family.loss == "log" else y, *kind)
    learnt = own + divergence(source, best, *kind)
    never = learnt[:, :1] if fixed is None else own + divergence(source, fixed, *kind)
    return learnt, never, own


@cache
def _code() -> bytes:
    """What the predictors are; another version's estimates would have other files."""
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))


def _stored(key: tuple) -> Path | None:
    """The file of an estimate; None for a family of a user's own, whose code may change without our knowing."""
    if not key[0].startswith("learning_to_learn."):
        return None
    return cache_folder() / "floors" / f"{hashlib.sha256(repr(key).encode() + _code()).hexdigest()[:24]}.json"


def _read(path: Path) -> Losses | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Losses(tuple(map(float, found.pop("values"))), tuple(map(float, found.pop("errors"))), **found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, or a damaged one: estimated anew
        return None


def _write(path: Path, found: Losses) -> None:
    with suppress(OSError):  # a cache: where it cannot be written, the next job estimates anew
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
        aside.replace(path)
