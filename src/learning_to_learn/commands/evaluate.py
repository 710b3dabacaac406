"""Measure a trained run again, also on what it was not trained on: `python -m src.evaluate --help`."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from learning_to_learn.commands.cli import command, exit_with, invoke
from learning_to_learn.composing import CONF
from learning_to_learn.config import Config, conform, explain, load
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.families import FAMILIES

if TYPE_CHECKING:
    from learning_to_learn.training.evaluation import Evaluation

USAGE = "give run=<folder>, such as python -m src.evaluate run=runs/<day>/<time> sequence_length=1000"


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(evaluate, arguments, name="evaluate")


@command(name="evaluate")
@click.argument("words", metavar="run=FOLDER [KEY=VALUE]...", nargs=-1)
def evaluate(words: Sequence[str]) -> int:
    """Measure a trained run on test data again, also on what it was not trained on.

    Everything is written to <folder>/evaluations/, in a folder named by what was asked.

    Keys:
      family=quadratic          another family, with its own usual sequence length
      sequence_length=1000      longer or shorter sequences
      carry_state=true          the state survives from mapping to mapping
      mappings=4096 seed=1      more, or other, test sequences
      plugins=[<file>]          the plugins that the run was trained with
    and any other key of the family.

    Examples:
      python -m src.evaluate run=runs/2026-01-31/12-00-00
      python -m src.evaluate run=runs/2026-01-31/12-00-00 sequence_length=1000
      python -m src.evaluate run=runs/2026-01-31/12-00-00 family=semilinear mappings=4096

    """
    given = dict(_pair(word) for word in words)
    if "run" not in given:
        raise UserError(USAGE)
    run = Path(given.pop("run"))
    into, found = measure(run, given)

    from rich.console import Console

    from learning_to_learn.results.table import result_table

    Console().print(result_table([found.result], ["arch", "family", "sequence_length"], title=str(into)))
    return 0


def measure(run: Path, given: dict[str, str], into: Path | None = None) -> "tuple[Path, Evaluation]":
    """Measure the run in a folder with the changes `given`; where the results were written, and what they are."""
    config = changed(load(run / "config.yaml"), given)
    check(config)

    from learning_to_learn.jobs.checkpoint import load_checkpoint, restore
    from learning_to_learn.training import evaluation
    from learning_to_learn.training.learner import MetaLearner

    learner = MetaLearner(config)
    restore(learner, load_checkpoint(run))
    into = into or run / "evaluations" / (_name(given) or "as_trained")
    return into, evaluation.evaluate(learner, into)


def changed(config: Config, given: dict[str, str]) -> Config:
    """The configuration with another family, or other values of the family's or the evaluation's keys.

    Raises UserError on a key that neither has, or a value of the wrong type.
    """
    raw = OmegaConf.structured(config)
    if "family" in given:
        schema = choose("family", given["family"], FAMILIES).config
        # How errors are fed back is a trait of the network, so that it stays.
        raw = OmegaConf.structured(dataclasses.replace(config, family=schema(feedback=config.family.feedback)))
        file = CONF / "family" / f"{given['family']}.yaml"
        if file.exists():
            preset = cast(DictConfig, OmegaConf.load(file))
            preset.pop("defaults")
            raw.family = OmegaConf.merge(raw.family, preset)
    groups = {f: group for group in ("family", "evaluation") for f in raw[group] if f != "name"}
    dotlist = []
    for key, value in given.items():
        if key not in {"family", *groups}:
            raise unknown("key", key, ["run", "family", *groups])
        if key != "family":
            dotlist.append(f"{groups[key]}.{key}={value}")
    try:
        return conform(cast(DictConfig, OmegaConf.merge(raw, OmegaConf.from_dotlist(dotlist))))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from None


def _pair(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise UserError(f"{argument!r} is not of the form key=value; {USAGE}")
    return key, value


def _name(given: dict[str, str]) -> str:
    return re.sub(r"[^\w=.,-]", "", ",".join(f"{k}={v}" for k, v in sorted(given.items())))
