"""docs/benchmarks.md: one part of it can be measured by itself, and takes the place of what stood there."""

import platform
import time
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def processor() -> str:
    """Return the name of this machine's processor."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


def put(section: list[str], page: Path = PAGE) -> None:
    """Write a section, whose first line is its heading, into the page in place of the one with that heading, or at the end."""
    dated = [*section, f"Measured by itself on {time.strftime('%Y-%m-%d')}: {processor()}.", ""]
    lines = page.read_text(encoding="utf-8").splitlines()
    first = next((i for i, line in enumerate(lines) if line == section[0]), len(lines))
    after = next((i for i, line in enumerate(lines[first + 1 :], first + 1) if line.startswith("## ")), len(lines))
    page.write_text("\n".join([*lines[:first], *dated, *lines[after:]]).rstrip() + "\n", encoding="utf-8")
