"""What a family is: how to draw a mapping, evaluate it, and predict it as well as possible.

Shapes are the same for every family: inputs x [*n, T, d], targets y [*n, T, m]. d is 0 where a time series is predicted from
its own past; m is 1 for a single output, and a class is one-hot over m.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.losses import LOSSES, OUTPUTS, loss_of, nothing_known
from learning_to_learn.ranges import number, one_of
from learning_to_learn.registry import MISSING

FLOORS = Path(__file__).with_name("floors.json")
"""Estimated once by `make floors`."""
EXACT = 1e-5
"""Targets without noise are rounded: their likelihood has this standard deviation."""


@dataclass(frozen=True)
class Floor:
    """Losses (mean squared errors, or nats a cycle) with their standard errors, which are 0 where the value is exact."""

    no_learning: float
    no_learning_error: float
    floor: float
    floor_error: float
    limit: float = 0.0
    """What is left of the loss once the mapping is known: the noise."""


@dataclass(frozen=True)
class Losses:
    """The Bayes-optimal learner's expected loss at every one of T cycles, and what it is compared with.

    >>> Losses((0.25, 0.05), (0.0, 0.0), 0.25, 0.0).floor().floor
    0.15
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    no_learning: float
    no_learning_error: float
    limit: float = 0.0
    mean_error: float | None = None
    """The standard error of the mean over the cycles; None: the cycles' errors are independent."""

    def floor(self) -> Floor:
        """Return the mean over the cycles."""
        cycles = len(self.values)
        error = float(np.square(self.errors).sum() ** 0.5) / cycles if self.mean_error is None else self.mean_error
        return Floor(self.no_learning, self.no_learning_error, sum(self.values) / cycles, error, self.limit)


@dataclass(frozen=True)
class Variances:
    """How uncertain the best learner still is: E[Var(y | k examples)] for k = 0, 1, ...; zero past the end.

    The first is the no-learning MSE.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]

    def losses(self, cycles: int) -> Losses:
        """Return the Bayes-optimal learner's mean squared error at each of the first `cycles` cycles."""
        more = (0.0,) * (cycles - len(self.values))
        return Losses((*self.values[:cycles], *more), (*self.errors[:cycles], *more), self.values[0], self.errors[0])

    def floor(self, cycles: int) -> Floor:
        """Return the Bayes-optimal learner's mean squared error over the first `cycles` cycles."""
        return self.losses(cycles).floor()


@dataclass(frozen=True)
class LinearForm:
    """A family's outputs as a function of a weighted sum: y = output(weights . features(x)).

    The weights have mean 0 and equal variance over the family.
    """

    features: Callable[[np.ndarray], np.ndarray]
    """Inputs [..., d] to features [..., K]."""
    output: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]
    """The weighted sum that has a given output."""


