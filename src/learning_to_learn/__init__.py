"""Which recurrent networks can learn how to learn? The Python API, as docs/python.md shows it.

>>> from learning_to_learn import compose, train
>>> run = train(compose("arch=lstm", "trainer=quick"))  # doctest: +SKIP

Importing the package imports nothing else: every name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learning_to_learn.api import Run, compose, evaluate, load_run, train
    from learning_to_learn.families import Family, FamilyConfig
    from learning_to_learn.gradients import Gradient
    from learning_to_learn.optimizers import Optimizer, OptimizerConfig
    from learning_to_learn.results import results as results
    from learning_to_learn.results.paired import compare
    from learning_to_learn.topology import Below, LogUniform, Option, Own, Trained, Uniform, unit, vector_unit
    from learning_to_learn.verdicts.python import verdict

_HOMES = {
    **dict.fromkeys(("Run", "compose", "evaluate", "load_run", "train"), "learning_to_learn.api"),
    **dict.fromkeys(("Family", "FamilyConfig"), "learning_to_learn.families"),
    **dict.fromkeys(("Optimizer", "OptimizerConfig"), "learning_to_learn.optimizers"),
    "Gradient": "learning_to_learn.gradients",
    "compare": "learning_to_learn.results.paired",
    "results": "learning_to_learn.results",
    **dict.fromkeys(
        ("Below", "LogUniform", "Option", "Own", "Trained", "Uniform", "unit", "vector_unit"), "learning_to_learn.topology"
    ),
    "verdict": "learning_to_learn.verdicts.python",
}

__all__ = [
    "Below",
    "Family",
    "FamilyConfig",
    "Gradient",
    "LogUniform",
    "Optimizer",
    "OptimizerConfig",
    "Option",
    "Own",
    "Run",
    "Trained",
    "Uniform",
    "compare",
    "compose",
    "evaluate",
    "load_run",
    "results",
    "train",
    "unit",
    "vector_unit",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
