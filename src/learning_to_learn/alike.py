"""Compose the jobs of a sweep: one that differs from another in plain values only is composed from that one.

Hydra reads and merges all files anew for every job, twice, which takes longer than a short job trains. Its defaults list
depends on groups alone, and what is typed is laid over the rest last. So jobs with the same groups and keys differ in nothing
but those values, and in what Hydra's own node says of them.
"""

import copy
from collections.abc import Sequence

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import JobReturn, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

PLAIN = (int, float, bool, str, type(None))


class Composer:
    """Composes jobs as `load_sweep_config` of Hydra's loader does, which it asks for the first job of every kind."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._parser = OverridesParser.create(config_loader=loader)
        self._first: dict[tuple[str, ...], DictConfig] = {}
        self._is_group: dict[str, bool] = {}

    def compose(self, words: Sequence[str]) -> DictConfig:
        """Return the configuration of the job with these overrides. Raises what Hydra raises where it cannot be composed."""
        overrides = self._parser.parse_overrides(list(words))
        found = copy.deepcopy(self._lay_over(overrides))
        OmegaConf.copy_cache(from_config=self._master, to_config=found)
        own = [override for override in overrides if not override.is_hydra_override()]
        with open_dict(found.hydra):
            found.hydra.overrides.task = [override.input_line for override in own]
            # From Hydra 1.4 on it is not written, but found when it is asked for.
            if dirname := getattr(config_loader_impl, "get_overrides_dirname", None):
                look = found.hydra.job.config.override_dirname
                found.hydra.job.override_dirname = dirname(
                    overrides=own, kv_sep=look.kv_sep, item_sep=look.item_sep, exclude_keys=look.exclude_keys
                )
        return found

    def run(
        self, words: Sequence[str], number: int, context: HydraContext, task: TaskFunction, *, configure_logging: bool = True
    ) -> JobReturn:
        """Compose job `number` of a sweep and run it by Hydra, without the two copies of its configuration that Hydra keeps."""
        config = self.compose(words)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        done = run_job(
            hydra_context=context, task_function=task, config=config, job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir", configure_logging=configure_logging,
        )  # fmt: skip
        done.cfg = done.hydra_cfg = None
        return done

    def check(self, words: Sequence[str]) -> None:
        """Raise what Hydra raises where the job cannot be composed."""
        self._lay_over(self._parser.parse_overrides(list(words)))

    def _lay_over(self, overrides: Sequence[Override]) -> DictConfig:
        """The first job of this kind, with the plain values of this one."""
        plain = [override for override in overrides if self._is_plain(override)]
        kind = tuple(f"{o.key_or_group}=" if o in plain else str(o.input_line) for o in overrides)
        if kind not in self._first:
            words = [str(override.input_line) for override in overrides]
            self._first[kind] = self._loader.load_sweep_config(self._master, words)
        else:
            ConfigLoaderImpl._apply_overrides_to_config(plain, self._first[kind])
        return self._first[kind]

    def _is_plain(self, override: Override) -> bool:
        """Whether it only changes a value of the configuration, to one that is neither a table nor refers to another."""
        if override.type is not OverrideType.CHANGE or override.package or override.is_hydra_override():
            return False
        key, value = override.key_or_group, override.value()
        if not isinstance(value, PLAIN) or "${" in str(value):
            return False
        if key not in self._is_group:
            self._is_group[key] = bool(self._loader.get_group_options(key))
        return not self._is_group[key]
