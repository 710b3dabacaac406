"""Kernels on disk: printed source, and the machine code that numba makes of it, found again by the next process.

A module's name is a hash of its units' code, of the engine's own files, of the versions of numba and LLVM and of the CPU:
another unit, engine or machine has another name, so nothing stale can run. Files are written aside and linked into place, so
that jobs that compile at once do not see half a file. A damaged file is written, and compiled, anew.

Tracing a unit takes seconds in a fresh process, hence the units' code in the name. Where that code cannot be followed, the
unit is traced every time and the name is a hash of the printed source.
"""

import functools
import hashlib
import importlib.util
import logging
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
from numba.core.errors import NumbaError

from learning_to_learn.compiled import cache_folder, place_numba_cache
from learning_to_learn.engine.fused.loop import print_loop
from learning_to_learn.engine.fused.matmul import print_matmul
from learning_to_learn.engine.fused.trace import UnsupportedOperation
from learning_to_learn.topology import LogUniform, Network, Uniform

_log = logging.getLogger(__name__)

Printer = Callable[[Network, str, str], str]
"""Prints the source of a network's kernel for a type of numbers, with the name of the module of matrix products."""


def load_kernel(network: Network, real: str, printer: Printer, *, mixed: bool = False) -> types.ModuleType:
    """The compiled module that `printer` prints for the network, from disk where it is there.

    `mixed`: its matrix products are those of mixed lanes. Raises UnsupportedOperation where a unit cannot be fused.
    """
    matmul = load_module(_matmul_stem(real, mixed), lambda: print_matmul(real, mixed=mixed)).__name__
    key = _fingerprint(network)
    source = None if key else printer(network, real, matmul)

    def print_kernel() -> str:
        _log.info("compiling the kernel of %s, once on this machine (a few seconds) ...", network.describe())
        return source or printer(network, real, matmul)

    try:
        stem = f"kernel_{_hash(key or source or '', printer.__name__, real)}"
        return load_module(f"{stem}_mixed" if mixed else stem, print_kernel)
    except NumbaError as error:
        reason = str(error).strip().splitlines()[0]
        raise UnsupportedOperation(f"{network.describe()}: numba cannot compile the printed kernel ({reason})") from error


def matmul_name(real: str, *, mixed: bool = False) -> str:
    """The name of the module of matrix products for numbers of type `real`."""
    return f"{_matmul_stem(real, mixed)}_{_machine()}"


def _matmul_stem(real: str, mixed: bool) -> str:
    return f"matmul_mixed_{real}" if mixed else f"matmul_{real}"


def load_loop(real: str) -> types.ModuleType:
    """The compiled loop over replicas and blocks of lanes."""
    return load_module(f"loop_{real}", lambda: print_loop(real))


def load_module(stem: str, print_source: Callable[[], str]) -> types.ModuleType:
    """The module of that stem, printed and compiled where the disk does not hold it whole."""
    name = f"{stem}_{_machine()}"
    if name in sys.modules:
        return sys.modules[name]
    place_numba_cache()
    path = cache_folder() / f"{name}.py"
    if not _whole(path):
        source = print_source()
        _write(path, f"# sha256 {_hash(source)}\n{source}")
    try:
        return _import(name, path)
    except NumbaError:
        raise
    except Exception:  # noqa: BLE001 - damaged machine code on disk can raise anything; it is compiled anew
        for damaged in _machine_code(path):
            damaged.unlink(missing_ok=True)
        return _import(name, path)


def _machine_code(source: Path) -> list[Path]:
    """numba's files of a printed module."""
    return [p for p in cache_folder().rglob(f"{source.stem}.*") if p.suffix in (".nbi", ".nbc")]


def _whole(path: Path) -> bool:
    """Whether a printed file is there and holds what was printed."""
    try:
        first, _, source = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return False
    return first == f"# sha256 {_hash(source)}"


def _import(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
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
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
        file.write(text)
    try:
        os.link(file.name, path)
    except FileExistsError:
        if not _whole(path):
            os.replace(file.name, path)
            return
    except OSError:  # a file system without hard links
        os.replace(file.name, path)
        return
    os.unlink(file.name)


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


@functools.cache
def _machine() -> str:
    """Everything besides a network that a kernel's machine code depends on."""
    package = Path(__file__).parents[2]
    files = [*sorted(Path(__file__).parents[1].rglob("*.py")), package / "topology" / "network.py"]
    files.append(package / "optimizers" / "clipping.py")  # the loop over updates has it in it
    engine = "".join(path.read_text(encoding="utf-8") for path in files)
    cpu = llvmlite.binding.get_host_cpu_name() + llvmlite.binding.get_host_cpu_features().flatten()
    return _hash(engine, numba.__version__, llvmlite.__version__, torch.__version__, cpu)


def _fingerprint(network: Network) -> str | None:
    """A text that changes whenever the kernel of the network would; None where that cannot be promised."""
    parts = [f"{network.inputs} {network.fed_back} {network.last_layer_feedback} {network.kind} {network.loss}"]
    for layer in network.all_layers:
        for block in layer.blocks:
            code = function_fingerprint(block.unit.step)
            if code is None:
                return None
            unit = block.unit
            shapes = [unit.shape(name) for name in (*unit.pre_activations, *unit.states, *unit.numbers)]
            signature = (
                unit.name, unit.states, len(unit.numbers), list(unit.trained_states), bool(unit.initial), unit.outputs, shapes,
            )  # fmt: skip
            places = (block.count, block.row, block.output, block.state, block.number)
            options = (layer.inputs, layer.recurrent, layer.heads, layer.residual, layer.norm, layer.delays)
            parts.append(f"{signature} {places} {options} {layer.products} {code}")
    return "\n".join(parts)


def function_fingerprint(function: Callable) -> str | None:
    """The code of a function and of everything it names; None where it names what cannot be followed.

    The defaults of its keyword-only arguments, what a unit's own numbers begin with, are no part of it.
    """
    return _function(function, set()) if isinstance(function, types.FunctionType) else _value(function, set())


def _value(value: object, seen: set[int]) -> str | None:
    if id(value) in seen:
        return "again"
    if isinstance(value, bool | int | float | str | bytes | Uniform | LogUniform | None):
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
        return _function(value, seen, *(value.__kwdefaults__ or {}).items())
    return None


def _function(function: types.FunctionType, seen: set[int], *more: object) -> str | None:
    seen = seen | {id(function)}
    names = [n for n in _names(function.__code__) if n in function.__globals__]
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return _all((function.__code__, function.__defaults__, *more, *cells, *(function.__globals__[n] for n in names)), seen)


def _names(code: types.CodeType) -> list[str]:
    inner = [name for const in code.co_consts if isinstance(const, types.CodeType) for name in _names(const)]
    return sorted({*code.co_names, *inner})


def _all(values: object, seen: set[int]) -> str | None:
    texts = [_value(v, seen) for v in values]  # type: ignore[attr-defined]
    return None if None in texts else "(" + ",".join(map(str, texts)) + ")"
