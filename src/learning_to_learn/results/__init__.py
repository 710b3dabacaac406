"""Tables over many runs, reports and statistics.

The Python API has a function of this name. Python binds `learning_to_learn.results` to this package as soon as a module of it
is imported, so that the package itself is that function.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def results(folder: Path | str) -> "pd.DataFrame":
    """A table of all finished runs at or under a folder: a row for every replica, with its settings and what it reached.

    Raises UserError where there is no such folder.
    """
    from learning_to_learn.errors import UserError
    from learning_to_learn.results.aggregate import replicas
    from learning_to_learn.results.table import find_jobs

    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    return replicas(find_jobs(folder))


class _Callable(ModuleType):
    def __call__(self, folder: Path | str) -> "pd.DataFrame":
        return results(folder)


sys.modules[__name__].__class__ = _Callable
