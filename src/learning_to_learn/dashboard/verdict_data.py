"""The verdicts that a folder holds, read as data: what is not of the expected shape is left out, and named."""

from pathlib import Path
from typing import Any

from learning_to_learn.runs.run_folder import legible, read_json
from learning_to_learn.verdicts.page_data import CONTENDER, CONTRAST, PAGE

LARGEST = 2**22
"""Bytes of a file that is read."""
TABLES = {"contenders": CONTENDER, "contrasts": CONTRAST}
CURVES = {"scores": ("values",), "tuning": ("expected", "low", "high")}
TEXTS = ("title", "answer", "warning")


def verdicts_under(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the verdicts in a folder or in one right below it, and a line for each file that could not be used."""
    found, notes, seen = [], [], set()
    for path in [folder / PAGE, *sorted(folder.glob(f"*/{PAGE}"))]:
        if not path.is_file():
            continue
        data = read_json(path) if path.stat().st_size <= LARGEST else None
        if data is None or not is_verdict(data):
            notes.append(f"{legible(path)} is damaged: it is left out")
        elif data["title"] not in seen:
            seen.add(data["title"])
            found.append(data)
    return found, notes


def is_verdict(data: Any) -> bool:
    """Whether a value has the shape that `page_data.page_of` gives."""
    if not isinstance(data, dict) or not all(isinstance(data.get(key), str) for key in TEXTS):
        return False
    named = (data.get("problems"), data.get("costs"))
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in named):
        return False
    rows_fit = all(_are_rows(data.get(key), lambda row, c=columns: set(c) <= set(row)) for key, columns in TABLES.items())
    return rows_fit and all(
        _are_rows(data.get(key), lambda row, c=columns: _is_curve(row, c)) for key, columns in CURVES.items()
    )


def _are_rows(rows: Any, fits: Any) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) and fits(row) for row in rows)


def _is_curve(row: dict[str, Any], columns: tuple[str, ...]) -> bool:
    if not all(isinstance(row.get(key), str) for key in ("contender", "problem")):
        return False
    return all(isinstance(row.get(key), list) and all(_is_number(v) for v in row[key]) for key in columns)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
