"""Import Lightning, and start wandb, without what they import and a job never uses, which takes seconds.

pytorch_lightning imports torch._dynamo, to know compiled modules when it sees them, and through torchmetrics scipy.signal, to
mend an old name in it. wandb.init imports its launch agent, to look for inputs that somebody has staged with it; wandb.log
imports pandas, to know its tables. Where one of these is there already it stays. Else an empty module with the few names that
are asked for stands in its place, and is gone right after: whoever imports the module later gets the real one.
"""

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def standing_in(*modules: types.ModuleType) -> Iterator[None]:
    """While this lasts, an import of one of these names finds the module that is given, unless the real one is there."""
    put = {module.__name__: module for module in modules if module.__name__ not in sys.modules}
    sys.modules.update(put)
    try:
        yield
    finally:
        for name, module in put.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def import_lightning() -> None:
    """Import pytorch_lightning, if nobody has yet."""
    if "pytorch_lightning" in sys.modules:
        return
    import torch

    class OptimizedModule(torch.nn.Module):
        """What torch.compile makes of a module; of this one nothing is an instance."""

    def disable(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Callable[..., Any] | None:
        """torch._dynamo.disable, which Lightning asks for two functions of its own that are never compiled here."""
        return function

    with standing_in(
        _module("torch._dynamo", OptimizedModule=OptimizedModule, disable=disable), _module("scipy.signal", hamming=None)
    ):
        import pytorch_lightning  # noqa: F401


def without_launch_agent() -> Any:
    """Return the context in which wandb.init looks for no staged inputs, if its launch agent has not been imported."""

    class StagedLaunchInputs:
        """Nothing is staged where nobody has imported the agent."""

        def apply(self, run: Any) -> None:
            del run

    package = "wandb.sdk.launch"
    if package in sys.modules:
        return standing_in()
    names = (package, f"{package}.inputs")
    return standing_in(
        *(_module(name, __path__=[]) for name in names), _module(f"{names[1]}.internal", StagedLaunchInputs=StagedLaunchInputs)
    )


@contextmanager
def without_pandas() -> Iterator[None]:
    """While this lasts, wandb knows a DataFrame by the name of its type, and does not import pandas to ask whether it is one.

    A job logs numbers, plots and pictures.
    """
    util: Any = sys.modules.get("wandb.util")  # not there where nobody logs to wandb
    before = util and util.pd_available
    if util:
        util.pd_available = False
    try:
        yield
    finally:
        if util:
            util.pd_available = before


def _module(name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(content)
    return made
