"""What a verdict compares, and how: a file of sweeps/verdicts/.

    # Which recurrent networks learn to learn?
    axes: {arch: [lstm, gru], family: [boolean]}      what is compared; a key of the family, or its name, makes problems
    against: {arch: lstm}                             the contender that each of the others is tested against
    settings: {trainer.evaluate_every: 20}            what all jobs share
    draw:                                             what is tuned: the k-th random setting is the same for every contender
      optimizer.lr: {log: [0.003, 0.1]}
      trainer.batch: {choice: [5, 10]}
      arch.bias: {gates: [-2, 2], named: [update]}    added to the initial bias of each gate that a contender's units have
    tuning: {seed: 1000, evaluation.seed: 1}          the seeds and test data of tuning
    fresh: {seed: 0, evaluation.seed: 0}              those of the verdict, which tuning has not touched
    plans:                                            from the cheapest to the dearest; a budget takes the last that it can pay
      - {settings: 8, replicas: 2, fresh: 16, epochs: 200}

The gates of a contender are the pre-activations that its units give an initial bias, and those that are `named`.
"""

import itertools
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from learning_to_learn.composing import SWEEPS, options
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.runs.varying import spelled, typed
from learning_to_learn.topology import Network

VERDICTS = "verdicts"
"""The folder in sweeps/."""
DEFAULT = "verdict"
KEYS = ("axes", "against", "settings", "draw", "tuning", "fresh", "plans")
KINDS = ("log", "uniform", "choice", "gates")
BIAS = "arch.bias"
TUNING_SEED = 1000
"""The least seed of tuning, so that no fresh seed can be one."""
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Plan:
    """How much is trained."""

    settings: int
    """Random settings for each contender and problem."""
    replicas: int
    """Replicas of each of them, on tuning seeds."""
    fresh: int
    """Fresh seeds at the best setting."""
    epochs: int
    """The length of every training."""

    def __str__(self) -> str:
        return (
            f"{self.settings} settings x {self.replicas} tuning seeds, then {self.fresh} fresh seeds, {self.epochs} epochs each"
        )


@dataclass(frozen=True)
class Draw:
    """The range that random settings of a key are drawn from."""

    kind: str
    """log (log-uniform), uniform, choice, or gates: uniform, for every gate, and added to its initial bias."""
    values: tuple[Any, ...]
    """The two ends, or what is chosen from."""
    named: tuple[str, ...] = ()
    """Pre-activations that are gates even where their unit gives them no initial bias."""

    def at(self, u: float) -> Any:
        """Return the value at a number uniform in [0, 1), with three digits."""
        if self.kind == "choice":
            return self.values[int(u * len(self.values))]
        low, high = self.values
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.kind == "log" else low + u * (high - low)
        return float(f"{value:.3g}")

    def __str__(self) -> str:
        if self.kind == "choice":
            return f"one of {', '.join(map(typed, self.values))}"
        how = {"log": "log-uniform", "uniform": "uniform", "gates": "its unit's own, and uniform"}[self.kind]
        return f"{how} in {typed(self.values[0])} to {typed(self.values[1])}"


@dataclass(frozen=True)
class Contender:
    """What is judged: an arch, or whatever else the axes say that is not of a problem."""

    label: str
    words: Mapping[str, str]
    """Key to value, as one would type them."""


