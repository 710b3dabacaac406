"""CMA-ES (Hansen & Ostermeier 2001), as the library `cma` has it: a search that needs errors of candidates and no gradient.

Each replica has a normal distribution of its own, from which candidates are drawn. Its mean is the replica's weights, its
covariance learns which directions reduce the error. Memory grows with P^2, the time of an update too, and that of its axes
with P^3. `arch.gradient=none` goes with it.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from learning_to_learn.errors import UserError
from learning_to_learn.lazy import torch
from learning_to_learn.optimizers.optimizer import Optimizer, OptimizerConfig
from learning_to_learn.ranges import number

COUNTS = ("countiter", "countevals", "itereigenupdated", "last_update", "count_tell", "count_eigen")
WORST = 1e30
"""The error of a candidate whose error is not finite."""


@dataclass
class CmaConfig(OptimizerConfig):
    """The keys of CMA-ES. It has no rate that falls and no gradient to clip."""

    name: str = "cma"
    lr: float = number(0.1, above=0, per_replica=True)
    """The standard deviation of the first candidates."""
    clip: float | None = number(None, above=0, per_replica=True)
    population: int | None = number(None, least=4)
    """Candidates of an update; null: 4 + 3 log P, rounded down."""


class Cma(Optimizer):
    """Moves the weights to the mean of the distribution that the library adapts."""

    config: ClassVar = CmaConfig
    searches: ClassVar[bool] = True

    def __init__(self, weights: Float[torch.Tensor, "R P"], configs: Sequence[Any]) -> None:
        super().__init__(weights, configs)
        if any(config.clip is not None or config.schedule != "constant" or config.warmup for config in configs):
            raise UserError(
                "optimizer=cma has no gradient to clip and no rate that changes: leave clip, schedule and warmup out"
            )
        replicas, size = weights.shape
        self._first = np.array([config.lr for config in configs])
        self._population = configs[0].population or 4 + int(3 * math.log(size))
        self._start = self._weights.clone()
        self._running: dict[int, Any] = {}
        self.mean = self._weights.double().clone()
        self.paths = torch.zeros(replicas, 2, size, dtype=torch.float64)
        """The evolution paths of the covariance and of the step size."""
        self.covariance = torch.eye(size, dtype=torch.float64).repeat(replicas, 1, 1)
        self.axes = self.covariance.clone()
        """In columns; their lengths are `lengths`."""
        self.lengths = torch.ones(replicas, size, dtype=torch.float64)
        self.deviation = torch.from_numpy(self._first.copy())
        """The step size of each replica."""
        self.counts = torch.zeros(replicas, len(COUNTS), dtype=torch.int64)

    def _move(self, *_: object) -> None:
        raise TypeError("CMA-ES searches; it follows no gradient")

    def search(self, errors: Callable[[int, torch.Tensor], torch.Tensor], alive: Bool[torch.Tensor, " R"]) -> None:
        """Make an update: `errors(r, candidates)` returns the errors [N] of candidates [N, P] of replica r.

        A replica none of whose candidates has a finite error stays where it is and is alive no more.
        """
        self.updates += 1
        for r in alive.nonzero().flatten().tolist():
            es = self._running.get(r) or self._restored(r)
            self._running[r] = es
            candidates = es.ask()
            found = errors(r, torch.from_numpy(np.array(candidates)).to(self._weights.dtype)).double().numpy()
            if not np.isfinite(found).any():
                alive[r] = False
                continue
            es.tell(candidates, np.where(np.isfinite(found), found, WORST).tolist())
            self._keep(r, es)
            self._weights[r] = self.mean[r].to(self._weights.dtype)

    def _made(self, r: int) -> Any:
        import cma  # takes a second

        digest = hashlib.blake2b(self._start[r].numpy().tobytes(), digest_size=8).digest()

        def randn(*shape: int) -> np.ndarray:
            """Noise of the replica and of the update, so that a resumed run repeats it."""
            key = [int.from_bytes(digest, "little"), int(self.counts[r, 0])]
            return np.random.Generator(np.random.Philox(key=np.array(key, np.uint64))).standard_normal(shape)

        options = {"popsize": self._population, "randn": randn, "seed": math.nan, "verbose": -9, "verb_log": 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cma.CMAEvolutionStrategy(self._start[r].double().numpy(), self._first[r], options)

    def _restored(self, r: int) -> Any:
        """The library's object of a replica, with the state that is kept here."""
        es = self._made(r)
        if not self.counts[r, 0]:
            return es
        from cma.utilities.utils import ElapsedWCTime

        es.timer, es.mean_old = ElapsedWCTime(), None  # which the library makes in the first update only
        es.mean, es.sigma = self.mean[r].numpy().copy(), float(self.deviation[r])
        es.pc, es.adapt_sigma.ps = self.paths[r, 0].numpy().copy(), self.paths[r, 1].numpy().copy()
        es.sm.C, es.sm.B = self.covariance[r].numpy().copy(), self.axes[r].numpy().copy()
        es.sm.D = self.lengths[r].numpy().copy()
        for name, count in zip(COUNTS, self.counts[r].tolist(), strict=True):
            setattr(es if hasattr(es, name) and not hasattr(es.sm, name) else es.sm, name, count)
        es.count_eigen = es.sm.count_eigen
        es._updateBDfromSM(es.sm)
        return es

    def _keep(self, r: int, es: Any) -> None:
        self.mean[r], self.deviation[r] = torch.from_numpy(np.array(es.mean)), float(es.sigma)
        self.paths[r, 0], self.paths[r, 1] = torch.from_numpy(es.pc.copy()), torch.from_numpy(es.adapt_sigma.ps.copy())
        self.covariance[r], self.axes[r] = torch.from_numpy(es.sm.C.copy()), torch.from_numpy(es.sm.B.copy())
        self.lengths[r] = torch.from_numpy(es.sm.D.copy())
        values = [getattr(es.sm, name) if hasattr(es.sm, name) else getattr(es, name) for name in COUNTS]
        self.counts[r] = torch.tensor([int(value) for value in values])

    def memory(self) -> dict[str, torch.Tensor]:
        names = ("mean", "paths", "covariance", "axes", "lengths", "deviation", "counts")
        return {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self._running.clear()
