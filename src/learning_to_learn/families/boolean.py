"""The sixteen Boolean functions of two arguments (the paper's section 3), or some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from math import comb
from typing import Any, ClassVar

import numpy as np

from learning_to_learn.errors import UserError
from learning_to_learn.families.family import AtTest, Family, FamilyConfig, LinearForm, Variances
from learning_to_learn.lazy import torch

INPUTS = 4
FUNCTIONS = 2**INPUTS
KNOWN = 1e-15
"""A cycle at which less uncertainty than this is left ends the list of variances."""


@dataclass
class BooleanAtTest(AtTest):
    """What can be different in the test data."""

    functions: list[int] | None = None
    """Truth tables to test on; null: those trained on."""


@dataclass
class BooleanConfig(FamilyConfig):
    """The keys of the Boolean functions."""

    name: str = "boolean"
    functions: list[int] | None = None
    """Truth tables to train on, numbers from 0 to 15; null: all."""
    test: BooleanAtTest = field(default_factory=BooleanAtTest)


class Boolean(Family):
    """Functions are numbered by their truth table: bit 2 x1 + x2 of the number is the output for (x1, x2).

    So 8 is AND, 14 OR, 6 XOR, 9 NOT XOR. Inputs and outputs are 0 and 1.
    """

    config: ClassVar[type[FamilyConfig]] = BooleanConfig
    paper_cycles: ClassVar[dict[int, int]] = {256: 10}
    dimensions = 1
    pairs = (("linear", "squared"), ("logistic", "log"))

    def __init__(self, functions: Sequence[int] | None = None, key: str = "functions") -> None:
        given = list(range(FUNCTIONS) if functions is None else functions)
        if not given or any(type(one) is not int or not 0 <= one < FUNCTIONS for one in given):
            raise UserError(f"family.{key}={given}: give numbers from 0 to 15 (truth tables), at least one")
        self.functions = sorted(set(given))
        bits = torch.arange(INPUTS)
        self.tables = ((torch.tensor(self.functions)[:, None] >> bits) & 1).float()

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:
        return cls(config.functions, "test.functions" if test else "functions")

    def linear_form(self) -> LinearForm:
        """One feature for each row of the truth table, whose weight is +1/2 or -1/2."""
        return LinearForm(
            lambda x: np.eye(INPUTS)[(2 * x[..., 0] + x[..., 1]).astype(int)], lambda s: s + 0.5, lambda y: y - 0.5
        )

    @property
    def floor_key(self) -> str:
        return f"boolean{self.functions}"

    def mappings(self, u: torch.Tensor) -> torch.Tensor:
        """Truth tables [*n, 4], drawn evenly from the functions."""
        return self.tables.to(u)[(u[..., 0] * len(self.functions)).long()]

    def inputs(self, u: torch.Tensor) -> torch.Tensor:
        return torch.ge(u, 0.5, out=torch.empty_like(u))

    def evaluate(self, mapping: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        a, b = x[..., 0], x[..., 1]
        t0, t1, t2, t3 = mapping.unsqueeze(-2).unbind(-1)
        # The polynomial through the table's four entries: exact on 0 and 1, and three passes instead of a gather.
        without_a, with_a = torch.addcmul(t0, b, t1 - t0), torch.addcmul(t2 - t0, b, t3 - t2 - t1 + t0)
        return without_a.addcmul_(a, with_a).unsqueeze(-1)

    def bayes(self, mapping: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The mean over the functions that agree with every pair seen.

        Those that still do are a set of bits, one for each function, which every pair makes smaller.
        """
        del mapping
        bits = np.uint32(1) << np.arange(len(self.functions), dtype=np.uint32)
        ones = (self.tables.numpy().T.astype(np.uint32) * bits).sum(1, dtype=np.uint32)  # [4]: which functions say 1
        index, truth = (2 * x[..., 0] + x[..., 1]).long().numpy(), y[..., 0].numpy() == 1
        agree = np.full(len(y), bits.sum(), np.uint32)
        predictions = np.empty(truth.shape)
        for t in range(y.shape[1]):
            say_one = ones[index[:, t]]
            left = np.bitwise_count(agree)  # none, where the targets are of no function of the family: then nothing is known
            predictions[:, t] = np.where(left, np.bitwise_count(agree & say_one) / np.maximum(left, 1), 0.5)
            agree &= np.where(truth[:, t], say_one, ~say_one)
        return torch.from_numpy(predictions).unsqueeze(-1).to(y)

    def variances(self) -> Variances:
        """Return exact values: a sum over which of the four inputs have been seen after k draws.

        With all sixteen functions an unseen input leaves variance 1/4 and the k-th value is (3/4)^k / 4, so that the floor
        over T cycles is (1 - (3/4)^T) / T.
        """
        return _variances(tuple(self.functions))

    def _exact_variances(self) -> Variances:
        left = [self._left(set(seen)) for n in range(INPUTS + 1) for seen in combinations(range(INPUTS), n)]
        sizes = [n for n in range(INPUTS + 1) for _ in combinations(range(INPUTS), n)]
        values: list[float] = []
        while not values or values[-1] > KNOWN:
            k = len(values)
            values.append(float(sum(_seen_exactly(n, k) * v for n, v in zip(sizes, left, strict=True))))
        return Variances(tuple(values), (0.0,) * len(values))

    def _left(self, seen: set[int]) -> float:
        """E[Var(y)] at a random input when the outputs at `seen` are known, over the functions."""
        tables = self.tables.double().numpy()
        groups: dict[tuple, list[np.ndarray]] = {}
        for table in tables:
            groups.setdefault(tuple(table[sorted(seen)]), []).append(table)
        return sum(len(g) / len(tables) * float(np.var(np.stack(g), axis=0).mean()) for g in groups.values())


@cache
def _variances(functions: tuple[int, ...]) -> Variances:
    """A job asks for them several times, and they take a while."""
    return Boolean(functions)._exact_variances()


def _seen_exactly(n: int, draws: int) -> float:
    """The probability that `draws` draws from four inputs hit exactly one given set of n of them."""
    return sum((-1) ** (n - j) * comb(n, j) * (j / INPUTS) ** draws for j in range(n + 1))
