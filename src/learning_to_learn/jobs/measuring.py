"""Measure a trained run again, also on what it was not trained on."""

import dataclasses
import re
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from learning_to_learn.composing import CONF
from learning_to_learn.config import Config, conform, explain
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.families import FAMILIES
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.runs.checkpoint import load_checkpoint, restore
from learning_to_learn.runs.saved_config import load_config
from learning_to_learn.training.evaluation import Evaluation, evaluate
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.memory import check_memory


def measure(run: Path, given: dict[str, str], into: Path | None = None) -> tuple[Path, Evaluation]:
    """Measure the run in a folder with the changes `given`, and write what is found.

    Returns the folder that it was written into, and the evaluation.
    """
    saved = load_config(run)
    config = changed(saved, given)
    check(config)
    check_memory(config, training=False)

    learner = MetaLearner(config)
    restore(learner, load_checkpoint(run, saved))
    found, into = evaluate(learner), into or run / "evaluations" / (_name(given) or "as_trained")
    into.mkdir(parents=True, exist_ok=True)
    write_evaluation(found, into)
    draw_pictures(into, config)
    return into, found


def changed(config: Config, given: dict[str, str]) -> Config:
    """Return the configuration with another family, or other values of the family's or the evaluation's keys.

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


def _name(given: dict[str, str]) -> str:
    return re.sub(r"[^\w=.,-]", "", ",".join(f"{k}={v}" for k, v in sorted(given.items())))
