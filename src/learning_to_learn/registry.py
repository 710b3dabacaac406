"""Registries fill themselves: a class or a function enters its registry when its module is imported."""

import importlib
import pkgutil
from collections.abc import Sequence


def import_all(package: str, path: Sequence[str]) -> None:
    """Import every module of a package, so that what stands there is registered; `path` is the package's `__path__`."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")


MISSING = "???"
"""OmegaConf's mark of a value that a configuration must give."""
