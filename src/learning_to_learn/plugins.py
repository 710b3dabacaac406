"""Modules of the user's own, with units and families: `plugins=[my_module, path/to/file.py]`.

They are imported before Hydra composes, so that their schemas and options are known, and again in every process that runs a
job. Only what the user names, on the command line or in `conf/`, is ever imported: a run folder that names plugins asks for
them to be given again.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import yaml

from learning_to_learn.errors import UserError, cause_in_a_line

FOLDER = "plugins"
"""A run folder keeps the sources of its plugins there."""


@dataclass(frozen=True)
class Plugin:
    """A module that was imported, with the source it had."""

    name: str
    given: str
    """As the user named it."""
    module: ModuleType
    source: str

    @property
    def digest(self) -> str:
        """A hash of the source."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]


LOADED: dict[str, Plugin] = {}
"""The plugins of this process, by name."""


def name_of(given: str) -> str:
    """The short name of a plugin: `leaky_neuron` for examples/leaky_neuron.py, `my.cells` for the module my.cells."""
    return Path(given).stem if _is_file(given) else given


def load(given: Iterable[str]) -> None:
    """Import the plugins; one whose source has not changed since is not imported again.

    Raises UserError, one line, where there is none of that name, or where it fails.
    """
    for one in given:
        known = LOADED.get(name_of(one))
        path = Path(one).expanduser()
        if _is_file(one) and not path.is_file():
            raise UserError(f"plugins: {one}: no such file")
        if known and (not _is_file(one) or path.read_text(encoding="utf-8") == known.source):
            continue
        try:
            module = _import_file(path) if _is_file(one) else _import_module(one)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"plugins: {one} cannot be imported: {cause_in_a_line(error)}") from error
        LOADED[name_of(one)] = Plugin(name_of(one), one, module, _source(module))


def require(given: Iterable[str]) -> None:
    """Raise UserError where a run folder names plugins that the user has not named in this process."""
    missing = [one for one in given if name_of(one) not in LOADED]
    if missing:
        raise UserError(f"this run needs plugins=[{','.join(missing)}]: give it again, it is not imported from a folder")


OURS = ("torch.nn.", "learning_to_learn.")
"""What `arch.module` may name without being named by the user."""
NAMED: set[str] = set()
"""The classes that the user has named in this process."""


def name_class(given: object) -> None:
    """Allow `find_class` to import a class, which the user has named as `arch.module`."""
    if isinstance(given, str):
        NAMED.add(given)


def require_class(given: object) -> None:
    """Raise UserError where a run folder names a class that the user has not named in this process, nor its module."""
    if isinstance(given, str) and not given.startswith(OURS) and given not in NAMED and _plugin_of(given) is None:
        raise UserError(
            f"this run needs arch.module={given}: name it again as plugins=[{given.split('.')[0]}], "
            "it is not imported from a folder"
        )


def find_class(given: str) -> type:
    """Import the class that `arch.module` names. Raises UserError where there is none, or where the user has not named it."""
    require_class(given)
    module, _, name = given.rpartition(".")
    plugin = _plugin_of(given)
    if not module:
        raise UserError(f"arch.module={given}: name a class with its module, such as torch.nn.GRU")
    try:
        found = getattr(plugin.module if plugin and plugin.name == module else _import_module(module), name)
    except Exception as error:
        raise UserError(f"arch.module={given} cannot be imported: {cause_in_a_line(error)}") from error
    if not isinstance(found, type):
        raise UserError(f"arch.module={given} is no class, but a {type(found).__name__}")
    return found


def _plugin_of(given: str) -> Plugin | None:
    """The plugin that a class is of: my_cells for my_cells.Cell, torchrecurrent for torchrecurrent.cells.LEM."""
    return next((p for p in LOADED.values() if given.startswith(f"{p.name}.")), None)


def save(given: Iterable[str], folder: Path) -> list[str]:
    """Keep the sources in the run folder, for the record; returns the names of those that have changed since they were kept."""
    changed = []
    for plugin in (LOADED[name_of(one)] for one in given):
        path = folder / FOLDER / f"{plugin.name}.py"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_text(plugin.source, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != plugin.source:
            changed.append(plugin.name)
    return changed


def digests(given: Iterable[str]) -> dict[str, str]:
    """A hash of the source of every plugin, by its name."""
    return {name_of(one): LOADED[name_of(one)].digest for one in given}


def named_in(path: Path) -> list[str]:
    """The plugins that a file of `conf/` or `sweeps/` names. The class that one of conf/arch/ names may be imported, too."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []  # Hydra says what is wrong with it
    named = found.get("plugins") if isinstance(found, dict) else None
    if path.parent.name == "arch" and isinstance(found, dict):
        name_class(found.get("module"))
    return [str(one) for one in named] if isinstance(named, list) else []


def _is_file(given: str) -> bool:
    return given.endswith(".py")


def _import_module(name: str) -> ModuleType:
    with _working_directory_on_the_path():
        return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    """Import a file as a module that `sys.modules` does not keep.

    No other process could import it by its name. cloudpickle therefore sends its classes, such as a family's schema in Hydra's
    registry, by value to the workers of joblib, submitit and Ray.
    """
    name = f"learning_to_learn_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"plugins: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there while the module runs
    try:
        with _working_directory_on_the_path():
            spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


@contextmanager
def _working_directory_on_the_path() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


def _source(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return Path(file).read_text(encoding="utf-8") if file and file.endswith(".py") else ""
