"""Read YAML that somebody else may have written: plain values only, of bounded size, depth and cost.

PyYAML's safe loader runs no code, but a few hundred bytes of aliases can take it minutes and gigabytes, nested brackets exceed
Python's recursion limit, and of two equal keys the last one wins in silence.
"""

import unicodedata
from pathlib import Path
from typing import Any

import yaml

from learning_to_learn.errors import UserError

MOST_BYTES = 1_000_000
DEEPEST = 20
LONGEST = 10_000
"""The most characters of a value."""
LARGEST = 2**64
"""Whole numbers are smaller: Python refuses to print one of more than 4300 digits."""
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: dicts with text as keys, lists, text, numbers, True, False and None.

    A date stays text. Raises UserError, which names no file, on a file that is larger than MOST_BYTES or damaged, on nesting
    deeper than DEEPEST, aliases, tags, control characters and a key that occurs twice; OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"it is larger than {MOST_BYTES:,} bytes")
    try:
        text = content.decode("utf-8")
        _bound(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UserError(" ".join(str(error).split()) or type(error).__name__) from None


def _bound(text: str) -> None:
    """Refuse what would be costly to load, from the parser's events, which are read one after the other."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"line {_line(event)}: an alias is not allowed")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise UserError(f"line {_line(event)}: a tag is not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise UserError(f"line {_line(event)}: it is nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent):
            if len(event.value) > LONGEST:
                raise UserError(f"line {_line(event)}: a value is longer than {LONGEST:,} characters")
            if any(unicodedata.category(c) == "Cc" for c in event.value if c not in "\n\t"):
                raise UserError(f"line {_line(event)}: a value holds a control character")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Loader(_Base):
    """The safe loader without dates, where equal keys, other keys than text and enormous numbers are errors."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise UserError(f"line {line}: a key is no text")
            if key in seen:
                raise UserError(f"line {line}: the key {key[:40]!r} is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_bounded_int(self, node: yaml.ScalarNode) -> int:
        """Return the whole number of a node."""
        number = self.construct_yaml_int(node)
        if abs(number) >= LARGEST:
            raise UserError(f"line {node.start_mark.line + 1}: a number of more than 64 bits")
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_bounded_int)
