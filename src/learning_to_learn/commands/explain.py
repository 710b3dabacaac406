"""One line for every key of the configuration, from the docstrings under the fields of its schema."""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator

from omegaconf import MISSING

from learning_to_learn.config import Config
from learning_to_learn.errors import UserError
from learning_to_learn.families import FAMILIES, AtTest
from learning_to_learn.plugins import LOADED


def explain_keys(prefix: str = "") -> list[str]:
    """`key = default: explanation` for every key at or under `prefix`; for all keys where it is empty.

    Raises UserError where there is no such key.
    """
    rows: dict[str, str] = {}
    for key, line in _rows(Config, ""):
        if not prefix or key == prefix or key.startswith(f"{prefix}."):
            rows[key] = _for_both(rows[key], line) if key in rows else line
    if not rows:
        every = list(dict.fromkeys(key for key, _ in _rows(Config, "")))
        group = prefix.split(".", maxsplit=1)[0]
        near = [key for key in every if key.startswith(f"{group}.")] or list(dict.fromkeys(k.split(".")[0] for k in every))
        raise UserError(f"unknown key {prefix!r}: choose one of {', '.join(near)}")
    width = max(map(len, rows))
    return [f"{key:{width}}  {line}" for key, line in rows.items()]


def _for_both(before: str, line: str) -> str:
    """The line of a key that several options have: the last one's words, with the names of all."""
    found = [named[1].split(", ") for named in (re.search(r" \(([^()]+) only\)$", text) for text in (before, line)) if named]
    names = list(dict.fromkeys(name for owners in found for name in owners))  # a plugin may have been imported again
    return line if len(names) < 2 else f"{line[: line.rindex(' (')]} ({', '.join(names)} only)"


def field_docstrings(schema: type) -> dict[str, str]:
    """The docstring under every field of a dataclass and of its bases, as one line."""
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(_source(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = next((node.body for node in tree.body if isinstance(node, ast.ClassDef)), [])
        for field, text in itertools.pairwise(body):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)):
                continue
            if isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
                found[field.target.id] = " ".join(inspect.cleandoc(text.value.value).split("\n\n")[0].split())
    return found


def _source(schema: type) -> str:
    """The text of a class; also of one in a plugin's file, whose module `sys.modules` does not keep."""
    for plugin in LOADED.values():
        if plugin.module.__name__ == schema.__module__:
            node = next(n for n in ast.parse(plugin.source).body if isinstance(n, ast.ClassDef) and n.name == schema.__name__)
            return ast.get_source_segment(plugin.source, node) or ""
    return inspect.getsource(schema)


def _rows(schema: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Every key with its line; the keys of the schemas that a group chooses from follow those that all have."""
    texts = field_docstrings(schema)
    for field in dataclasses.fields(schema):
        kind, key = _kind(schema, field), prefix + field.name
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield from _rows(kind, f"{key}.")
            for name, more in _choices(kind):
                known = {f.name for f in dataclasses.fields(kind)}
                own = field_docstrings(more)
                for f in dataclasses.fields(more):
                    if f.name not in known:
                        yield f"{key}.{f.name}", f"{_default(f)}{own.get(f.name, '')} ({name} only)"
        else:
            yield key, f"{_default(field)}{texts.get(field.name, '')}".rstrip(" :")


def _kind(schema: type, field: dataclasses.Field) -> typing.Any:
    return typing.get_type_hints(schema)[field.name] if isinstance(field.type, str) else field.type


def _choices(kind: type) -> list[tuple[str, type]]:
    """The schemas that extend this one, by the name of the family or the optimizer."""
    found: list[tuple[str, type]] = []
    for one in list[type](type.__subclasses__(kind)):
        name = getattr(one, "name", MISSING)
        if issubclass(one, AtTest):
            name = ", ".join(owner for owner, family in FAMILIES.items() if family.config().test.__class__ is one)
        found.append((one.__name__.removesuffix("Config").lower() if name == MISSING else str(name), one))
        found += _choices(one)
    return found


def _default(field: dataclasses.Field) -> str:
    """The default as one would type it, in brackets; empty where a value must be given."""
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if value is dataclasses.MISSING or value == MISSING:
        return ""
    words = {"None": "null", "True": "true", "False": "false"}
    return f"[{words.get(str(value), value)}] " if not isinstance(value, list) else f"{value} "
