"""Composing a job's configuration with Hydra, from `conf/`, `sweeps/` and the words that the user typed.

Nothing here reads or changes `sys.argv`, the environment or the working directory, and Hydra's global state is put back, so
that a script or a notebook can compose and train as often as it likes.
"""

import argparse
import inspect
import io
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import __version__ as hydra_version
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from learning_to_learn import config as schema
from learning_to_learn import hydra_loader, plugins
from learning_to_learn.config import Config, conform, explain
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError, cause_in_a_line, unknown
from learning_to_learn.ranges import as_file_name

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parents[1]
RUNS = Path("runs")
NAME = "train"
"""The configuration that everything starts from, conf/train.yaml."""
ONE_AT_A_TIME = ("sweep", "launcher")
"""Groups that say how all jobs of a sweep are run, so that no sweep can be over them."""
ZIP, PAIRED = "zip=", "hydra.sweeper.zip="
"""What pairs the values of a sweep's keys: as one types it, and as Hydra knows it."""


def _packaged(name: str) -> Path:
    """A folder that lies at the top of a checkout, and in the package where that was installed."""
    return next(p for p in (CHECKOUT / name, PACKAGE / name) if p.is_dir())


CONF, SWEEPS = _packaged("conf"), _packaged("sweeps")


def usable_cores() -> int:
    """Cores that this process may use; under SLURM and in containers fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def register() -> None:
    """Make the schemas, the studies and what the files of conf/ interpolate known to Hydra."""
    register_resolvers()
    schema.register()
    for path in SWEEPS.glob("*.yaml"):
        if path.stem not in _stored("sweep"):
            study: Any = OmegaConf.load(path)
            study.pop("study", None)  # how it is answered is no setting of a job
            ConfigStore.instance().store(group="sweep", name=path.stem, node=study, package="_global_")


def register_resolvers() -> None:
    """What the files of conf/ interpolate. A worker process calls this before it resolves a configuration."""

    def ray_address(address: str | None) -> str:
        return address or "local"  # else Ray looks for one in the environment

    def ray_cpus(address: str | None, jobs: int) -> int | None:
        return None if address else jobs  # a cluster knows its own

    def ray_object_store(address: str | None) -> int | None:
        # A cluster has its own and accepts no other; the plug-in sets this one where there is none (75 MiB, as here).
        return None if address else 75 * 2**20

    def ray_cpus_of_a_job(address: str | None, cores: int | None) -> int:
        return cores or 1 if address else 1  # of a Ray of our own, whose CPUs are the jobs at a time

    def groups() -> str:
        return "\n".join(f"  {name}: {', '.join(options(name))}" for name in group_names())

    # OmegaConf 2.3 has something older under the name that 2.4 wants.
    older = "replace" not in inspect.signature(OmegaConf.register_resolver).parameters
    add: Callable[..., None] = OmegaConf.register_new_resolver if older else OmegaConf.register_resolver
    for resolver in (ray_address, ray_cpus, ray_object_store, ray_cpus_of_a_job, groups):
        add(resolver.__name__, resolver, replace=True)
    add("cores", usable_cores, replace=True)
    add("as_file_name", lambda name: as_file_name(str(name)), replace=True)


# ------------------------------------------------------------------------------------------------ what the user typed


@dataclass(frozen=True)
class Request:
    """The words of a command line, read by Hydra's own parser; flags may stand anywhere among them."""

    flags: argparse.Namespace
    overrides: list[str]

    @property
    def informs(self) -> bool:
        """Whether Hydra is only asked to tell something."""
        f = self.flags
        return bool(f.help or f.hydra_help or f.cfg or f.info or f.shell_completion)


def read(arguments: Iterable[str]) -> Request:
    """Read a command line, and import the plugins that it names. Raises UserError, one line, on an unknown flag."""
    words = list(arguments)
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        flags, unread = parser.parse_known_intermixed_args(words)
    except (argparse.ArgumentError, TypeError) as error:
        raise UserError(f"{error}; --help lists the flags") from None
    if unread:
        raise UserError(f"unknown option {unread[0]!r}: --help lists what there is")
    if flags.experimental_rerun is not None:
        raise UserError("--experimental-rerun is not for this program: resume=<folder> resumes a run")
    request = Request(flags, [PAIRED + word.removeprefix(ZIP) if word.startswith(ZIP) else word for word in flags.overrides])
    plugins.load(named_plugins(request))
    return request


