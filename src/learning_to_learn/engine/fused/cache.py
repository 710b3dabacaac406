"""Kernels on disk: printed source, and the machine code that numba makes of it, found again by the next process.

A module's name is a hash of its source, of the engine's own files that it imports, of the versions of numba and LLVM and of
the CPU: another unit, engine or machine has another name, so nothing stale can run. Files are written aside and linked into
place, so that jobs that compile at once do not see half a file.

Tracing a unit takes seconds in a fresh process, so the printed source is also found by a fingerprint of the units' code.
"""

import hashlib
import importlib.util
import logging
import math
import os
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import llvmlite
import llvmlite.binding
import numba
import torch

from learning_to_learn.topology import Network

_log = logging.getLogger(__name__)


def folder() -> Path:
    """Where kernels are kept: $LEARNING_TO_LEARN_CACHE, or the user's cache folder."""
    chosen = os.environ.get("LEARNING_TO_LEARN_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "learning-to-learn"
    base.mkdir(parents=True, exist_ok=True)
    return base


def load_kernel(network: Network, real: str, printer: Callable[[Network, str], str]) -> types.ModuleType:
    """The compiled module that `printer` prints for the network, from disk where it is there.

    Raises UnsupportedOperation where a unit cannot be fused.
    """
    key = _fingerprint(network)
    known = folder() / f"{printer.__name__}_{_hash(key, real, _machine())}.txt" if key else None
    name = known.read_text() if known and known.exists() else ""
    if not (folder() / f"{name}.py").is_file():
        _log.info("compiling the kernel of %s, once on this machine (10 to 30 s) ...", network.describe())
        source = printer(network, real)
        name = f"kernel_{_hash(source, _machine())}"
        _write(folder() / f"{name}.py", source)
        if known:
            _write(known, name)
    return _import(name)


def _import(name: str) -> types.ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, folder() / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    # numba finds its cache through sys.modules, so the module must be there before it runs.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _write(path: Path, text: str) -> None:
    """Put a whole file in place, unless one is there: its time stamp is part of numba's own cache key."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(text)
    try:
        os.link(file.name, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.replace(file.name, path)
        return
    os.unlink(file.name)


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


def _machine() -> str:
    """Everything besides its source that a kernel's machine code depends on."""
    engine = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
    cpu = llvmlite.binding.get_host_cpu_name() + llvmlite.binding.get_host_cpu_features().flatten()
    return _hash(engine, numba.__version__, llvmlite.__version__, torch.__version__, cpu)


def _fingerprint(network: Network) -> str | None:
    """A text that changes whenever the kernel of the network would; None where that cannot be promised."""
    parts = [f"{network.inputs} {network.error_feedback}"]
    for layer in network.all_layers:
        for block in layer.blocks:
            code = function_fingerprint(block.unit.step)
            if code is None:
                return None
            parts.append(f"{block} {layer.inputs} {layer.recurrent}".replace(repr(block.unit.step), "") + code)
    return "\n".join(parts)


def function_fingerprint(function: Callable) -> str | None:
    """The code of a function and of everything it names; None where it names what cannot be followed."""
    return _value(function, set())


def _value(value: object, seen: set[int]) -> str | None:
    if id(value) in seen:
        return "again"
    if isinstance(value, bool | int | float | str | bytes | None):
        return repr(value)
    if isinstance(value, types.ModuleType):
        return value.__name__ if value.__name__ in ("torch", "math") or value.__name__.startswith("torch.") else None
    if isinstance(value, types.BuiltinFunctionType | type):
        return f"{value.__module__}.{value.__qualname__}" if value.__module__ in (None, "builtins", "torch") else None
    if isinstance(value, tuple | frozenset):
        return _all(value, seen)
    if isinstance(value, types.CodeType):
        return _all((value.co_code, value.co_names, value.co_varnames, *value.co_consts), seen)
    if isinstance(value, types.FunctionType):
        if (value.__module__ or "").startswith("torch."):
            return f"{value.__module__}.{value.__qualname__}"
        seen = seen | {id(value)}
        names = [n for n in _names(value.__code__) if n in value.__globals__]
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return _all((value.__code__, value.__defaults__, *cells, *(value.__globals__[n] for n in names)), seen)
    return None


def _names(code: types.CodeType) -> list[str]:
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in _names(const)]
    return sorted({*code.co_names, *inner})


def _all(values: object, seen: set[int]) -> str | None:
    texts = [_value(v, seen) for v in values]  # type: ignore[attr-defined]
    return None if None in texts else "(" + ",".join(map(str, texts)) + ")"
