"""The page: its parts in one piece of HTML, with the data inside or to be fetched from the server."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@cache
def _parts() -> dict[str, str]:
    """What stands at each mark of page.html."""
    from plotly.offline import get_plotlyjs

    files = {"/*STYLE*/": "page.css", "/*SCRIPT*/": "page.js"}
    return {
        **{mark: (HERE / name).read_text(encoding="utf-8") for mark, name in files.items()},
        "/*PLOTLY*/": get_plotlyjs(),
    }


@cache
def policy() -> str:
    """Return the page's Content-Security-Policy: it runs its own two scripts and asks nobody but its own server."""
    scripts = " ".join(_hash(_parts()[mark]) for mark in ("/*PLOTLY*/", "/*SCRIPT*/"))
    # Plotly sets style attributes, and adds style elements of its own.
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def shell() -> str:
    """Return everything but the data."""
    text = (HERE / "page.html").read_text(encoding="utf-8").replace("/*POLICY*/", policy(), 1)
    for mark, content in _parts().items():
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