def named_plugins(request: Request) -> list[str]:
    """The plugins that the words name, and those that the files of conf/ which the words choose name."""
    folders = [*([Path(request.flags.config_dir)] if request.flags.config_dir else []), _conf(request)]
    found = [one for folder in folders for one in plugins.named_in(folder / f"{request.flags.config_name or NAME}.yaml")]
    for word in request.overrides:
        key, _, value = word.partition("=")
        if key.lstrip("+") == "plugins":
            found += listed(word)
        elif key.lstrip("+") == "arch.module":
            for one in value.split(","):
                plugins.name_class(one.strip("'\""))
        elif re.fullmatch(r"\+?[\w/]+", key):
            for option, folder in itertools.product(value.split(","), folders):
                found += plugins.named_in(folder / key.lstrip("+") / f"{option}.yaml")
            if key == "sweep":
                found += plugins.named_in(SWEEPS / f"{value}.yaml")
    return list(dict.fromkeys(found))


def listed(word: str) -> list[str]:
    """The names in plugins=[a,b]."""
    value = parse(word).value()
    if not isinstance(value, list):
        raise UserError(f"{word}: give a list, such as plugins=[my_module,path/to/file.py]")
    return [str(one) for one in value]


def parse(word: str) -> Override:
    """Read key=value by Hydra's grammar. Raises UserError, one line, where it cannot be read."""
    try:
        return OverridesParser.create().parse_override(word)
    except OverrideParseException as error:
        raise UserError(_hydra_line(error)) from None
    except Exception:  # noqa: BLE001 - the parser has errors of its own on some words
        raise UserError(f"cannot read {word!r}: write key=value, group=option, or key=[a,b] for a list") from None


def _judge(words: list[str]) -> None:
    """Raise UserError on words that Hydra would misunderstand, or complain of without naming them."""
    groups = set(group_names())
    for word in words:
        override = parse(word)
        key, several = override.key_or_group, override.is_sweep_override()
        if not key:
            raise UserError(f"cannot read {word!r}: write key=value, group=option, or key=[a,b] for a list")
        if key not in groups or override.is_delete() or (several and not override.is_discrete_sweep()):
            continue
        for choice in override.sweep_string_iterator() if several else [override.value()]:
            if choice in (None, "null") or isinstance(choice, list | bool | int | float):
                raise UserError(f"{word}: a group override must be one of {', '.join(options(key))}")
        if several and key in ONE_AT_A_TIME:
            raise UserError(f"{word}: one {key} at a time; start a command for each")


def _refuse_several(words: list[str]) -> None:
    """Raise UserError where one job is given several values of a key, or asked to pair them."""
    for word in words:
        if word.startswith(PAIRED):
            raise UserError(f"{ZIP}{word.removeprefix(PAIRED)} pairs the values of a sweep's keys: add -m")
        if parse(word).is_sweep_override():
            raise UserError(f"{word}: several values make a sweep: add -m (a list is key=[a,b], a text with commas key='a,b')")


# ------------------------------------------------------------------------------------------------ what Hydra does with it


def compose_config(*overrides: str) -> Config:
    """The configuration that `python -m src.train <overrides>` would run. Raises UserError as that does."""
    request = read(overrides)
    with _hydra(request) as hydra:
        try:
            _judge(request.overrides)
            _refuse_several(request.overrides)
            found = hydra.compose_config(
                NAME, request.overrides, run_mode=RunMode.RUN, from_shell=False, with_log_configuration=False
            )
            with open_dict(found):
                del found["hydra"]
            return conform(found)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - Hydra raises many kinds
            raise UserError(_hydra_line(error)) from None


