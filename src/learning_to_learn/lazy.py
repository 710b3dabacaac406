"""`from learning_to_learn.lazy import torch` is torch, imported when it is first used.

Importing torch takes more than a second. The modules that a configuration is composed from (units, families, optimizers) use
it in their functions only, so that `--help`, `--cfg job` or a wrong key need not wait for it. Such a module also says
`from __future__ import annotations`, so that its annotations are not evaluated.
"""

import gc
import importlib
import sys
import types
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

guard: Callable[[], AbstractContextManager[None]] = nullcontext
"""What gives the context in which torch is imported. Its C++ code aborts where KeyboardInterrupt is raised within it, so that a
command puts a context here that lets a signal wait."""


class LazyModule(types.ModuleType):
    """A module that is imported at the first use of one of its names."""

    def __getattr__(self, name: str) -> Any:
        with guard():
            value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)  # the next use costs no more than with the module itself
        return value


def import_heavy(name: str) -> None:
    """Import a module that brings torch and Lightning, with the garbage collector off.

    It would walk through all their objects again and again, for 2 of the 6 s of user CPU of a quick job. What has been imported
    stays as long as the process, so that later collections leave it out, too. A module that is there already costs nothing.
    """
    if name in sys.modules:
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        with guard():
            importlib.import_module(name)
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


if TYPE_CHECKING:
    import torch as torch
else:
    torch = LazyModule("torch")
