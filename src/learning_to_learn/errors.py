"""The one exception that means: the user asked for something that does not exist. Commands print it as one line."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """What was wrong and what is allowed, in one line."""


class RunError(UserError):
    """A job that could run has failed: the request was right, so that the exit code is another one."""


def choose(what: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or a UserError that names `what` and lists what exists."""
    if name in table:
        return table[name]
    raise unknown(what, name, table)


def unknown(what: str, name: object, allowed: Iterable[object]) -> UserError:
    """The error for a name that is not among the allowed ones."""
    return UserError(f"unknown {what} {str(name)!r}: choose one of {', '.join(sorted(map(str, allowed)))}")


def cause_in_a_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