@dataclass(frozen=True)
class Protocol:
    """A file of sweeps/verdicts/, with what the user has typed besides."""

    name: str
    question: str
    axes: Mapping[str, tuple[str, ...]]
    against: Mapping[str, str]
    settings: Mapping[str, Any]
    draw: Mapping[str, Draw]
    tuning: Mapping[str, Any]
    fresh: Mapping[str, Any]
    plans: tuple[Plan, ...]
    own: tuple[Contender, ...] = ()
    """Contenders besides those of the axes."""

    @cached_property
    def contenders(self) -> list[Contender]:
        """All that are compared, in the order of the axes."""
        axes = {key: values for key, values in self.axes.items() if not _of_a_problem(key)}
        return [Contender(label, words) for label, words in _products(axes)] + list(self.own)

    @cached_property
    def problems(self) -> list[Contender]:
        """What they are compared on."""
        return [Contender(*both) for both in _products({k: v for k, v in self.axes.items() if _of_a_problem(k)})]

    def partner(self, contender: Contender) -> Contender | None:
        """Return what a contender is tested against: the one that differs from it in what `against` says alone."""
        for other in self.contenders:
            said = {**contender.words, **self.against}
            shared = [key for key in other.words if key in said]
            agree = all(other.words[key] == said[key] for key in shared) and all(key in other.words for key in self.against)
            if agree and other not in self.own and other != contender:
                return other
        return None

    def setting(self, number: int, gates: Mapping[str, float]) -> dict[str, Any]:
        """Return the random setting of that number: the same for every contender, but for the gates that it has.

        `gates` has their initial biases.
        """
        found: dict[str, Any] = {}
        for key, draw in self.draw.items():
            if draw.kind != "gates":
                found[key] = draw.at(_uniform(key, number))
            elif gates:
                drawn = {gate: draw.at(_uniform(f"{key}.{gate}", number)) for gate in sorted(gates)}
                found[key] = {gate: float(f"{gates[gate] + offset:.3g}") for gate, offset in drawn.items()}
        return found

    def gates(self, network: Network) -> dict[str, float]:
        """Return the initial biases of a network's gates, where these are drawn."""
        units = [block.unit for layer in network.layers for block in layer.blocks]
        named = {name for draw in self.draw.values() if draw.kind == "gates" for name in draw.named}
        if not any(draw.kind == "gates" for draw in self.draw.values()):
            return {}
        return {
            name: float(unit.bias.get(name, 0.0))
            for unit in units
            for name in unit.pre_activations
            if name in unit.bias or name in named
        }


def _of_a_problem(key: str) -> bool:
    return key.split(".", maxsplit=1)[0] == "family"


def _products(axes: Mapping[str, Sequence[str]]) -> list[tuple[str, dict[str, str]]]:
    """Every combination of the values, with what varies as its name; where nothing does, all of it."""
    short = spelled(axes, [*axes, "arch.name", "family.name"])
    bare = [key for key in axes if key in ("arch", "family")]
    varying = [key for key, values in axes.items() if len(values) > 1] or bare or list(axes)
    found = []
    for values in itertools.product(*axes.values()):
        words = dict(zip(axes, values, strict=True))
        named = [words[key] if key in bare else f"{short[key]}={words[key]}" for key in varying]
        found.append((" ".join(named), words))
    return found


def _uniform(name: str, number: int) -> float:
    """The `number`-th of a stream of numbers uniform in [0, 1); more numbers do not change the first ones."""
    return float(np.random.default_rng(zlib.crc32(name.encode())).random(number + 1)[number])


def protocols() -> dict[str, Path]:
    """Return the files of sweeps/verdicts/ by name."""
    return {path.stem: path for path in sorted((SWEEPS / VERDICTS).glob("*.yaml"))}


def load_protocol(name: str = DEFAULT) -> Protocol:
    """Return the protocol of that name. Raises UserError where there is none, or its file says something else."""
    path = choose("verdict", name, protocols())
    text = path.read_text(encoding="utf-8")
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    question = " ".join(line.removeprefix("#").strip() for line in comment)
    said = yaml.safe_load(text)
    for key in said:
        if key not in KEYS:
            raise unknown(f"key of {path}", key, KEYS)
    missing = [key for key in KEYS if key not in said]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    axes = {key: _axis(key, values) for key, values in said["axes"].items()}
    draw = {key: _draw(f"{path}: {key}", how) for key, how in said["draw"].items()}
    plans = tuple(Plan(**one) for one in said["plans"])
    against = {key: typed(value) for key, value in said["against"].items()}
    found = Protocol(name, question, axes, against, said["settings"], draw, said["tuning"], said["fresh"], plans)
    return checked(found, str(path))


