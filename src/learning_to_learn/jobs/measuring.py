"""Measure a trained run again, also on what it was not trained on."""

import dataclasses
import re
from contextlib import suppress
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from learning_to_learn.composing import CONF
from learning_to_learn.config import Config, conform, explain
from learning_to_learn.config_check import check, make_network
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.families import FAMILIES
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.runs.checkpoint import load_checkpoint, restore
from learning_to_learn.runs.saved_config import load_config
from learning_to_learn.topology import Network
from learning_to_learn.training.evaluation import Evaluation, evaluate
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.memory import check_memory

MEASURED = "evaluations"
"""The folder in a run folder that evaluations are written into."""


class DoesNotFit(UserError):
    """A family has another shape than the network that was trained."""


def measure(run: Path, given: dict[str, str], into: Path | None = None) -> tuple[Path, Evaluation]:
    """Measure the run in a folder with the changes `given`, and write what is found.

    Returns the folder that it was written into, and the evaluation.
    """
    config, found = evaluated(run, given)
    into = into or run / MEASURED / (_name(given) or "as_trained")
    into.mkdir(parents=True, exist_ok=True)
    write_evaluation(found, into)
    draw_pictures(into, config)
    return into, found


def evaluated(run: Path, given: dict[str, str]) -> tuple[Config, Evaluation]:
    """Measure the run in a folder with the changes `given`; return the changed configuration, too.

    Raises DoesNotFit where the network cannot be shown the family's sequences.
    """
    saved = load_config(run)
    config = changed(saved, given)
    check(config)
    trained, wanted = (_shape(make_network(one)) for one in (saved, config))
    if trained != wanted:
        raise DoesNotFit(f"family={config.family.name} needs a network of {wanted}; the run in {run} has one of {trained}")
    check_memory(config, training=False)
    learner = MetaLearner(config)
    restore(learner, load_checkpoint(run, saved))
    return config, evaluate(learner)


def _shape(network: Network) -> str:
    return f"{network.inputs} inputs and {network.outputs} {network.kind} output{'s' if network.outputs > 1 else ''}"


def changed(config: Config, given: dict[str, str]) -> Config:
    """Return the configuration with another family, or other values of the family's or the evaluation's keys.

    Raises UserError on a key that neither has, or a value of the wrong type.
    """
    raw = OmegaConf.structured(config)
    if "family" in given:
        schema = choose("family", given["family"], FAMILIES).config
        # How errors are fed back and what a cycle shows are traits of the network, so that they stay.
        kept = schema(feedback=config.family.feedback, encoding=config.family.encoding)
        raw = OmegaConf.structured(dataclasses.replace(config, family=kept))
        file = CONF / "family" / f"{given['family']}.yaml"
        if file.exists():
            preset = cast(DictConfig, OmegaConf.load(file))
            preset.pop("defaults")
            raw.family = OmegaConf.merge(raw.family, preset)
    groups = {f: group for group in ("family", "evaluation") for f in raw[group] if f not in ("name", "test")}
    groups |= {f"test.{f}": "family" for f in raw.family.test}
    dotlist = []
    for key, value in given.items():
        if key not in {"family", *groups}:
            raise unknown("key", key, ["run", "family", *groups])
        if key != "family":
            dotlist.append(f"{groups[key]}.{key}={value}")
    try:
        found = conform(cast(DictConfig, OmegaConf.merge(raw, OmegaConf.from_dotlist(dotlist))))
        return _with_the_networks_outputs(found, config) if "family" in given else found
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from None


def _with_the_networks_outputs(found: Config, trained: Config) -> Config:
    """Return the configuration with the output neurons that were trained, where these go with the other family, too."""
    kind = trained.family.make().output
    family = dataclasses.replace(found.family, output=found.family.output or kind)
    with suppress(UserError):
        family.make()
        return dataclasses.replace(found, family=family)
    return found


def _name(given: dict[str, str]) -> str:
    return re.sub(r"[^\w=.,-]", "", ",".join(f"{k}={v}" for k, v in sorted(given.items())))
