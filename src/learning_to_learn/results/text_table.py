"""Lay a table out as text: wide where nobody sees it, and in a narrow terminal so that no value is ever cut."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
LINES = 3
"""Lines that a wrapped row may take; where it would take more, each row becomes a block."""


@dataclass(frozen=True)
class Column:
    """A column of texts."""

    heading: str
    cells: Sequence[str]
    number: bool = False
    """Whether it is aligned to the right, and never wrapped."""
    always: bool = False
    """Whether it stays a column where all its cells are equal."""

    @property
    def width(self) -> int:
        return max(map(len, (self.heading, *self.cells)))

    @property
    def least(self) -> int:
        """The width of its longest word, below which it cannot be wrapped."""
        return (
            self.width if self.number else max(len(w) for cell in (self.heading, *self.cells) for w in (cell.split() or [""]))
        )


def lay_out(columns: Sequence[Column], width: int | None = None) -> list[str]:
    """Return the lines of a table. None: as wide as it is, for a file or a pipe.

    Else columns whose cells are all equal are lifted into a line above the table; then texts are wrapped between words; where
    even that is too wide, every row becomes a block of `heading value` pairs.
    """
    columns = [Column(c.heading, [printable(cell) for cell in c.cells], c.number, c.always) for c in columns]
    if width is None:
        return _table(columns, [c.width for c in columns])
    lifted = [c for c in columns if len(c.cells) > 1 and not c.always and len(set(c.cells)) == 1]
    rest = [c for c in columns if c not in lifted]
    above = _pairs([(c.heading, c.cells[0]) for c in lifted], width)
    widths = [c.width for c in rest]
    while (over := sum(widths) + len(GAP) * (len(rest) - 1) - width) > 0:
        wide = max(range(len(rest)), key=lambda i: widths[i] - rest[i].least)
        if widths[wide] == rest[wide].least:
            break
        widths[wide] -= min(over, widths[wide] - rest[wide].least)
    wrapped = max((len(_wrap(cell, w)) for c, w in zip(rest, widths, strict=True) for cell in c.cells), default=1)
    if over <= 0 and wrapped <= LINES:
        return [*above, *_table(rest, widths)]
    return [*above, *_blocks(rest, width)]


def printable(text: str) -> str:
    """Return a text without what a terminal would take for a command."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _table(columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    lines = []
    for cells in zip(*((c.heading, *c.cells) for c in columns), strict=True):
        wrapped = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for number in range(max(map(len, wrapped))):
            parts = [
                f"{text[number] if number < len(text) else '':{'>' if c.number else '<'}{width}}"
                for text, c, width in zip(wrapped, columns, widths, strict=True)
            ]
            lines.append(GAP.join(parts).rstrip())
    return lines


def _blocks(columns: Sequence[Column], width: int) -> list[str]:
    lines = []
    for row in range(len(columns[0].cells)):
        for kind in (False, True):
            found = _pairs([(c.heading, c.cells[row]) for c in columns if c.number is kind], width - len(GAP))
            lines += [line if i == 0 and not kind else GAP + line for i, line in enumerate(found)]
    return lines


def _pairs(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """`heading value` pairs in lines of at most that width; a pair is broken only where it alone is too wide."""
    lines: list[str] = []
    for heading, value in pairs:
        pair = f"{heading} {value}"
        if lines and len(lines[-1]) + len(GAP) + len(pair) <= width:
            lines[-1] += GAP + pair
        else:
            lines += _wrap(pair, width)
    return lines


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
