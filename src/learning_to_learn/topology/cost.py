"""How many multiplications some torch code makes.

>>> count_multiplications(lambda: torch.ones(2, 3) @ torch.ones(3, 4))
24
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from learning_to_learn.lazy import torch

ELEMENTWISE = ("mul", "div", "reciprocal", "square", "pow", "addcmul", "lerp")
"""The operations of torch that multiply or divide once for each number of their result."""


def count_multiplications(code: Callable[[], object]) -> int:
    """Return how many multiplications and divisions the code makes, in matrix products and elementwise; what else a function
    such as tanh takes is not counted.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counting(TorchDispatchMode):
        count = 0

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Nothing is compiled here: torch need not import its compiler, which takes a second, to say so."""
            return False

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            name = func._overloadpacket.__name__.removesuffix("_")
            if func._overloadpacket in flop_registry:
                # torch counts a multiplication and an addition.
                self.count += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=result) // 2
            elif name in ELEMENTWISE:
                self.count += result.numel()
            return result

    with torch.no_grad(), Counting() as counting:
        code()
    return counting.count
