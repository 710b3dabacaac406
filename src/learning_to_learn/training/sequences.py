"""Meta-training data: sequences of (x, previous target) pairs of unknown mappings, a whole epoch of all replicas at a time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn.config import Config
from learning_to_learn.families import Family
from learning_to_learn.lightning import pl
from learning_to_learn.randomness import Stream, uniform
from learning_to_learn.training.ahead import ahead
from learning_to_learn.training.interleave import interleave

LOOKED_AT = 512
"""Validation sequences at most: training looks at them again and again."""
IN_A_ROW = 8
"""Mappings of a stream that are evaluated, with `carry_state`."""
AT_A_TIME = 0.05
"""Seconds of training that Lightning is given at a time: its own loop takes as long as a small network's epoch. As often a job
looks whether it is interrupted, and whether a checkpoint is due."""


@dataclass(frozen=True)
class Sequences:
    """N sequences for each of R replicas."""

    inputs: Float[Tensor, "R N T I"]
    """x[t], with the stacked encoding x[t-1], and last the target of the cycle before."""
    targets: Float[Tensor, "R N T m"]
    mappings: Float[Tensor, "R N *E"]
    input_size: int
    """d, the size of x[t]"""
    epoch: int = 0

    @property
    def x(self) -> Float[Tensor, "R N T d"]:
        return self.inputs[..., : self.input_size]

    def pieces(self, count: int) -> Iterator["Sequences"]:
        """Yield the sequences in pieces of at most `count`."""
        for first in range(0, self.targets.shape[1], count):
            rows = slice(first, first + count)
            yield replace(self, inputs=self.inputs[:, rows], targets=self.targets[:, rows], mappings=self.mappings[:, rows])

    def cut(self, cycles: slice) -> "Sequences":
        """Return only some of the cycles."""
        return replace(self, inputs=self.inputs[:, :, cycles].contiguous(), targets=self.targets[:, :, cycles])


def seeds_of(*jobs: Config) -> list[int]:
    """Return the seed of every replica of the jobs, which are trained together."""
    return [job.seed + i for job in jobs for i in range(job.replicas)]


def draw_sequences(
    family: Family, length: int, count: int, seeds: Sequence[int], stream: Stream, epoch: int, *, dtype: torch.dtype,
    among: Float[Tensor, "R M *E"] | None = None, stacked: bool = False,
) -> Sequences:  # fmt: skip
    """Return sequences of `length` cycles, `count` for each seed; a pure function of its arguments.

    y[0], the previous target of the first cycle, says that nothing is known. `among` has the mappings to draw from; without it,
    they are the family's. `stacked`: the inputs show x[t-1], too.
    """
    first, d, noise = family.dimensions_at(length), family.input_size, family.noise_uniforms
    width = first + (d + noise) * length
    u = torch.from_numpy(uniform(seeds, stream, epoch, count * width)).view(len(seeds), count, width).to(dtype)
    of_mapping, of_x, of_noise = u.split([first, d * length, noise * length], -1)
    mappings = family.mappings(of_mapping) if among is None else _chosen(among, u[..., 0])
    x = family.inputs(of_x.unflatten(-1, (d, length)).mT)
    y = family.targets(mappings, x, of_noise.unflatten(-1, (noise, length)).mT)
    return show(family, x, y, mappings, stacked=stacked)


def show(
    family: Family,
    x: Float[Tensor, "R N T d"],
    y: Float[Tensor, "R N T m"],
    mappings: Float[Tensor, "R N *E"],
    *,
    stacked: bool,
) -> Sequences:
    """Return sequences as the network is shown them."""
    inputs = y.new_empty(*y.shape[:-1], (2 if stacked else 1) * x.shape[-1] + y.shape[-1])
    flat = (v.flatten(0, 1).numpy() for v in (x, y))
    interleave(*flat, inputs.numpy().dtype.type(family.nothing_known), stacked, inputs.flatten(0, 1).numpy())
    return Sequences(inputs, y, mappings, x.shape[-1])


def _chosen(among: Float[Tensor, "R M *E"], u: Float[Tensor, "R N"]) -> Float[Tensor, "R N *E"]:
    """Return for each of the numbers uniform in [0, 1) one of the mappings."""
    index = (u * among.shape[1]).long()
    return among[torch.arange(len(among))[:, None], index]


def training_mappings(config: Config, *more: Config, dtype: torch.dtype = torch.float32) -> Float[Tensor, "R M *E"] | None:
    """Return the mappings that each replica trains on where they are few: `family.training_mappings`, or a fixed corpus.

    `more` are jobs that are trained together with the first.
    """
    family, seeds = config.family.make(), seeds_of(config, *more)
    if config.family.training_mappings is not None:
        count, size = config.family.training_mappings, family.dimensions_at(config.family.sequence_length)
        u = torch.from_numpy(uniform(seeds, Stream.CORPUS, 1, count * size)).view(len(seeds), count, size).to(dtype)
        return family.mappings(u)
    if config.family.corpus == "fixed":
        length, count = config.family.sequence_length, config.trainer.sequences
        return draw_sequences(family, length, count, seeds, Stream.CORPUS, 0, dtype=dtype).mappings
    return None


def join(found: Sequences, batch: int, before: Sequences | None) -> Sequences:
    """With `carry_state`: sequence b of an update goes on from sequence b of the update before, and so does the feedback."""
    first, last = found.inputs[:, :, 0], _last(found)
    first[:, batch:, -last.shape[-1] :] = last[:, :-batch]
    if before is not None:
        first[:, :batch, -last.shape[-1] :] = _last(before)[:, -batch:]
    return found


def _last(found: Sequences) -> Float[Tensor, "R N F"]:
    """Return what the first cycle of the next sequence shows of the last one: the target, and with the stacked encoding x."""
    stacked = found.inputs.shape[-1] > found.input_size + found.targets.shape[-1]
    pieces = [found.x[:, :, -1], found.targets[:, :, -1]] if stacked else [found.targets[:, :, -1]]
    return torch.cat(pieces, -1)


def training_length(config: Config, epoch: int) -> int:
    """Return the sequence length of an epoch: that of the family, or a shorter one where a curriculum begins with them."""
    lengths, part = config.trainer.curriculum, config.trainer.curriculum_part * config.trainer.epochs
    stage, whole = int(epoch * len(lengths) / part) if part else len(lengths), config.family.sequence_length
    return min(lengths[stage], whole) if stage < len(lengths) else whole


@dataclass(frozen=True)
class Epochs:
    """Some epochs in a row, each drawn while the one before is trained: what Lightning takes for a batch."""

    data: "MetaData"
    numbers: range

    def __iter__(self) -> Iterator[Sequences]:
        began = time.perf_counter()
        yield from ahead(self.data.epoch, self.numbers, self.data.config.launcher.jobs)
        self.data.seconds_an_epoch = (time.perf_counter() - began) / len(self.numbers)


class MetaEpochs:
    """The epochs up to the next evaluation, a few at a time: an iterable that Lightning takes as a data loader.

    What Lightning calls an epoch is the stretch between two evaluations.
    """

    def __init__(self, data: "MetaData") -> None:
        self.data = data

    def __iter__(self) -> Iterator[Epochs]:
        data, trainer = self.data, self.data.config.trainer
        end = min((data.next_epoch // trainer.evaluate_every + 1) * trainer.evaluate_every, trainer.epochs)
        while (first := data.next_epoch) < end:
            numbers = range(first, min(end, first + max(1, int(AT_A_TIME / data.seconds_an_epoch))))
            yield Epochs(data, numbers)
            data.next_epoch = numbers.stop


class OneBatch:
    """A data loader of one batch. (A list would be taken for several loaders.)"""

    def __init__(self, batch: Sequences) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Sequences]:
        yield self.batch


class MetaData(pl.LightningDataModule):
    """Streams whole meta-training epochs. `next_epoch` is where a resumed run goes on.

    `more` are the configurations of jobs that are trained together with the first, on the replica axis.
    """

    def __init__(self, config: Config, *more: Config, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config, self.dtype, self.next_epoch = config, dtype, 0
        self.family = config.family.make()
        self._among = training_mappings(config, *more, dtype=dtype) if config.family.training_mappings else None
        self._validation: Sequences | None = None
        self.seeds = seeds_of(config, *more)
        self.seconds_an_epoch = float("inf")
        """What the last epochs took, with their training; infinite before the first."""

    def epoch(self, epoch: int) -> Sequences:
        """Return all sequences of an epoch of all replicas."""
        found = self._draw(epoch)
        if self.config.family.carry_state:
            found = join(found, self.config.trainer.batch, self._draw(epoch - 1) if epoch else None)
        return found

    def _draw(self, epoch: int) -> Sequences:
        family, trainer = self.config.family, self.config.trainer
        fixed = family.corpus == "fixed"
        stream, counter = (Stream.CORPUS, 0) if fixed else (Stream.TRAIN, epoch)
        length = training_length(self.config, epoch)
        found = draw_sequences(
            self.family, length, trainer.sequences, self.seeds, stream, counter, dtype=self.dtype, among=self._among,
            stacked=family.encoding == "stacked",
        )  # fmt: skip
        return replace(found, epoch=epoch)

    def validation(self) -> Sequences:
        """Return the data that training watches; they are the same for all replicas (R = 1)."""
        if self._validation is None:
            self._validation = held_out(self.config, Stream.VALIDATION, dtype=self.dtype)
        return self._validation

    def train_dataloader(self) -> MetaEpochs:
        return MetaEpochs(self)

    def val_dataloader(self) -> "OneBatch":
        return OneBatch(self.validation())


def held_out(config: Config, stream: Stream, *, dtype: torch.dtype = torch.float32) -> Sequences:
    """Return validation data or test data (R = 1): other streams than training's; test data are of the test family.

    With `carry_state` the mappings stand in streams, each with one more before it.
    """
    count = config.evaluation.mappings
    if stream is Stream.VALIDATION:
        count = min(count, LOOKED_AT)
    if config.family.carry_state:
        return in_streams(config, stream, 1 + min(IN_A_ROW, count), -(-count // IN_A_ROW), dtype=dtype)
    return _held_out(config, stream, 0, count, dtype)


def in_streams(config: Config, stream: Stream, mappings: int, count: int, *, dtype: torch.dtype = torch.float32) -> Sequences:
    """Return `count` streams of several mappings in a row, shown without a break (Figure 3); T = mappings x sequence_length."""
    found = _held_out(config, stream, 1, mappings * count, dtype)
    inputs, targets, last = (v.unflatten(1, (count, mappings)) for v in (found.inputs, found.targets, _last(found)))
    inputs[:, :, 1:, 0, -last.shape[-1] :] = last[:, :, :-1]
    inputs, targets = (v.flatten(2, 3).contiguous() for v in (inputs, targets))
    return replace(found, inputs=inputs, targets=targets, mappings=found.mappings.unflatten(1, (count, mappings)))


def _held_out(config: Config, stream: Stream, counter: int, count: int, dtype: torch.dtype) -> Sequences:
    test = stream is Stream.TEST
    family, seeds, stacked = config.family.make(test=test), [config.evaluation.seed], config.family.encoding == "stacked"
    return draw_sequences(family, config.family.length(test=test), count, seeds, stream, counter, dtype=dtype, stacked=stacked)
