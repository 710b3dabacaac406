"""Boolean functions of two to four arguments: the paper's first family, grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learning_to_learn.errors import UserError
from learning_to_learn.families.family import AtTest, Family, FamilyConfig, LinearForm, Losses
from learning_to_learn.lazy import torch
from learning_to_learn.losses import loss_of
from learning_to_learn.ranges import number

if TYPE_CHECKING:
    from torch import Tensor

NUMBERS = 8_000_000
"""Functions times sequences that are weighed at once, about."""


@dataclass
class BooleanNAtTest(AtTest):
    """What can be different in the test data."""

    functions: list[int] | None = None
    """Truth tables to test on; null: those trained on."""


@dataclass
class BooleanNConfig(FamilyConfig):
    """The keys of Boolean functions of n arguments."""

    name: str = "boolean_n"
    arguments: int = number(3, least=2, below=5)
    """n, from 2 to 4: there are 2^(2^n) functions."""
    functions: list[int] | None = None
    """Truth tables to train on, numbers from 0 to 2^(2^n) - 1; null: all."""
    test: BooleanNAtTest = field(default_factory=BooleanNAtTest)


class BooleanN(Family):
    """Functions are numbered by their truth table: bit x1 x2 .. xn (read as a binary number) is the output.

    One sequence of the parity of three arguments, number 150: 000 -> 0, 011 -> 0, 100 -> 1, 111 -> 1. Inputs and outputs are 0
    and 1. With all functions an input's output says nothing about the other inputs: the Bayes predictor says 1/2 to a new
    input, and what it has seen to an old one. Raises UserError on numbers that are no truth tables.
    """

    config: ClassVar[type[FamilyConfig]] = BooleanNConfig
    pairs = (("linear", "squared"), ("logistic", "log"))

    def __init__(self, arguments: int = 3, functions: Sequence[int] | None = None, key: str = "functions") -> None:
        self.input_size, self.rows = arguments, 2**arguments
        self.functions = None if functions is None else sorted(set(functions))
        if self.functions is not None:
            last = 2**self.rows - 1
            if not self.functions or any(type(f) is not int or not 0 <= f <= last for f in self.functions):
                raise UserError(
                    f"family.{key}={list(functions or [])}: give numbers from 0 to {last} (truth tables), at least one"
                )
            self.tables = ((torch.tensor(self.functions)[:, None] >> torch.arange(self.rows)) & 1).double()
        self.dimensions = self.rows if self.functions is None else 1

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:
        return cls(config.arguments, config.functions, "test.functions" if test else "functions")

    @property
    def floor_key(self) -> str:
        return f"boolean_{self.input_size}" + ("" if self.functions is None else f"_{self.functions}")

    @property
    def predictable(self) -> int:
        return 10**9 if self.functions is None else max(256, NUMBERS * 4 // len(self.functions))

    def linear_form(self) -> LinearForm:
        """One feature for each row of the truth table, whose weight is +1/2 or -1/2."""
        return LinearForm(
            lambda x: np.eye(self.rows)[self._row(torch.from_numpy(x)).numpy()], lambda s: s + 0.5, lambda y: y - 0.5
        )

    def mappings(self, u: Tensor) -> Tensor:
        """Truth tables [*n, 2^n], drawn evenly from the functions."""
        if self.functions is None:
            return (u >= 0.5).to(u)
        return self.tables.to(u)[(u[..., 0] * len(self.functions)).long()]

    def inputs(self, u: Tensor) -> Tensor:
        return (u >= 0.5).to(u)

    def evaluate(self, mapping: Tensor, x: Tensor) -> Tensor:
        table = mapping.expand(*x.shape[:-2], self.rows)
        return table.gather(-1, self._row(x)).unsqueeze(-1)

    def no_learning_outputs(self, x: Tensor, y: Tensor) -> Tensor | None:
        del x
        return torch.full_like(y, 0.5) if self.functions is None else None

    def bayes(self, mapping: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The mean over the functions that agree with every pair seen."""
        del mapping
        row, truth = self._row(x), y[..., 0].double()
        if self.functions is not None:
            pieces = zip(*(v.split(max(1, NUMBERS // len(self.functions))) for v in (row, truth)), strict=True)
            return torch.cat([self._among(*piece) for piece in pieces]).unsqueeze(-1).to(y)
        known, rows, found = truth.new_full((len(y), self.rows), 0.5), torch.arange(len(y)), []
        for t in range(y.shape[1]):
            found.append(known[rows, row[:, t]])
            known[rows, row[:, t]] = truth[:, t]
        return torch.stack(found, 1).unsqueeze(-1).to(y)

    def losses(self, cycles: int) -> Losses:
        """Return exact values with all functions: an input is new at cycle t with probability (1 - 2^-n)^t, and then a toss."""
        if self.functions is not None:
            return super().losses(cycles)
        half = torch.tensor([0.5])
        toss = 0.25 if self.loss == "squared" else float(np.log(2))
        sure = float(loss_of(torch.tensor([0.0]), half * 0, self.output, self.loss))
        new = (1 - 1 / self.rows) ** np.arange(cycles)
        return Losses(tuple((new * toss + (1 - new) * sure).tolist()), (0.0,) * cycles, toss, 0.0, sure, 0.0)

    def _row(self, x: Tensor) -> Tensor:
        """The row of the truth table that each input [..., n] chooses."""
        return (x.double() @ (2.0 ** torch.arange(self.input_size - 1, -1, -1, dtype=torch.float64))).long()

    def _among(self, row: Tensor, truth: Tensor) -> Tensor:
        """Predictions [N, T] where only some functions are possible."""
        agree, found = torch.ones(len(row), len(self.tables), dtype=torch.float64), []
        for t in range(row.shape[1]):
            says = self.tables.T[row[:, t]]
            left = agree.sum(1)  # none, where the targets are of no function of the family: then nothing is known
            found.append(torch.where(left > 0, (agree * says).sum(1) / left.clamp_min(1), 0.5))
            agree = agree * (says == truth[:, t, None])
        return torch.stack(found, 1)