def inform(request: Request) -> None:
    """Print what --help, --cfg, --info and the like ask for."""
    flags, name = request.flags, request.flags.config_name or NAME
    with _hydra(request) as hydra:
        try:
            if flags.help:
                # Hydra's app_help also lists the options of all of its own groups, which takes a second.
                found = hydra.compose_config(name, request.overrides, run_mode=RunMode.RUN, with_log_configuration=False)
                HydraConfig.instance().set_config(found)
                print(found.hydra.help.template)
            elif flags.hydra_help:
                hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=flags)
            elif flags.cfg:
                _judge(request.overrides)
                _refuse_several(request.overrides)
                _show(hydra, request)
            elif flags.info:
                hydra.show_info(flags.info, config_name=name, overrides=request.overrides)
            else:
                hydra.shell_completion(config_name=name, overrides=request.overrides)
        except (UserError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - Hydra raises many kinds
            raise UserError(_hydra_line(error)) from None


def _show(hydra: Hydra, request: Request) -> None:
    """Print the configuration, or the part that --package names. Hydra says what it has not, and ends the process."""
    flags, said = request.flags, io.StringIO()
    try:
        with redirect_stderr(said):
            hydra.show_cfg(
                flags.config_name or NAME, request.overrides, cfg_type=flags.cfg, package=flags.package, resolve=flags.resolve
            )
    except SystemExit:
        raise UserError(" ".join(said.getvalue().split()) or f"--package {flags.package}: no such part") from None


def run(
    request: Request,
    job: Callable[[DictConfig], object],
    job_of_a_sweep: Callable[[DictConfig], object],
    *,
    started: Callable[[Path, DictConfig | None], None] = lambda *_: None,
) -> tuple[Path, bool]:
    """Give `job` the configuration that Hydra composes, or every one of a multirun to `job_of_a_sweep`.

    The launchers send the latter to other processes, so that it can be pickled. Returns the run or sweep folder, and whether it
    is a sweep's; `started` is told the folder before anything runs, and the configuration of a sweep. Raises UserError, in one
    line, on whatever Hydra does not accept.
    """
    with _hydra(request) as hydra:
        folder, found, made = _ask(hydra, request)
        sweep = found is not None
        try:
            started(folder, found)
            key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
            mode = "hydra.mode=MULTIRUN" if sweep else "hydra.mode=RUN"
            overrides = [*request.overrides, mode, f"{key}={quoted(folder)}"]
            if sweep:
                hydra.multirun(request.flags.config_name or NAME, job_of_a_sweep, overrides)
            else:
                hydra.run(request.flags.config_name or NAME, job, overrides)
        except Exception as error:
            if _from_hydra(error):
                raise UserError(_hydra_line(error)) from None
            raise
        finally:
            if made and folder.is_dir() and not any(_is_a_jobs(p) for p in folder.iterdir()):
                shutil.rmtree(folder)  # no job has begun
    return folder, sweep


def compose_jobs(
    request: Request, words_of: Callable[[DictConfig], list[list[str]] | None]
) -> tuple[DictConfig, list[tuple[list[str], DictConfig | UserError]] | None]:
    """Compose what `run` would run, and run and write nothing: the configuration of the whole, and of every job its own.

    `words_of` gives the overrides of a sweep's jobs, or None where the sweeper makes them up as it goes; so are the jobs then.
    A job that Hydra cannot compose has what it complains of. Raises UserError as `run` does.
    """
    with _hydra(request) as hydra:
        found, sweep = _compose(hydra, request)
        words = words_of(found) if sweep else [[str(word) for word in found.hydra.overrides.task]]
        if words is None:
            return found, None

        def compose(job: list[str]) -> DictConfig | UserError:
            try:
                return of_a_job(hydra.config_loader.load_sweep_config(found, job) if sweep else found)
            except Exception as error:  # noqa: BLE001 - Hydra raises many kinds
                return error if isinstance(error, UserError) else UserError(_hydra_line(error))

        return found, [(job, compose(job)) for job in words]


def _ask(hydra: Hydra, request: Request) -> tuple[Path, DictConfig | None, bool]:
    """Ask Hydra which folder it would write to, the configuration of a sweep, and whether the folder was made just now."""
    found, sweep = _compose(hydra, request)
    if not sweep:
        check(conform(of_a_job(found)))
    try:
        where = found.hydra.sweep if sweep else found.hydra.run
        of_sweep = found if sweep else None
        return (Path(str(where.dir)), of_sweep, False) if where.dir else (new_folder(), of_sweep, True)
    except Exception as error:  # noqa: BLE001 - Hydra raises many kinds, one of which is an OSError
        raise UserError(_line(error)) from None


def _compose(hydra: Hydra, request: Request) -> tuple[DictConfig, bool]:
    """The configuration that Hydra composes, and whether it is a sweep's. Raises UserError, in one line."""
    name = request.flags.config_name or NAME
    sweep = request.flags.multirun or any(w.startswith("sweep=") for w in request.overrides)
    try:
        _judge(request.overrides)
        if not sweep:
            found = hydra.compose_config(
                name, request.overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=False, validate_sweep_overrides=False
            )
            sweep = found.hydra.mode == RunMode.MULTIRUN
        if not sweep:
            _refuse_several(request.overrides)
        mode = RunMode.MULTIRUN if sweep else RunMode.RUN
        found = hydra.compose_config(name, request.overrides, run_mode=mode, with_log_configuration=False)
        HydraConfig.instance().set_config(found)
        if sweep:
            _check_subdir(str(OmegaConf.to_container(found.hydra.sweep)["subdir"]))  # type: ignore[index,call-overload]
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - Hydra raises many kinds, one of which is an OSError
        raise UserError(_line(error)) from None
    return found, sweep


def _line(error: Exception) -> str:
    """What Hydra, or the disk, complains of."""
    of_the_disk = isinstance(error, OSError) and not _from_hydra(error)
    return f"cannot use {cause_in_a_line(error)}" if of_the_disk else _hydra_line(error)


def _is_a_jobs(path: Path) -> bool:
    """Whether a job has made this, and not only the launcher (.submitit)."""
    return path.name in ("status.json", "slurm.json") or (path.is_dir() and not path.name.startswith("."))


def _check_subdir(text: str) -> None:
    """Raise UserError on a name for the jobs' folders that leads out of the sweep's, or is the sweep's."""
    parts = Path(text).parts
    if Path(text).is_absolute() or ".." in parts or not parts:
        raise UserError(f"hydra.sweep.subdir={text}: every job's folder must lie in the sweep's")


def of_a_job(found: DictConfig) -> DictConfig:
    """The configuration without Hydra's own part, which a job does not see."""
    return OmegaConf.masked_copy(found, [str(key) for key in found if key != "hydra"])


# Hydra copies all that it knows of before it composes anything: a sixth of the time. Nobody writes into what is stored: it
# is copied again when it is read.
ConfigStore.__deepcopy__ = lambda self, _: self  # type: ignore[attr-defined]


@contextmanager
def _hydra(request: Request) -> Iterator[Hydra]:
    """Hydra with our configurations; whatever Hydra the caller had is there again afterwards."""
    register()
    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    if hydra_version.startswith("1.3."):  # later ones know no other base, and warn of one
        version.setbase("1.3")
    search_path = create_config_search_path(str(_conf(request)))
    if request.flags.config_dir is not None:
        more = Path(request.flags.config_dir).expanduser().resolve()
        if not more.is_dir():
            raise UserError(f"--config-dir: {more}: no such folder")
        search_path.prepend("command-line", f"file://{more}", SearchPathQuery(provider="schema"))
    try:
        made = Hydra.create_main_hydra2(NAME, search_path)
        if hydra_version.startswith("1.3."):
            made.config_loader = hydra_loader.Loader(search_path)
        yield made
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = before


def _conf(request: Request) -> Path:
    return Path(request.flags.config_path).expanduser().resolve() if request.flags.config_path else CONF


def quoted(value: Path | str) -> str:
    """A value that Hydra's grammar takes as it stands, whatever characters are in it."""
    text = str(value).replace("${", r"\${")
    return "'" + re.sub(r"(\\*)'", lambda m: m[1] * 2 + r"\'", text) + "'"


def new_folder() -> Path:
    """A folder named by the time, made by this call alone, however many jobs start in one second."""
    day = RUNS / time.strftime("%Y-%m-%d")
    day.mkdir(parents=True, exist_ok=True)
    name = time.strftime("%H-%M-%S")
    for number in itertools.count(1):
        folder = day / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError


# ------------------------------------------------------------------------------------------------ Hydra's complaints


def _from_hydra(error: BaseException) -> bool:
    return isinstance(error, HydraException | OmegaConfBaseException) or str(error).startswith("Config group override")


def _hydra_line(error: BaseException) -> str:
    """Hydra's complaint in one line, with what is allowed."""
    if isinstance(error.__cause__, OmegaConfBaseException):
        return explain(error.__cause__)
    if isinstance(error, OmegaConfBaseException):
        return explain(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}: write key=value, group=option, or key=[a,b] for a list"
    text = str(error)
    option = re.search(r"Could not find '([\w/]+)/(\S+)'", text)
    if option:
        return str(unknown(option[1], option[2], options(option[1])))
    group = re.search(r"Could not override '([\w/]+)'", text)
    if group:
        return f"unknown group or key {group[1]!r}: the groups are {', '.join(group_names())}; the keys are in --cfg job"
    if not _from_hydra(error):
        return f"these words do not go together ({cause_in_a_line(error)})"
    return " ".join(text.split("\n", maxsplit=1)[0].split())


def group_names() -> list[str]:
    """The groups that `group=option` chooses from."""
    return sorted({p.name for p in CONF.iterdir() if p.is_dir()} | {"sweep"})


def options(group: str) -> list[str]:
    """The files of a group in conf/, and what was stored from code, without the schemas."""
    found = {p.stem for p in (CONF / group).glob("*.yaml")}
    return sorted(found | {n for n in _stored(group) if not n.startswith("schema")})


def _stored(group: str) -> list[str]:
    found = ConfigStore.instance().repo.get(group, {})
    return [n.removesuffix(".yaml") for n in found] if isinstance(found, dict) else []
