"""`from learning_to_learn.lazy import torch` is torch, imported when it is first used.

Importing torch takes more than a second. The modules that a configuration is composed from (units, families, optimizers) use
it in their functions only, so that `--help`, `--cfg job` or a wrong key need not wait for it. Such a module also says
`from __future__ import annotations`, so that its annotations are not evaluated.
"""

import importlib
import types
from typing import TYPE_CHECKING, Any


class LazyModule(types.ModuleType):
    """A module that is imported at the first use of one of its names."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)  # the next use costs no more than with the module itself
        return value


if TYPE_CHECKING:
    import torch as torch
else:
    torch = LazyModule("torch")