def checked(protocol: Protocol, where: str) -> Protocol:
    """Return the protocol. Raises UserError where the verdict's data would not be apart from those of tuning."""
    first, most = protocol.tuning.get("seed", 0), max(plan.fresh for plan in protocol.plans)
    if first < TUNING_SEED or protocol.fresh.get("seed", 0) + most > first:
        raise UserError(f"{where}: tuning seeds begin at {TUNING_SEED} or later, above all fresh ones; they begin at {first}")
    if protocol.tuning.get("evaluation.seed", 0) == protocol.fresh.get("evaluation.seed", 0):
        raise UserError(f"{where}: tuning.evaluation.seed and fresh.evaluation.seed must differ: the test data are untouched")
    if BIAS in protocol.axes or any(key in protocol.axes for key in protocol.draw):
        raise UserError(f"{where}: a key is tuned or compared, not both")
    if not protocol.problems or "family" not in protocol.axes:
        raise UserError(f"{where}: no family to compare on")
    for plan in protocol.plans:
        if min(plan.settings, plan.replicas, plan.fresh, plan.epochs) < 1:
            raise UserError(f"{where}: settings, replicas, fresh and epochs are at least 1: {plan}")
    return protocol


def _axis(key: str, values: object) -> tuple[str, ...]:
    several = values if isinstance(values, list) else [values]
    return tuple(dict.fromkeys(one for value in several for one in _meant(key, typed(value))))


def _meant(key: str, value: str) -> Iterable[str]:
    """What a value of an axis stands for: `all` for every option of its group."""
    return options(key) if value == "all" and key in ("arch", "family") else [value]


def _draw(where: str, how: Mapping[str, Any]) -> Draw:
    kind = next(iter(how), "nothing")
    if kind not in KINDS:
        raise unknown(f"range of {where}", kind, KINDS)
    values = tuple(how[kind])
    ends = kind == "choice" or (len(values) == 2 and values[0] < values[1] and (kind != "log" or values[0] > 0))
    if not values or not ends or set(how) - {kind, "named"}:
        raise UserError(f"{where}={typed(how)}: give two rising ends, of log above 0, or what is chosen from")
    return Draw(kind, values, tuple(how.get("named", ())))


def with_words(protocol: Protocol, words: Iterable[str], against: Mapping[str, str] | None = None) -> Protocol:
    """Return the protocol with what the user has typed: axes, further settings, and what a plan says.

    `arch=lstm,gru` and `family=all` replace or add an axis, for a key of an axis or several values; `against`, where it is
    given, is what contenders are tested against; `settings=8`, `replicas=`, `fresh=` and `epochs=` replace what the plans say;
    any other key=value is a setting that all jobs share. Raises UserError where a key is tuned.
    """
    axes, shared, plan = dict(protocol.axes), dict(protocol.settings), {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"cannot read {word!r}: write key=value, such as arch=lstm,gru")
        if key in protocol.draw:
            raise UserError(
                f"{word}: the verdict tunes {key}, {protocol.draw[key]}: change its range in the file of the verdict"
            )
        if key in ("settings", "replicas", "fresh", "epochs"):
            if not re.fullmatch(r"\d{1,9}", value):
                raise UserError(f"{word}: give a whole number >= 1")
            plan[key] = int(value)
            continue
        values = [one for part in _split(word) for one in _meant(key, part)]
        if key in axes or len(values) > 1 or key in ("arch", "family", "size"):
            axes[key] = tuple(dict.fromkeys(values))
        else:
            shared[key] = yaml.safe_load(value)
    plans = tuple(replace(one, **plan) for one in protocol.plans)
    against = against or protocol.against
    for key in against:
        if key not in axes:
            raise unknown("axis in against", key, axes)
    found = replace(protocol, axes=axes, against=against, settings=shared, plans=tuple(dict.fromkeys(plans)))
    return checked(found, "the command")


def _split(word: str) -> list[str]:
    """The values of key=a,b, as Hydra's grammar splits them."""
    from learning_to_learn.composing import parse

    override = parse(word)
    if override.is_sweep_override():
        return [str(one) for one in override.sweep_string_iterator()]
    return [word.partition("=")[2]]


def seconds_of(text: str) -> float:
    """Return the seconds of a budget such as 3h, 20min or 90s. Raises UserError on anything else.

    >>> seconds_of("1.5h")
    5400.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h|d)", text)
    if not match or not float(match[1]):
        raise UserError(f"budget={text}: give a time such as 3h, 20min or 90s")
    return float(match[1]) * UNITS[match[2]]
