"""What a key of a configuration may be, declared where the key is.

    lr: float = number(above=0)
    betas: list[float] = numbers([0.9, 0.99], least=0, below=1, count=2)
    schedule: str = one_of(SCHEDULES, "constant")

`check_ranges(config)` judges every key of a configuration by these. A key that is declared with `per_replica=True` only scales
numbers, so that it may differ from replica to replica of a job; `per_replica_keys(config)` lists them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from learning_to_learn.errors import UserError, unknown
from learning_to_learn.registry import MISSING

LARGEST = 3.4e38
"""About the largest number of float32, which everything is computed in: what is above it would be infinite."""
LONGEST_NAME = 100
"""Bytes of a name that a folder's name may contain; a file system takes 255 for all of it."""


@dataclass(frozen=True)
class Range:
    """The values that a key may have. null is judged by the key's type, not here."""

    least: float | None = None
    above: float | None = None
    below: float | None = None
    allowed: Iterable[str] | None = None
    count: int | None = None
    """How many values a list must have."""
    file_name: bool = False
    """Whether folders are named by it."""

    def check(self, key: str, value: Any) -> None:
        """Raise UserError, one line that names `key`, where the value is out of range. NaN and infinity always are."""
        if self.allowed is not None:
            if value not in self.allowed:
                raise unknown(key, value, self.allowed)
            return
        if self.file_name:
            if value != as_file_name(value):
                raise UserError(
                    f"{key}={repr(value)[1:-1]}: folders are named by it: give at most {LONGEST_NAME} bytes, no / and no .."
                )
            return
        values = value if isinstance(value, list) else [value]
        if self.count is not None and len(values) != self.count:
            raise UserError(f"{key}={value}: give {self.count} numbers")
        for number in values:
            if self.above is not None and not self.above < number <= LARGEST:
                raise UserError(f"{key}={value}: it must be a number above {self.above:g}")
            if self.least is not None and not self.least <= number <= LARGEST:
                raise UserError(f"{key}={value}: it must be at least {self.least:g}")
            if self.below is not None and not number < self.below:
                raise UserError(f"{key}={value}: it must be below {self.below:g}")


def number(
    default: Any = MISSING,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    per_replica: bool = False,
) -> Any:
    """Declare a key that holds a number, or null where its type allows it."""
    return field(default=default, metadata={"range": Range(least, above, below), "per_replica": per_replica})


def numbers(
    default: Sequence[float],
    *,
    least: float | None = None,
    below: float | None = None,
    count: int | None = None,
    per_replica: bool = False,
) -> Any:
    """Declare a key that holds a list of numbers."""
    metadata = {"range": Range(least, None, below, None, count), "per_replica": per_replica}
    return field(default_factory=lambda: list(default), metadata=metadata)


def one_of(allowed: Iterable[str], default: Any = MISSING) -> Any:
    """Declare a key that holds one of some words; `allowed` may be a registry that grows."""
    return field(default=default, metadata={"range": Range(allowed=allowed)})


def file_name(default: Any = MISSING) -> Any:
    """Declare a key that folders are named by."""
    return field(default=default, metadata={"range": Range(file_name=True)})


def as_file_name(text: str) -> str:
    """Return the text without what could lead into another folder, or is no name: "../x" is ".._x"."""
    plain = re.sub(r"[/\\\x00-\x1f\x7f]", "_", text).encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore")
    return plain if plain.strip(".") else f"_{plain}"


def check_ranges(config: Any, prefix: str = "") -> None:
    """Judge every key of a configuration, and of those within it. Raises UserError on the first that is out of range."""
    elements = _elements(type(config))  # type: ignore[arg-type]
    for key in dataclasses.fields(config):
        name, value = f"{prefix}{key.name}", getattr(config, key.name)
        if isinstance(value, list) and key.name in elements:
            _check_elements(name, value, elements[key.name])
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{name}.")
        elif value is not None and "range" in key.metadata:
            key.metadata["range"].check(name, value)


@cache
def _elements(kind: type) -> dict[str, type]:
    """What the lists of a configuration hold, by key: of those that hold numbers or words."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        for option in (hint, *get_args(hint)):  # a list, or a list or null
            if get_origin(option) is list and get_args(option)[0] in (int, float, str):
                found[name] = get_args(option)[0]
    return found


def _check_elements(name: str, values: list[Any], kind: type) -> None:
    """Raise UserError where a list holds something else: OmegaConf lets a table or a null pass among numbers."""
    allowed = str if kind is str else int | float
    if any(not isinstance(value, allowed) or isinstance(value, bool) for value in values):
        what = {str: "words", int: "whole numbers", float: "numbers"}[kind]
        raise UserError(f"{name}={values}: a list of {what}, and nothing else")


def per_replica_keys(config: Any, prefix: str = "") -> list[str]:
    """Return the keys that may differ from replica to replica of a job, such as ["seed", "optimizer.lr"]."""
    found = []
    for key in dataclasses.fields(config):
        value = getattr(config, key.name)
        if dataclasses.is_dataclass(value):
            found += per_replica_keys(value, f"{prefix}{key.name}.")
        elif key.metadata.get("per_replica"):
            found.append(f"{prefix}{key.name}")
    return found
