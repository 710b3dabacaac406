"""Say which jobs compute the same, and which are called what they are not.

A run is what it computes, not what it is called: two jobs whose settings differ in nothing but the seeds are one study, and a
replica is a study and a seed. It counts once, however many jobs have trained it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from learning_to_learn.runs.varying import SEEDS, typed

MARK = "*"
"""Follows the name of an arch that is another one than the name says."""
TOPOLOGY = ("arch.layers", "arch.gradient", "arch.rule", "arch.hidden", "arch.start")
"""The settings that an arch's name stands for."""


def studied(keys: Iterable[str]) -> list[str]:
    """Return those of the keys that make two jobs different studies."""
    from learning_to_learn.config import INCIDENTAL, LABELS

    others = (*SEEDS, *INCIDENTAL, *LABELS)
    return [key for key in dict.fromkeys(keys) if not any(key == o or key.startswith(f"{o}.") for o in others)]


def study_of(settings: Mapping[str, Any]) -> str:
    """Return the same text for two jobs that differ in nothing but their seeds and in what they are called."""
    return json.dumps({key: typed(settings[key]) for key in studied(settings)}, sort_keys=True)


def true_names(settings: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Return what to call each job's arch, and a note for every name that is not true.

    `lstm` becomes `lstm*` where its layers or its gradient differ from conf/arch/lstm.yaml, or, where there is no such file,
    from those of another job of that name.
    """
    named: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    called = [(str(one.get("arch.name", "?")), _topology(one)) for one in settings]
    for name, topology in called:
        named[name][typed(topology)] = topology
    notes, false = [], set()
    for name, found in named.items():
        expected = _expected(name)
        if expected is None:
            wrong, why = (found if len(found) > 1 else {}), f"several topologies are called {name}"
        else:
            wrong = {text: t for text, t in found.items() if _differences(t, expected)}
            why = f"the settings differ from conf/arch/{name}.yaml"
        if wrong:
            given = "; ".join(" ".join(_differences(t, expected or dict.fromkeys(t))) for t in wrong.values())
            notes.append(f"{MARK} {why}: {given}")
        false |= {(name, text) for text in wrong}
    return [f"{name}{MARK}" if (name, typed(topology)) in false else name for name, topology in called], notes


def _expected(name: str) -> dict[str, Any] | None:
    """What conf/arch/<name>.yaml says; None where there is no such file."""
    import yaml

    from learning_to_learn.composing import CONF

    paths: dict[str, Path] = {path.stem: path for path in (CONF / "arch").glob("*.yaml")}
    if name not in paths:
        return None
    found = yaml.safe_load(paths[name].read_text(encoding="utf-8"))
    return {f"arch.{key}": value for key, value in found.items()}


def _topology(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in TOPOLOGY if one.get(key) is not None}


def _differences(topology: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The settings that are not as expected; what the file leaves to another one is not judged."""
    return [f"{k.split('.')[-1]}={typed(v)}" for k, v in topology.items() if k in expected and expected[k] != v]
