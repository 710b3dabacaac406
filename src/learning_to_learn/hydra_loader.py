"""Hydra's loader, which reads and merges the files of the same choices of groups once a process.

Hydra's list of defaults depends on the words that choose groups alone; what is typed for keys is laid over the rest last. So
what the words `arch=lstm family=boolean` choose is composed once and kept, for as long as the files and the stored schemas stay
as they are, and `seed=3` is laid over a copy. A command composes its words three times, and those of a sweep's job twice.
"""

import os
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, run_job
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

FILES, KEPT = 1000, 200
"""How many files of configurations are looked at for changes; how many choices of groups are kept, of 20 kB each."""
MADE_BY_HYDRA = re.compile(r"[+~]*hydra(\.(searchpath|job|runtime|overrides)\b|[@:]|$)")
"""Keys that Hydra reads, or writes, while it composes."""


@dataclass
class _Kept:
    """What was composed from the files of a search path, and the state of these files and of the stored schemas."""

    made_from: list[object]
    composed: dict[tuple[object, ...], bytes | None] = field(default_factory=dict)


_kept: dict[tuple[object, ...], _Kept] = {}
"""By search path."""


class Loader(ConfigLoaderImpl):
    """Composes what Hydra 1.3 composes, and asks it where a word does more than to choose a group or to give a key's value."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Return the configuration of these words. Raises what Hydra raises where it cannot be composed."""

        def ask(words: list[str]) -> DictConfig:
            return super(Loader, self).load_configuration(config_name, words, run_mode, from_shell, validate_sweep_overrides)

        parsed = OverridesParser.create().parse_overrides(overrides)
        kept = self._of_search_path()
        if kept is None or any(MADE_BY_HYDRA.match(o.get_key_element()) for o in parsed):
            return ask(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        single = [o for o in parsed if not o.is_sweep_override()]  # the others are for the sweeper
        keys = [o for o in single if isinstance(o.value(), dict) or not self.repository.group_exists(o.key_or_group)]
        chosen = [str(o.input_line) for o in single if o not in keys]
        known = (config_name, *chosen)
        if known not in kept.composed:
            kept.composed[known] = _pickled(ask(chosen))
        content = kept.composed[known]
        if content is None:
            return ask(overrides)
        found = pickle.loads(content)  # noqa: S301 - this process has written it
        try:
            ConfigLoaderImpl._apply_overrides_to_config(keys, found)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException from error
        _say_what_was_typed(parsed, found)
        return found

    def _of_search_path(self) -> _Kept | None:
        """What is kept of this search path; nothing where a file or schema has changed, None where one cannot tell."""
        path = tuple((str(one.provider), str(one.path)) for one in self.config_search_path.get_path())
        state: list[object] = []
        for _, folder in path:
            scheme, _, rest = folder.rpartition("://")
            if scheme in ("", "file"):
                if not _look(rest, state):
                    return None
            elif scheme not in ("pkg", "structured"):
                return None
        _add_nodes(ConfigStore.instance().repo, state)
        if sum(len(one.composed) for one in _kept.values()) > KEPT:
            _kept.clear()
        if path not in _kept or not _same(state, _kept[path].made_from):
            _kept[path] = _Kept(state)
        return _kept[path]


def _pickled(config: DictConfig) -> bytes | None:
    """What is kept of a configuration; None where it depends on more than the search path, or cannot be copied."""
    # Other files, an environment that may change, a group that only a multirun may leave open.
    if config.hydra.searchpath or config.hydra.job.env_copy or "???" in config.hydra.runtime.choices.values():
        return None
    try:
        return pickle.dumps(config)
    except Exception:  # noqa: BLE001 - of a user's schema
        return None


def _say_what_was_typed(words: Sequence[Override], config: DictConfig) -> None:
    """Write into Hydra's own node what it says of the words and of the process."""
    from hydra._internal.config_loader_impl import get_overrides_dirname  # Hydra 1.4 has it no more

    own = [word for word in words if not word.is_hydra_override()]
    config.hydra.overrides.task = [word.input_line for word in own]
    config.hydra.overrides.hydra = [word.input_line for word in words if word.is_hydra_override()]
    config.hydra.runtime.cwd = str(Path.cwd())
    look = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=own, kv_sep=look.kv_sep, item_sep=look.item_sep, exclude_keys=look.exclude_keys
    )


def _look(folder: str, seen: list[object]) -> bool:
    """Add what tells changed files of this folder and below from unchanged ones. False where they are too many."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if not _look(entry.path, seen):
                        return False
                else:
                    state = entry.stat()
                    seen.append((entry.path, state.st_ino, state.st_mtime_ns, state.st_size))
                if len(seen) > FILES:
                    return False
    except OSError:
        return False
    return True


def _add_nodes(repository: dict, seen: list[object]) -> None:
    """Add the schemas that are stored; a new one of the same name is another object."""
    for content in repository.values():
        if isinstance(content, ConfigNode):
            seen.append(content)
        else:
            _add_nodes(content, seen)


def _same(state: list[object], before: list[object]) -> bool:
    if len(state) != len(before):
        return False
    return all(a == b if isinstance(a, tuple) else a is b for a, b in zip(state, before, strict=True))


def run(
    loader: ConfigLoader, master: DictConfig, words: Sequence[str], number: int, context: HydraContext, task: TaskFunction,
    *, configure_logging: bool = True,
) -> JobReturn:  # fmt: skip
    """Compose job `number` of a sweep and run it by Hydra, without the two copies of its configuration that Hydra keeps."""
    config = loader.load_sweep_config(master, list(words))
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = str(number), number
    done = run_job(
        hydra_context=context, task_function=task, config=config, job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir", configure_logging=configure_logging,
    )  # fmt: skip
    done.cfg = done.hydra_cfg = None
    return done
