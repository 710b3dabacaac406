"""Measure a trained run again: `python -m src.evaluate run=<folder>`, also on what it was not trained on.

    family=quadratic          another family, with its own usual sequence length
    sequence_length=1000      longer or shorter sequences
    carry_state=true          the state survives from mapping to mapping
    mappings=4096 seed=1      more, or other, test sequences

and any other key of the family. Everything goes to <folder>/evaluations/, in a folder named by what was asked.
"""

import dataclasses
import re
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from learning_to_learn.commands.cli import CONF, exit_with
from learning_to_learn.config import Config, conform, explain, load
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.families import FAMILIES
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.results.table import result_table
from learning_to_learn.runs.checkpoint import load_checkpoint, restore
from learning_to_learn.training.evaluation import evaluate
from learning_to_learn.training.learner import MetaLearner

USAGE = "give run=<folder>, such as python -m src.evaluate run=runs/<day>/<time> sequence_length=1000"


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    given = dict(_pair(a) for a in arguments)
    if "run" not in given:
        raise UserError(USAGE)
    run = Path(given.pop("run"))
    config = changed(load(run / "config.yaml"), given)
    check(config)
    learner = MetaLearner(config)
    restore(learner, load_checkpoint(run))
    into = run / "evaluations" / (_name(given) or "as_trained")
    found = evaluate(learner)
    write_evaluation(found, into)
    draw_pictures(into, config)
    Console().print(result_table([found.result], ["arch", "family", "sequence_length"], title=str(into)))
    return 0


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
