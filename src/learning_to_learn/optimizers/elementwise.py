"""Optimizers that move every weight by its own gradient alone: clip, move and freeze, in one compiled call an update.

torch's own optimizers agree with these to rounding, which the tests show; but a step of theirs costs six times as much time
in Python as an update's arithmetic, a quarter of a small network's training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from learning_to_learn.compiled import Compiled
from learning_to_learn.lazy import torch
from learning_to_learn.optimizers.optimizer import Optimizer, OptimizerConfig


class Elementwise(Optimizer):
    """An optimizer that two moments and a compiled rule describe.

    `rule(weights, gradient, factors, moments, alive, updates, numbers)` has arrays [R, P], [R, P], [R], [R, 2, P], [R], the
    number of updates with this one, and for each replica the numbers [lr, ...] that `numbers` returns, [R, 1 + n].
    """

    rule: ClassVar[Callable[..., None]]

    def __init__(self, weights: Float[torch.Tensor, "R P"], configs: Sequence[OptimizerConfig]) -> None:
        super().__init__(weights, configs)
        self._numbers = np.array([(0.0, *self.numbers(config)) for config in configs])
        self.moments = torch.zeros(len(weights), 2, weights.shape[1], dtype=weights.dtype)
        """First and second moment, or momentum and mean square, of every gradient."""

    @staticmethod
    def numbers(config: OptimizerConfig) -> tuple[float, ...]:
        """Return the numbers of the configuration that the rule reads after the rate."""
        raise NotImplementedError

    def _move(
        self, gradient: Float[torch.Tensor, "R P"], factors: np.ndarray, lr: np.ndarray, alive: Bool[torch.Tensor, " R"]
    ) -> None:
        self._numbers[:, 0] = lr
        type(self).rule(
            self._weights.numpy(), gradient.numpy(), factors, self.moments.numpy(), alive.numpy(), self.updates,
            self._numbers,
        )  # fmt: skip

    @property
    def is_its_rule(self) -> bool:
        """Whether an update is the compiled rule and nothing else: a subclass may have an update of its own in Python."""
        own = type(self)
        return own.step is Optimizer.step and own._move is Elementwise._move and isinstance(own.rule, Compiled)

    def arrays(self, alive: Bool[torch.Tensor, " R"]) -> tuple[np.ndarray, ...]:
        """Return the arrays that a compiled update reads and changes: the largest norms, `alive`, the moments, the numbers."""
        return self._clip, alive.numpy(), self.moments.numpy(), self._numbers

    def memory(self) -> dict[str, torch.Tensor]:
        return {"moments": self.moments}
