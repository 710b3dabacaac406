"""Say with which command a setting is trained again, on seeds that nothing has used."""

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from learning_to_learn.errors import UserError
from learning_to_learn.runs.identity import studied
from learning_to_learn.runs.varying import flatten, together, typed

GROUPS = ("arch", "family", "optimizer")
REPLICAS = 16


def command_again(settings: Mapping[str, Any], *, seed: int, replicas: int = REPLICAS) -> str | None:
    """Return a command such as `python -m src.train arch=lstm family=boolean optimizer.lr=0.01 seed=48 replicas=16`.

    None where no command gives those settings, flat ones of a job. They may come from anywhere: nothing of them is composed but
    the names of options of conf/.
    """
    from learning_to_learn.composing import compose_config, options

    named = {group: str(settings.get(f"{group}.name")) for group in GROUPS}
    chosen = [f"{group}={name}" for group, name in named.items() if name in options(group)]
    if not {"family", "optimizer"} <= {word.split("=")[0] for word in chosen}:
        return None  # a user's own, whose plugin is not imported here
    plugins = [f"plugins={typed(settings['plugins'])}"] if settings.get("plugins") else []
    try:
        wanted, given = together([settings, flatten(dataclasses.asdict(compose_config(*chosen)))])
    except UserError:
        return None
    label = [] if named["arch"] in options("arch") else [f"arch.name={typed(named['arch'])}"]
    if not set(studied(wanted)) <= set(given):
        return None
    changed = [f"{key}={typed(wanted[key])}" for key in studied(wanted) if wanted[key] != given[key]]
    return shlex.join(
        ["python", "-m", "src.train", *plugins, *chosen, *label, *changed, f"seed={seed}", f"replicas={replicas}"]
    )
