"""`@compiled()` is `numba.njit(cache=True)` whose numba is imported at the first call, and whose machine code has one home.

Importing numba takes 0.3 s, which a command that computes nothing need not pay.
"""

import atexit
import functools
import inspect
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """The folder of all compiled code: $LEARNING_TO_LEARN_CACHE, or learning-to-learn in the user's cache folder.

    Where that cannot be written, it is a folder of this process alone, and a warning says so.
    """
    chosen = os.environ.get("LEARNING_TO_LEARN_CACHE")
    try:
        caches = None if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # this user has no home
        return _own_folder("the cache folder")
    base = caches / "learning-to-learn" if caches else Path(str(chosen))
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError:
        return _own_folder(str(base))
    return base if os.access(base, os.W_OK | os.X_OK) else _own_folder(str(base))


@functools.cache
def _own_folder(instead_of: str) -> Path:
    """A folder that is gone with this process. One with a name that others know could hold their code."""
    _log.warning("%s cannot be written: every process compiles anew; LEARNING_TO_LEARN_CACHE names another", instead_of)
    folder = tempfile.TemporaryDirectory(prefix="learning-to-learn-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def place_numba_cache() -> None:
    """Tell numba to keep its files below `cache_folder()`, unless NUMBA_CACHE_DIR names another place."""
    import numba

    if not numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        numba.config.CACHE_DIR = str(cache_folder() / "numba")  # type: ignore[attr-defined]


def recompile_where_damaged(dispatcher: Any) -> Any:
    """Make a cached numba function compile anew, instead of failing, where its files on disk are damaged.

    numba raises EOFError or UnpicklingError at every call on a truncated file (numba issue 10434).
    """
    cache = dispatcher._cache
    load = cache.load_overload

    def load_or_compile(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception:  # noqa: BLE001 - a damaged pickle can raise anything
            cache.flush()
            return None

    cache.load_overload = load_or_compile
    return dispatcher


prange = range
"""Import this in place of numba's, which takes its place in the importing module when a parallel function is compiled."""


class Compiled:
    """A function that numba compiles when it is called first. Other compiled functions can call it."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        # The tests' type checker wraps functions, and numba compiles what is inside.
        self._function, self._options = inspect.unwrap(function), options

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The numba function."""
        import numba

        place_numba_cache()
        if "prange" in self._function.__code__.co_names:
            self._function.__globals__["prange"] = numba.prange
        # Without the interpreter's lock: data of the next epoch are drawn beside the kernels (training/ahead.py).
        return recompile_where_damaged(numba.njit(cache=True, nogil=True, **self._options)(self._function))

    @property
    def _numba_type_(self) -> Any:
        """numba asks for this where a compiled function calls this one."""
        return self.dispatcher._numba_type_

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher(*arguments)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function with numba's `options`, such as `parallel=True`."""
    return lambda function: Compiled(function, options)
