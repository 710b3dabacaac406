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

from src.checkpoint import load_checkpoint, restore
from src.command import CONF, exit_with
from src.config import SCHEMAS, EvaluationConfig, check, explain, load
from src.errors import UserError, choose, unknown
from src.evaluation import evaluate
from src.learner import MetaLearner
from src.table import result_table

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
    found = evaluate(learner, into)
    Console().print(result_table([found.result], ["arch", "family", "sequence_length"], title=str(into)))
    return 0


def changed(config: DictConfig, given: dict[str, str]) -> DictConfig:
    """The configuration with another family, or other values of the family's or the evaluation's keys.

    Raises UserError on a key that neither has, or a value of the wrong type.
    """
    node = config.family
    if "family" in given:
        schema = choose("family", given["family"], SCHEMAS)
        preset = cast(DictConfig, OmegaConf.load(CONF / "family" / f"{given['family']}.yaml"))
        preset.pop("defaults")
        node = OmegaConf.merge(OmegaConf.structured(schema(feedback=config.family.feedback)), preset)
    family_keys = [k for k in node if k != "name"]
    evaluation_keys = [f.name for f in dataclasses.fields(EvaluationConfig)]
    for key in given:
        if key not in {"family", *family_keys, *evaluation_keys}:
            raise unknown("key", key, ["run", "family", *family_keys, *evaluation_keys])

    def some(keys: list) -> list[str]:
        return [f"{k}={v}" for k, v in given.items() if k in keys]

    try:
        out = config.copy()
        OmegaConf.update(out, "family", OmegaConf.merge(node, OmegaConf.from_dotlist(some(family_keys))), merge=False)
        evaluation = OmegaConf.merge(config.evaluation, OmegaConf.from_dotlist(some(evaluation_keys)))
        OmegaConf.update(out, "evaluation", evaluation)
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from None
    return out


def _pair(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise UserError(f"{argument!r} is not of the form key=value; {USAGE}")
    return key, value


def _name(given: dict[str, str]) -> str:
    return re.sub(r"[^\w=.,-]", "", ",".join(f"{k}={v}" for k, v in sorted(given.items())))


if __name__ == "__main__":
    main()
