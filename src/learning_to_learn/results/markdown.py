"""Write a report: Markdown, and the same as one HTML file with its pictures inside."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto } th, td { padding: .25rem .6rem }
th { border-bottom: 1px solid #888; text-align: left } td { border-bottom: 1px solid #ddd } img { max-width: 100%; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b } td { border-color: #444 } a { color: #8bf } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'"
"""What a browser lets the page do: show the pictures and the style inside it."""


def escaped(text: object) -> str:
    r"""Return text of a run folder as Markdown that shows it as it stands: `a|b` becomes `a\|b`."""
    return re.sub(r"([\\`*\[\]<>|!&])", r"\\\1", " ".join(str(text).split()))


def to_html(text: str, folder: Path, *, title: str) -> str:
    """Return Markdown as one HTML page that needs nothing else: pictures are inside. HTML in the text is shown as text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)

    def inside(match: re.Match[str]) -> str:
        content = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{content}"'

    body = re.sub(r'src="([^":]+\.png)"', inside, body)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{body}</body></html>\n"
    )


def markdown_table(headings: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| " + " | ".join(str(cell) for cell in line) + " |" for line in (headings, *rows)]
    return [lines[0], "|" + "---|" * len(headings), *lines[1:]]


def short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
