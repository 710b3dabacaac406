"""Markov chains of order k with unknown transition probabilities (Edelman et al. 2024; Genewein et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.errors import UserError
from learning_to_learn.families.dirichlet import simplex
from learning_to_learn.families.family import AtTest, Family, FamilyConfig, Learner
from learning_to_learn.families.recursions import symbols_of_a_chain
from learning_to_learn.lazy import torch
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor

CONTEXTS = 4096
"""Contexts of a chain, at most: each has its own probabilities."""


@dataclass
class MarkovAtTest(AtTest):
    """What can be different in the test data."""

    concentration: float | None = number(None, least=1e-2)
    """The Dirichlet distribution's parameter; null: that of training."""


@dataclass
class MarkovConfig(FamilyConfig):
    """The keys of Markov chains."""

    name: str = "markov"
    symbols: int = number(2, least=2)
    """m, the symbols."""
    order: int = number(1, least=0)
    """k: how many symbols back the next one depends on."""
    concentration: float = number(1.0, least=1e-2)
    """The Dirichlet distribution's parameter for the probabilities after each context."""
    test: MarkovAtTest = field(default_factory=MarkovAtTest)


class Markov(Family):
    """A sequence of m symbols in which the last k decide the probabilities of the next, each context with its own.

    One sequence of order 1, in which b mostly follows a, and a follows b: a b a b b a b a b ... The k symbols before the first
    cycle count as the first symbol, which the Bayes predictor knows. It counts what came after each context. Raises UserError
    where there are more than 4096 contexts.
    """

    config: ClassVar[type[FamilyConfig]] = MarkovConfig
    input_size, output, loss = 0, "softmax", "log"
    noise_uniforms = 1

    def __init__(self, symbols: int = 2, order: int = 1, concentration: float = 1.0) -> None:
        if symbols**order > CONTEXTS:
            raise UserError(
                f"family.symbols={symbols}, order={order}: {symbols}^{order} contexts; at most {CONTEXTS} are allowed"
            )
        self.output_size, self.order, self.concentration = symbols, order, concentration
        self.contexts = symbols**order
        self.dimensions = self.contexts * symbols

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        return cls(config.symbols, config.order, config.concentration)

    @property
    def floor_key(self) -> str:
        return f"markov_{self.output_size}_order{self.order}_{self.concentration:g}"

    @property
    def predictable(self) -> int:
        return max(64, min(8192, 4_000_000 // self.dimensions))

    def mappings(self, u: Tensor) -> Tensor:
        """The probabilities after every context, [*n, contexts * m]."""
        return simplex(u.unflatten(-1, (self.contexts, self.output_size)), self.concentration).flatten(-2)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        """The mean probabilities over the contexts: what is known of a cycle when nothing is known of those before it."""
        table = mapping.unflatten(-1, (self.contexts, self.output_size)).mean(-2)
        return table.unsqueeze(-2).expand(*x.shape[:-1], self.output_size)

    def targets(self, mapping: Tensor, x: Tensor, u: Tensor) -> Tensor:
        del x
        thresholds = mapping.unflatten(-1, (self.contexts, self.output_size)).cumsum(-1)[..., :-1]
        found = u.new_zeros(*u.shape[:-1], self.output_size)
        tables, toss, symbols = (v.reshape(-1, *v.shape[-2:]).numpy() for v in (thresholds, u, found))
        symbols_of_a_chain(tables, toss[..., 0], symbols)
        return found

    def known(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del x
        tables = mapping.unflatten(-1, (self.contexts, self.output_size))
        return tables[torch.arange(len(y))[:, None], self._contexts_of(y)]

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor:
        del x
        return torch.full_like(y, 1 / self.output_size)

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        return {f"counts after contexts of {k}": partial(_counts_of_order, self, k) for k in range(self.order)}

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        del mapping
        return self.predict(self.statistics(x, y), x).to(y)

    def statistics(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return how often each symbol came after the context of y[t], [N, T, m]."""
        del x
        context = self._contexts_of(y)
        counts = torch.zeros(len(y), self.contexts, self.output_size, dtype=torch.float64)
        rows, found = torch.arange(len(y)), []
        for t in range(y.shape[1]):
            found.append(counts[rows, context[:, t]])
            counts[rows, context[:, t]] += y[:, t].double()
        return {"counts after the context": torch.stack(found, 1)}

    def predict(self, statistics: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return the predictions [N, T, m] that follow from `statistics`."""
        del x
        weights = statistics["counts after the context"] + self.concentration
        return weights / weights.sum(-1, keepdim=True)

    def _contexts_of(self, y: Tensor) -> Tensor:
        """The number of each cycle's context, [N, T]: the symbols before it, read as digits."""
        symbol = y.argmax(-1)
        context, found = torch.zeros(len(y), dtype=torch.long), []
        for t in range(y.shape[1]):
            found.append(context)
            context = (context * self.output_size + symbol[:, t]) % self.contexts
        return torch.stack(found, 1)


def _counts_of_order(family: Markov, order: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict as the Bayes learner of a chain of lower order."""
    found, targets = torch.from_numpy(x), torch.from_numpy(y)
    return Markov(family.output_size, order, family.concentration).bayes(targets, found, targets).numpy()
