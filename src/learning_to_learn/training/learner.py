"""The Lightning module: R replicas of a network, all updates of a meta-training epoch in one step."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn.config import Config
from learning_to_learn.config_check import make_gradient_of, make_network
from learning_to_learn.engine import Engine, make_engine
from learning_to_learn.gradients import Carry
from learning_to_learn.gradients.es import errors_of
from learning_to_learn.lightning import pl
from learning_to_learn.losses import loss_of
from learning_to_learn.optimizers import make_optimizer, rates
from learning_to_learn.training.curves import error_curves
from learning_to_learn.training.sequences import Epochs, Sequences
from learning_to_learn.training.start import initial_weights

ALIVE = -1
"""`diverged_at` of a replica that has not diverged."""


class MetaLearner(pl.LightningModule):
    """Trains the replicas of a job. Each is independent: what one does never touches another.

    A replica whose gradient is no longer finite is frozen with the weights it had before, and reported. So is one whose weights
    are no longer finite.

    `MetaLearner(config, *more)` trains several jobs together on the replica axis. They differ only in keys that may differ from
    replica to replica (`ranges.per_replica_keys`). `parts` has a learner for each of them.
    """

    diverged_at: Tensor
    average: Tensor

    def __init__(self, config: Config, *more: Config, dtype: torch.dtype = torch.float32, engine: Engine | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.network = make_network(config)
        self.gradient = make_gradient_of(config)
        keep = config.arch.update_every is not None or config.family.carry_state
        self.engine = engine or make_engine(
            config.engine, self.network, self.gradient, dtype=dtype, keep=keep, batch=config.trainer.batch
        )
        jobs = (config, *more)
        start = [initial_weights(job, self.network) for job in jobs]
        self.weights = torch.nn.Parameter(torch.cat(start).to(dtype))
        if config.trainer.average:
            self.register_buffer("average", self.weights.detach().clone())
        settings = [job.optimizer for job in jobs for _ in range(job.replicas)]
        self.optimizer, self._lr = make_optimizer(self.weights, *settings), np.array([one.lr for one in settings])
        self.register_buffer("diverged_at", torch.full((len(settings),), ALIVE))
        self.epochs_done = 0
        self.seconds = 0.0
        """Spent in `train_epoch`."""
        self.carry: Carry | None = None
        self.train_mse = np.full(len(settings), np.nan)
        """The mean loss of each replica over the last epoch, while it was learning."""
        self.validation_curves: np.ndarray | None = None
        length = config.family.sequence_length
        self.family = config.family.make()
        self.validation_floor = self.family.floor(length)
        self.test_floor = config.family.make(test=True).floor(config.family.length(test=True))
        self.parts = [self] if not more else self._split(jobs, dtype)

    def _split(self, jobs: Sequence[Config], dtype: torch.dtype) -> "list[MetaLearner]":
        """Return a learner for each job, whose tensors are views of this one's."""
        parts = []
        for job, replicas in zip(jobs, _places(jobs), strict=True):
            part = MetaLearner(job, dtype=dtype, engine=self.engine)
            part.weights.data = self.weights.detach()[replicas]
            part.diverged_at = self.diverged_at[replicas]
            if job.trainer.average:
                part.average = self.average[replicas]
            part.optimizer = self.optimizer.part(replicas)
            parts.append(part)
        return parts

    @property
    def places(self) -> list[slice]:
        """Where the replicas of each of the `parts` stand on the replica axis."""
        return _places([part.config for part in self.parts])

    def tell_parts(self) -> None:
        """Let the learners of the jobs know what has happened since they were told last; of the seconds each has its share."""
        if self.parts == [self]:
            return
        for part, replicas in zip(self.parts, self.places, strict=True):
            part.epochs_done, part.optimizer.updates = self.epochs_done, self.optimizer.updates
            part.seconds = self.seconds * part.config.replicas / len(self.weights)
            part.train_mse = self.train_mse[replicas]
            part.validation_curves = None if self.validation_curves is None else self.validation_curves[replicas]

    def go_on_from_parts(self) -> None:
        """Go on from where the learners of the jobs are, which have all come equally far."""
        self.epochs_done, self.optimizer.updates = self.parts[0].epochs_done, self.parts[0].optimizer.updates
        self.seconds = sum(part.seconds for part in self.parts)

    def configure_optimizers(self) -> None:
        """Lightning has none to manage: an update of all replicas is one call of `src.optimizers`."""

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ARG002
        """The engines read host memory; Lightning's own walk through the batch would only take time."""
        return batch

    def training_step(self, batch: Epochs, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Train some epochs."""
        for epoch in batch:
            self.train_epoch(epoch)

    def train_epoch(self, batch: Sequences) -> None:
        """Make all updates of one epoch."""
        began = time.perf_counter()
        alive, outputs = self.diverged_at == ALIVE, torch.empty_like(batch.targets)
        weights, trainer, length = self.weights.detach(), self.config.trainer, batch.targets.shape[2]
        whole = (self.config.arch.update_every or length) >= length and not self.config.family.carry_state
        if whole and not trainer.average and self.engine.can_train(self.optimizer):
            count = batch.targets.shape[1] // trainer.batch
            rates = self._rates(batch.epoch * count + np.arange(count), count)
            self.engine.train(weights, batch.inputs, batch.targets, outputs, self.optimizer, rates, alive, self.network.fixed)
        else:
            self._update_one_by_one(batch, weights, outputs, alive)
        alive &= weights.isfinite().all(1)
        self.diverged_at[(self.diverged_at == ALIVE) & ~alive] = batch.epoch
        if self.family.loss == "squared":
            norms = torch.linalg.vector_norm(outputs.sub_(batch.targets), dim=(1, 2, 3))
            self.train_mse = (norms.square() / batch.targets[0].numel()).numpy()
        else:
            self.train_mse = loss_of(outputs, batch.targets, self.family.output, self.family.loss).mean((1, 2)).numpy()
        self.epochs_done = batch.epoch + 1
        self.seconds += time.perf_counter() - began

    def _rates(self, updates: Sequence[int] | np.ndarray, in_an_epoch: int) -> Float[np.ndarray, "U R"]:
        """Return the learning rates of all replicas in some updates, which are counted from the first epoch's first."""
        whole = in_an_epoch * self.config.trainer.epochs
        return rates(self.config.optimizer, [update / whole for update in updates], self._lr)

    def _update_one_by_one(self, batch: Sequences, weights: Tensor, outputs: Tensor, alive: Tensor) -> None:
        """Make the updates of an epoch where something happens between two of them.

        Weights change within a sequence, the state is carried, weights are averaged, or the engine cannot run the optimizer.
        """
        length, width = batch.targets.shape[2], self.config.trainer.batch
        step = self.config.arch.update_every or length
        updates = batch.targets.shape[1] // width * math.ceil(length / step)
        update, decay, fixed = batch.epoch * updates, self.config.trainer.average, self.network.fixed
        kept, carry = weights[:, fixed], self.carry  # a local name: a module looks at every attribute that it is given
        for batched in zip(*(v.split(width, 1) for v in (batch.inputs, batch.targets, outputs)), strict=True):
            if not self.config.family.carry_state:
                carry = None
            for x, y, output in zip(*(v.split(step, 2) for v in batched), strict=True):
                before = carry
                segment = self.engine.segment(weights, x, y, before)
                carry = segment.carry
                if fixed:
                    segment.gradient[:, fixed] = 0.0
                if self.optimizer.searches:
                    self.optimizer.search(self._errors_on(x, y, before), alive)
                else:
                    self.optimizer.step(segment.gradient, self._rates([update], updates)[0], alive)
                if fixed:
                    weights[:, fixed] = kept  # an optimizer's weight decay moves them, too
                if decay:
                    self.average.lerp_(weights, 1 - decay)
                output.copy_(segment.outputs)
                update += 1
        self.carry = carry

    def _errors_on(self, x: Tensor, y: Tensor, carry: Carry | None) -> Callable[[int, Tensor], Tensor]:
        """Return what gives the errors [N] of candidates [N, P] of a replica on its sequences, for a search."""

        def errors(r: int, candidates: Tensor) -> Tensor:
            state = None if carry is None else carry.state[r]
            return errors_of(self.network, self.engine.outputs, candidates, x[r], y[r], state)

        return errors

    def validation_step(self, batch: Sequences, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        self.validation_curves = error_curves(
            self.family, self.outputs(batch), batch.targets, self.config.family.sequence_length
        )

    @property
    def evaluated(self) -> Float[Tensor, "R P"]:
        """The weights that are measured: those that were trained, or with `trainer.average` their running average."""
        return self.average if self.config.trainer.average else self.weights.detach()

    @torch.no_grad()
    def outputs(self, batch: Sequences, state: Tensor | None = None, replicas: slice = slice(None)) -> Float[Tensor, "R N T m"]:
        """Return the outputs of every replica, or of some, on data that is the same for all (R = 1)."""
        weights = self.evaluated[replicas]
        inputs = batch.inputs.expand(len(weights), *batch.inputs.shape[1:])
        return self.engine.outputs(weights, inputs, state)[0]

    @property
    def diverged(self) -> dict[int, int]:
        """The frozen replicas, with the epoch after which each diverged."""
        return {i: int(at) for i, at in enumerate(self.diverged_at) if at != ALIVE}

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the epoch just done is one after which the validation data are looked at."""
        trainer = self.config.trainer
        return self.epochs_done % trainer.evaluate_every == 0 or self.epochs_done == trainer.epochs

    def learning_state(self) -> dict[str, Any]:
        """Return what a resumed run needs besides the weights and the optimizer."""
        kept = None
        if self.carry is not None and self.config.family.carry_state:
            kept = {"state": self.carry.state, "sensitivities": self.carry.sensitivities}
        optimizer = self.optimizer.state()
        return {"epochs_done": self.epochs_done, "seconds": self.seconds, "optimizer": optimizer, "carry": kept}

    def empty_carry(self) -> dict[str, Any]:
        """Return a `carry` as `learning_state` has it, after one cycle of zeros: what a checkpoint's must look like."""
        x = self.weights.new_zeros(self.config.replicas, self.config.trainer.batch, 1, self.network.inputs).detach()
        targets = x[..., : self.network.outputs].contiguous()
        carry = self.engine.segment(self.weights.detach(), x, targets, None).carry
        return {"state": carry.state, "sensitivities": carry.sensitivities}

    def load_learning_state(self, state: dict[str, Any]) -> None:
        self.epochs_done, self.seconds = int(state["epochs_done"]), float(state["seconds"])
        self.optimizer.load(state["optimizer"])
        self.carry = Carry(**state["carry"]) if state["carry"] else None


def _places(jobs: Sequence[Config]) -> list[slice]:
    """Where the replicas of each job stand on the replica axis of all."""
    ends = list(itertools.accumulate(job.replicas for job in jobs))
    return [slice(end - job.replicas, end) for end, job in zip(ends, jobs, strict=True)]
