"""The page: its parts in one piece of HTML, with the data inside or to be fetched from the server."""

import base64
import gzip
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from learning_to_learn.runs.run_folder import as_json

HERE = Path(__file__).parent


@cache
def _parts() -> dict[str, str]:
    """What stands at each mark of page.html."""
    from plotly.offline import get_plotlyjs

    files = {"/*STYLE*/": ["page.css"], "/*SCRIPT*/": ["plots.js", "verdict.js", "page.js"]}
    return {
        **{mark: "".join((HERE / name).read_text(encoding="utf-8") for name in names) for mark, names in files.items()},
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
    packed = gzip.compress(to_json(data).encode(), mtime=0)
    return shell().replace("/*DATA*/", base64.b64encode(packed).decode(), 1)


def with_pictures(data: dict[str, Any], folder: Path, *, most: int) -> dict[str, Any]:
    """Return the data with the pictures of its runs in it; of more than `most` runs, with none but the page's own plots."""
    few = len(data["runs"]) <= most
    return {**data, "runs": [{**run, **_inside(folder, run if few else {})} for run in data["runs"]]}


def _inside(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    place = Path(os.fsdecode(unquote_to_bytes(run.get("path", ""))))
    drawn = [name for name in run.get("pictures", []) if (folder / place / name).is_file()]
    read = {name: base64.b64encode((folder / place / name).read_bytes()).decode() for name in drawn}
    return {"pictures": drawn, "inside": {name: f"data:image/png;base64,{content}" for name, content in read.items()}}


def without_data() -> str:
    """The page that asks its server for the data."""
    return shell().replace("/*DATA*/", "", 1)


def to_json(data: dict[str, Any]) -> str:
    """JSON that can stand inside a script element: no tag can end it. NaN, which JSON has not, is null."""
    return json.dumps(as_json(data), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