Learner = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Predicts y[t] from the pairs before it: x [N, T, d], y [N, T, m] to predictions [N, T, m]."""

FAMILIES: dict[str, type[Family]] = {}
"""Every family by its name. A subclass of `Family` that has a `config` enters by itself."""


@dataclass
class AtTest:
    """The keys that may have another value at test time; null: the value that was trained with.

    Every family can be tested on longer or shorter sequences. One that can be tested on more has a subclass of this beside its
    configuration, with keys of the configuration's own names: {input_range: 2} tests with a wider `family.input_range`.
    """

    length: int | None = number(None, least=1)
    """Cycles of a test sequence; null: sequence_length."""


@dataclass
class FamilyConfig:
    """The keys that every family has. One family's own keys stand in a subclass beside it."""

    name: str = MISSING
    """The family's name."""
    sequence_length: int = number(least=1)
    """T: the cycles of one mapping."""
    feedback: str = one_of(("target", "error"), "target")
    """What the last inputs carry: the previous cycle's `target`, or the `error` of its output."""
    encoding: str = one_of(("paper", "stacked"), "paper")
    """What a cycle shows: `paper`: x[t] and the target before; `stacked`: x[t-1] too, so that a pair arrives together."""
    output: str | None = one_of(OUTPUTS, None)
    """The output neurons: logistic, linear or softmax; null: the family's own."""
    loss: str | None = one_of(LOSSES, None)
    """squared (mean over the outputs) or log (nats a cycle); null: the family's own."""
    carry_state: bool = False
    """Whether the state survives into the next mapping."""
    corpus: str = one_of(("fresh", "fixed"), "fresh")
    """`fresh`: new instances every epoch; `fixed`: the same ones, as in the paper."""
    training_mappings: int | None = number(None, least=1)
    """Train on that many mappings, drawn once for each replica and shown with new inputs; null: on new ones all the time."""

    test: AtTest = field(default_factory=AtTest)
    """What is different in the test data, such as family.test.length=1000."""

    def make(self, *, test: bool = False) -> Family:
        """Return the family that this configures; with `test`, the family of the test data."""
        config = self.at_test() if test else self
        family = FAMILIES[self.name].from_config(config, test=test)
        family.choose(self.output, self.loss)
        return family

    def shown(self, family: Family) -> int:
        """Return how many inputs a network of the family has: x[t], with the stacked encoding x[t-1], and the target before."""
        return (2 if self.encoding == "stacked" else 1) * family.input_size + family.output_size

    def length(self, *, test: bool) -> int:
        """Return the cycles of a training sequence, or of a test sequence."""
        return self.at_test().sequence_length if test else self.sequence_length

    def at_test(self) -> FamilyConfig:
        """Return the configuration of the test data."""
        given = {key: value for key, value in vars(self.test).items() if value is not None}
        if "length" in given:
            given["sequence_length"] = given.pop("length")
        return dataclasses.replace(self, **given, test=type(self.test)())


