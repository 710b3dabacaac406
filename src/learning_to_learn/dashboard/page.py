"""The page: its parts in one piece of HTML, with the data inside or to be fetched from the server."""

import json
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@cache
def shell() -> str:
    """Return everything but the data."""
    from plotly.offline import get_plotlyjs

    text = (HERE / "page.html").read_text(encoding="utf-8")
    for mark, content in (
        ("/*STYLE*/", (HERE / "page.css").read_text(encoding="utf-8")),
        ("/*SCRIPT*/", (HERE / "page.js").read_text(encoding="utf-8")),
        ("/*PLOTLY*/", get_plotlyjs()),
    ):
        text = text.replace(mark, content, 1)
    return text


def with_data(data: dict[str, Any]) -> str:
    """One file that needs no other and no network."""
    return shell().replace("/*DATA*/", to_json(data), 1)


def without_data() -> str:
    """The page that asks its server for the data."""
    return shell().replace("/*DATA*/", "", 1)


def to_json(data: dict[str, Any]) -> str:
    """JSON that can stand inside a script element: no tag can end it. NaN, which JSON has not, is null."""
    return json.dumps(_finite(data), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and value - value != 0 else value
