"""Turn .venv-lock/pylock.toml into requirements.lock or requirements-bench.lock: `python3.11 .ci/lock.py pylock.toml bench`.

A line for each package, with the hashes of the files that Python 3.11 can install on Linux and macOS. torch and what it
brings for a GPU are left out: its wheel depends on the machine, and pyproject.toml pins it.
"""

import re
import sys
import tomllib
from pathlib import Path

OF_TORCH = re.compile(r"(torch|triton|(nvidia|cuda)-[a-z0-9-]+)$")
OF_BENCH = re.compile(r"(jax|jaxlib|ml-dtypes|opt-einsum)$")
INSTALLABLE = re.compile(r"-(cp311-(cp311|abi3)|cp3[0-9]-abi3|cp310-abi3|py3|py2\.py3|py31?1?)-.*(any|linux|macosx).*\.whl$")


def lines(packages: list[dict], *, bench: bool) -> list[str]:
    """Return the lines of the lock file."""
    found = []
    for package in packages:
        name = package["name"]
        if OF_TORCH.match(name) or bool(OF_BENCH.match(name)) != bench or ">= '3.12'" in package.get("marker", ""):
            continue
        wheels = [wheel for wheel in package.get("wheels", []) if INSTALLABLE.search(Path(wheel["url"]).name)]
        files = wheels or [package["sdist"]]
        marker = f" ; {package['marker']}" if "marker" in package else ""
        hashes = sorted(file["hashes"]["sha256"] for file in files)
        found.append(" \\\n    ".join([f"{name}=={package['version']}{marker}", *(f"--hash=sha256:{h}" for h in hashes)]))
    return found


def main() -> None:
    """Print the lock file of pyproject.toml, or with `bench` that of the benchmarks' peers."""
    packages = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["packages"]
    bench = sys.argv[2:] == ["bench"]
    what = "what `make bench` needs besides requirements.lock" if bench else "everything but torch and what torch brings"
    print("\n".join([f"# Written by `make lock`: {what}.", *lines(packages, bench=bench)]))


if __name__ == "__main__":
    main()
