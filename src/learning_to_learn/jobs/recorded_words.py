"""Which words of a sweep folder are given to Hydra again: a folder may come from anybody.

Hydra builds whatever object a `_target_` names, resolves `${oc.env:...}` and loads files of any folder that it is told of. A
word of sweep.json is therefore taken only where it sets a plain value of a key of ours. Whatever else a sweep was started with,
its user gives again to `python -m src.sweep resume`.
"""

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, OverrideType, QuotedString

from learning_to_learn.composing import group_names
from learning_to_learn.config import LAUNCHERS, Config
from learning_to_learn.errors import UserError
from learning_to_learn.jobs.optuna_sweeper import SAMPLERS

KEYS = frozenset(f.name for f in dataclasses.fields(Config))
OPTIONS = {"hydra/launcher": LAUNCHERS, "hydra/sweeper": ("basic", "optuna"), "hydra/sweeper/sampler": tuple(SAMPLERS)}
"""Hydra's own groups, and which of their options."""
SWEEPER_KEYS = (
    "direction", "study_name", "n_trials", "n_jobs", "max_batch_size", "sampler.seed", "sampler.n_startup_trials",
    "sampler.n_ei_candidates", "sampler.multivariate", "sampler.population_size", "sampler.mutation_prob",
    "sampler.crossover_prob", "sampler.swapping_prob",
)  # fmt: skip
LAUNCHER_KEYS = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "partition", "qos", "account",
    "comment", "constraint", "exclude", "gres", "cpus_per_gpu", "gpus_per_task", "mem_per_gpu", "mem_per_cpu", "signal_delay_s",
    "max_num_timeout", "array_parallelism", "n_jobs", "prefer", "verbose", "timeout", "pre_dispatch", "batch_size",
    "ray.init.num_cpus", "ray.remote.num_cpus", "ray.remote.max_retries",
)  # fmt: skip
"""Numbers and names. Not among them: whatever names a file, a shell command or another machine."""
PLAIN_KEYS = frozenset([*(f"hydra.sweeper.{key}" for key in SWEEPER_KEYS), *(f"hydra.launcher.{key}" for key in LAUNCHER_KEYS)])
HOW = ("launcher", "hydra/launcher", "hydra.launcher.", "logger", "threads", "trainer.checkpoint_seconds", "--config-dir")
"""What a resumed sweep may be given anew: it changes how the jobs run, not what they compute."""
_OPTION, _NAME = re.compile(r"[\w*?-]+"), re.compile(r"[\w.:@%+,*-]*")


def resumed_words(recorded: Sequence[str], given: Sequence[str], folder: Path) -> list[str]:
    """Return the words with which a sweep is resumed: those that it was started with, and those that its user gives now.

    A word that is given takes the place of those of the same key. Raises UserError, which names the word, where a recorded one
    cannot be taken from a folder, or where one that is given would change what the jobs compute.
    """
    mine = {_key(word) for word in given}
    refused = {_key(word): (word, wrong) for word in recorded if (wrong := why_not(word))}
    for key, (word, wrong) in refused.items():
        if key not in mine:
            again = f"python -m src.sweep resume {shlex.quote(str(folder))} -- {shlex.quote(word)}"
            raise UserError(
                f"{folder}/sweep.json has {_shown(word)}, which is not taken from a folder ({wrong}); if it is yours, give it "
                f"again: {_shown(again)}"
            )
    for word in given:
        if _key(word) not in refused and not _key(word).startswith(HOW):
            raise UserError(f"{word} would change the jobs of {folder}: start another sweep for it")
    return [*(word for word in recorded if _key(word) not in mine), *given]


def why_not(word: str) -> str:
    """Return why a word of a folder is not given to Hydra; nothing where it can be.

    >>> why_not("optimizer.lr=0.1,0.01")
    ''
    >>> why_not("+hydra.callbacks.x={_target_: os.system}")
    'it adds or removes a key'
    """
    try:
        override = OverridesParser.create().parse_override(word)
    except Exception:  # noqa: BLE001 - the parser has errors of its own on some words
        return "it is no key=value"
    key, value = override.key_or_group, override.value()
    texts = list(_texts(value))
    if override.type != OverrideType.CHANGE or override.package is not None:
        return "it adds or removes a key"
    if any("${" in text for text in texts):
        return "it holds an interpolation"
    if any(part.startswith("_") for name in (key, *_keys(value)) for part in name.split(".")):
        return "names that begin with _ are Hydra's own"
    if key in group_names():
        return "" if all(map(_OPTION.fullmatch, texts)) and not isinstance(value, dict | list) else "it names no option"
    if key in OPTIONS:
        return "" if texts and set(texts) <= set(OPTIONS[key]) else f"not one of {', '.join(OPTIONS[key])}"
    if key == "hydra.sweeper.params" and isinstance(value, dict):
        return next((wrong for name, inner in value.items() if (wrong := why_not(f"{name}={inner}"))), "")
    if key == "hydra.sweeper.zip":
        return "" if isinstance(value, list) and all(isinstance(one, str) for one in value) else "it is no list of keys"
    if key == "hydra.sweep.subdir":
        return "it leaves the folder" if Path(str(value)).is_absolute() or ".." in Path(str(value)).parts else ""
    if key == "launcher.address":
        return "" if set(texts) <= {"auto"} else "it names another machine"
    if key in PLAIN_KEYS or key.startswith("launcher."):
        return "" if not isinstance(value, dict | list) and all(map(_NAME.fullmatch, texts)) else "it is no number and no name"
    if key.split(".")[0] not in KEYS or key == "plugins":
        return "it is no key of a job"
    return "it names a folder" if key.endswith(".name") and any("/" in text for text in texts) else ""


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _shown(word: str) -> str:
    """A word on one line, whatever is in it."""
    text = word if word.isprintable() else repr(word)
    return text if len(text) < 300 else f"{text[:300]}..."


def _texts(value: object) -> Iterator[str]:
    """Every text inside a value of Hydra's grammar."""
    if isinstance(value, str | QuotedString):
        yield value if isinstance(value, str) else value.text
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))
    else:
        parts = {ChoiceSweep: "list", Glob: "include"}.get(type(value))
        for inner in value if isinstance(value, list) else getattr(value, parts) if parts else ():
            yield from _texts(inner)


def _keys(value: object) -> Iterator[str]:
    """Every key of the dictionaries inside a value."""
    inside = value.list if isinstance(value, ChoiceSweep) else value
    for inner in inside.values() if isinstance(inside, dict) else inside if isinstance(inside, list) else ():
        yield from _keys(inner)
    if isinstance(inside, dict):
        yield from (text for key in inside for text in _texts(key))