class Family(ABC):
    """A distribution over mappings. A mapping is a row of numbers that is drawn from `dimensions` uniform ones.

    The attributes may be those of the class, or set by `__init__` where a configuration decides.
    """

    config: ClassVar[type[FamilyConfig]]
    """The type of its configuration, whose default name is the family's."""
    name: ClassVar[str]
    input_size: int = 2
    """d, the inputs; 0 for a time series."""
    output_size: int = 1
    """m, the outputs."""
    output: str = "logistic"
    """The output neurons: `logistic`, `linear` or `softmax`."""
    loss: str = "squared"
    """`squared`: the mean over the outputs of (y - f)^2. `log`: nats a cycle, of the class y (softmax), or summed over the
    outputs, whose y is between 0 and 1 (logistic)."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Outputs and losses that a user may choose besides the family's own, such as (("logistic", "log"),)."""
    dimensions: int
    """D, the uniform numbers that a mapping is drawn from."""
    noise_uniforms: int = 0
    """K, the uniform numbers that each cycle's target is drawn from, besides the mapping and x."""
    noise: float = 0.0
    """With squared loss: the standard deviation of the targets' normal noise."""
    moving: bool = False
    """Whether the mapping is a path through the cycles, as long as the sequence: see `dimensions_at`."""
    input_range: float = 1.0
    """Inputs are uniform in [-input_range, input_range), unless the family's `inputs` says otherwise."""
    parameter_names: tuple[str, ...] = ()
    """What the numbers of a mapping are called, where a read-out of them means something; none for truth tables."""
    paper_cycles: ClassVar[dict[int, int]] = {}
    """Table 1's "cycles to learn", by sequence length."""

    @property
    def predictable(self) -> int:
        """How many sequences `bayes` can predict in a few seconds: on so many, at most, a learner is compared with it."""
        return 10**9

    @property
    def certain_after(self) -> int | None:
        """After how many pairs `bayes` returns the truth itself, as it can without noise; None: never."""
        return None

    def __init_subclass__(cls) -> None:
        if "config" in vars(cls):
            cls.name = cls.config.name
            FAMILIES[cls.name] = cls

    @classmethod
    def from_config(cls, config: Any, *, test: bool = False) -> Family:  # noqa: ARG003
        """Return the family that a configuration describes; `test`: it is that of the test data."""
        return cls()

    def choose(self, output: str | None, loss: str | None) -> None:
        """Take other output neurons or another loss than the family's own. Raises UserError where they do not go with it."""
        wanted = (output or self.output, loss or self.loss)
        allowed = dict.fromkeys([(self.output, self.loss), *self.pairs])
        if wanted not in allowed:
            raise UserError(
                f"family.output={wanted[0]} with family.loss={wanted[1]} does not go with {self.name}: choose one of "
                + ", ".join(f"{output} with {loss}" for output, loss in allowed)
            )
        self.output, self.loss = wanted

    @classmethod
    def estimated(cls) -> list[Family]:
        """Return the members of the family whose floor `make floors` estimates; none where the floor is exact."""
        return []

    def linear_form(self) -> LinearForm | None:
        """Return the features that the outputs are a function of, or None where none are known."""
        return None

    def learners(self, x: np.ndarray, y: np.ndarray) -> dict[str, Learner]:  # noqa: ARG002
        """Return the family's own learners to compare a network with; x [N, T, d], y [N, T, m] are for choosing their rates."""
        return {}

    def dimensions_at(self, length: int) -> int:  # noqa: ARG002
        """Return D for sequences of so many cycles. Only a `moving` family's depends on them."""
        return self.dimensions

    @abstractmethod
    def mappings(self, u: Float[torch.Tensor, "*n D"]) -> Float[torch.Tensor, "*n E"]:
        """Return mappings from numbers uniform in [0, 1)."""

    def inputs(self, u: Float[torch.Tensor, "*n T d"]) -> Float[torch.Tensor, "*n T d"]:
        """Return inputs from numbers uniform in [0, 1)."""
        x = symmetric(u)
        return x if self.input_range == 1 else x * self.input_range

    @abstractmethod
    def evaluate(self, mapping: Float[torch.Tensor, "*n E"], x: Float[torch.Tensor, "*n T d"]) -> Float[torch.Tensor, "*n T m"]:
        """Return the mapping's outputs without noise: of a family of functions, the mean of y given x."""

    def targets(
        self, mapping: Float[torch.Tensor, "*n E"], x: Float[torch.Tensor, "*n T d"], u: Float[torch.Tensor, "*n T K"]
    ) -> Float[torch.Tensor, "*n T m"]:
        """Return what the sequences show as y, from K numbers a cycle that are uniform in [0, 1)."""
        del u
        return self.evaluate(mapping, x)

    @abstractmethod
    def bayes(
        self, mapping: Float[torch.Tensor, "N E"], x: Float[torch.Tensor, "N T d"], y: Float[torch.Tensor, "N T m"]
    ) -> Float[torch.Tensor, "N T m"]:
        """Return the Bayes-optimal predictions: at every cycle the posterior mean given x[t] and all pairs before it. The mean
        of a class, or of a truth value, is its probability.

        `mapping` is the truth. Samplers may start from it, for it is itself a draw from the posterior; they must forget it.
        """

    def bayes_variance(
        self, x: Float[torch.Tensor, "N T d"], y: Float[torch.Tensor, "N T m"]
    ) -> Float[torch.Tensor, "N T m"] | None:
        """Return how far `bayes` is off, where it is a sampler: the variance about the exact predictions. None: it is exact."""
        del x, y
        return None

    def statistics(
        self, x: Float[torch.Tensor, "N T d"], y: Float[torch.Tensor, "N T m"]
    ) -> dict[str, Float[torch.Tensor, "N T ?K"]]:
        """Return what the Bayes learner knows before y[t], by name, such as {"ones": ..., "tosses": ...}; {}: nothing so short.

        `src.probe` looks for them in a network's state.
        """
        del x, y
        return {}

    def predict(
        self, statistics: dict[str, Float[torch.Tensor, "N T ?K"]], x: Float[torch.Tensor, "N T d"]
    ) -> Float[torch.Tensor, "N T m"]:
        """Return the predictions that follow from `statistics`. A family that has these has this, too."""
        raise NotImplementedError(f"{self.name}: no statistics are known")

    def known(
        self, mapping: Float[torch.Tensor, "N E"], x: Float[torch.Tensor, "N T d"], y: Float[torch.Tensor, "N T m"]
    ) -> Float[torch.Tensor, "N T m"]:
        """Return the predictions of the source, which knows the mapping and the pairs before; regret is counted from it."""
        del y
        return self.evaluate(mapping, x)

    def log_likelihood(
        self, mapping: Float[torch.Tensor, "N E"], x: Float[torch.Tensor, "N T d"], y: Float[torch.Tensor, "N T m"]
    ) -> Float[torch.Tensor, "N T"]:
        """Return log p(y[t] | mapping, x, the targets before), up to a constant. Without noise it is 0 or -infinity, almost."""
        f = self.known(mapping, x, y).double()
        if self.loss == "log":
            return -loss_of(f, y.double(), self.output, "log")
        return (f - y).square().sum(-1) / (-2 * max(self.noise, EXACT) ** 2)

    def no_learning_outputs(
        self, x: Float[torch.Tensor, "N T d"], y: Float[torch.Tensor, "N T m"]
    ) -> Float[torch.Tensor, "N T m"] | None:
        """Return what the best fixed function says. None: its loss is the Bayes learner's at the first cycle."""
        del x, y
        return None

    @property
    def nothing_known(self) -> float:
        """y[0], the target before the first cycle."""
        return nothing_known(self.output, self.output_size)

    @property
    def floor_key(self) -> str:
        """A text for what the floor depends on besides the loss and the sequence length."""
        return self.name

    def variances(self) -> Variances:
        """Return the cached estimates, of squared errors. Raises UserError where there are none for this family."""
        table = _read_floors()
        if self.floor_key not in table:
            raise UserError(f"no floor is known for {self.floor_key!r} (run `make floors`); known: {', '.join(sorted(table))}")
        entry = table[self.floor_key]
        return Variances(tuple(entry["variances"]), tuple(entry["standard_errors"]))

    def estimate_variances(self, seed: int) -> Variances:
        """Compute what `variances` then returns from the cache."""
        raise NotImplementedError(f"{self.name}: its variances are exact")

    def losses(self, cycles: int) -> Losses:
        """Return the Bayes-optimal learner's expected loss at each of so many cycles.

        It is known where the family has `variances` of squared errors. Else it is estimated with `bayes` and `known` on fresh
        sequences, and kept on this machine; a family with a closed form overrides this.
        """
        stated = type(self).variances is not Family.variances or self.floor_key in _read_floors()
        if self.loss == "squared" and stated:
            return self.variances().losses(cycles)
        from learning_to_learn.families.estimation import estimated_losses

        return estimated_losses(self, cycles)

    def floor(self, cycles: int) -> Floor:
        """Return the no-learning loss and the Bayes floor over sequences of that many cycles."""
        return self.losses(cycles).floor()


@cache
def _read_floors() -> dict:
    return json.loads(FLOORS.read_text(encoding="utf-8"))


def mean_and_error(samples: np.ndarray) -> tuple[float, float]:
    """Return the mean of independent samples and its standard error."""
    return float(samples.mean()), float(samples.std(ddof=1) / len(samples) ** 0.5)


def symmetric(u: torch.Tensor) -> torch.Tensor:
    """Stretch [0, 1) to [-1, 1)."""
    return torch.add(u, u).sub_(1)


def normal(u: torch.Tensor) -> torch.Tensor:
    """Return standard normal numbers from numbers uniform in [0, 1), which have 24 random bits: none is infinite."""
    half = 2.0**-24  # the middle of the interval that a number stands for
    return symmetric(u).add_(half).clamp_(half - 1, 1 - half).erfinv_().mul_(2**0.5)


def one_hot(index: torch.Tensor, classes: int) -> torch.Tensor:
    """Return whole numbers [...] from 0 to classes - 1 as rows [..., classes] of zeros and a one."""
    return torch.nn.functional.one_hot(index.long(), classes)
