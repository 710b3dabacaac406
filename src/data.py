"""Meta-training data: sequences of (x, previous target) pairs of unknown mappings, a whole epoch of all replicas at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from src.config import make_family
from src.families import Family
from src.randomness import Stream, uniform
from src.topology.network import NOTHING_KNOWN


@dataclass(frozen=True)
class Episodes:
    """N sequences for each of R replicas."""

    inputs: Float[Tensor, "R N T 3"]
    """x1, x2, and the target of the cycle before."""
    targets: Float[Tensor, "R N T"]
    mappings: Float[Tensor, "R N E"]
    epoch: int = 0


def episodes(
    family: Family, length: int, count: int, seeds: Sequence[int], stream: Stream, epoch: int, *, dtype: torch.dtype
) -> Episodes:
    """Sequences of `length` cycles, `count` for each seed; a pure function of its arguments.

    y[0], the previous target of the first cycle, is 0.5: nothing known.
    """
    width = family.dimensions + 2 * length
    u = torch.from_numpy(uniform(seeds, stream, epoch, count * width)).view(len(seeds), count, width).to(dtype)
    mappings = family.mappings(u[..., : family.dimensions])
    x = family.inputs(u[..., family.dimensions :].unflatten(-1, (length, 2)))
    y = family.evaluate(mappings, x)
    inputs = x.new_empty(*y.shape, 3)
    inputs[..., :2] = x
    inputs[..., 1:, 2] = y[..., :-1]
    inputs[..., 0, 2] = NOTHING_KNOWN
    return Episodes(inputs, y, mappings, epoch)


def join(found: Episodes, batch: int, before: Episodes | None) -> Episodes:
    """With `carry_state`: sequence b of an update goes on from sequence b of the update before, and so does the feedback."""
    first = found.inputs[:, :, 0, 2]
    first[:, batch:] = found.targets[:, :-batch, -1]
    if before is not None:
        first[:, :batch] = before.targets[:, -batch:, -1]
    return found


class MetaEpochs:
    """The epochs from the learner's next one on, `count` at a time: an iterable that Lightning takes as a data loader."""

    def __init__(self, data: "MetaData", count: int) -> None:
        self.data, self.count = data, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Episodes]:
        first = self.data.next_epoch
        for epoch in range(first, min(first + self.count, self.data.config.trainer.epochs)):
            yield self.data.epoch(epoch)
            self.data.next_epoch = epoch + 1


class MetaData(pl.LightningDataModule):
    """Streams whole meta-training epochs. `next_epoch` is where a resumed run goes on."""

    def __init__(self, config: DictConfig, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config, self.dtype, self.next_epoch = config, dtype, 0
        self.family = make_family(config.family)
        self.seeds = [config.seed + i for i in range(config.replicas)]

    def epoch(self, epoch: int) -> Episodes:
        """All sequences of an epoch of all replicas."""
        found = self._draw(epoch)
        if self.config.family.carry_state:
            found = join(found, self.config.trainer.batch, self._draw(epoch - 1) if epoch else None)
        return found

    def _draw(self, epoch: int) -> Episodes:
        family, trainer = self.config.family, self.config.trainer
        fixed = family.corpus == "fixed"
        stream, counter = (Stream.CORPUS, 0) if fixed else (Stream.TRAIN, epoch)
        found = episodes(
            self.family, family.sequence_length, trainer.sequences, self.seeds, stream, counter, dtype=self.dtype
        )
        return Episodes(found.inputs, found.targets, found.mappings, epoch)

    def validation(self) -> Episodes:
        """What training watches; the same for all replicas (R = 1)."""
        return held_out(self.config, Stream.VALIDATION, dtype=self.dtype)

    def train_dataloader(self) -> MetaEpochs:
        return MetaEpochs(self, self.config.trainer.evaluate_every)

    def val_dataloader(self) -> list[Episodes]:
        return [self.validation()]


def held_out(config: DictConfig, stream: Stream, *, dtype: torch.dtype = torch.float32) -> Episodes:
    """Validation data or test data (R = 1): other streams than training's, of the test family."""
    family = config.family
    return episodes(
        make_family(family, test=stream is Stream.TEST), family.sequence_length, config.evaluation.mappings,
        [config.evaluation.seed], stream, 0, dtype=dtype,
    )  # fmt: skip


def streams(config: DictConfig, mappings: int, count: int, *, dtype: torch.dtype = torch.float32) -> Episodes:
    """`count` test streams of several mappings in a row, shown without a break (Figure 3); T = mappings x sequence_length."""
    family = config.family
    found = episodes(
        make_family(family, test=True), family.sequence_length, mappings * count, [config.evaluation.seed], Stream.TEST, 1,
        dtype=dtype,
    )  # fmt: skip
    inputs = found.inputs.unflatten(1, (count, mappings)).flatten(2, 3).contiguous()
    targets = found.targets.unflatten(1, (count, mappings)).flatten(2, 3).contiguous()
    inputs[:, :, 1:, 2] = targets[:, :, :-1]
    return Episodes(inputs, targets, found.mappings)
