"""What the commands share: Hydra with one-line errors, output folders that never collide, exit codes.

Exit codes: 0 done, 1 a job failed, 2 the user asked for something that does not exist, 130 interrupted.
"""

import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from learning_to_learn.config import Config, conform, explain, register
from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs import optuna_sweeper

PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parents[1]


def _packaged(name: str) -> Path:
    """A folder that lies at the top of a checkout, and in the package where that was installed."""
    return next(p for p in (CHECKOUT / name, PACKAGE / name) if p.is_dir())


CONF, SWEEPS = _packaged("conf"), _packaged("sweeps")


def register_studies() -> None:
    """Make the files of sweeps/ known to Hydra as `sweep=<name>`."""
    for path in SWEEPS.glob("*.yaml"):
        ConfigStore.instance().store(group="sweep", name=path.stem, node=OmegaConf.load(path), package="_global_")


RUNS = Path("runs")
FAILED, WRONG, INTERRUPTED = 1, 2, 130
INFORMATIVE = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--package", "-p")


def exit_with(main: Callable[[list[str]], int]) -> None:
    """Run a command on the shell's arguments; a UserError becomes one line on stderr."""
    try:
        code = main(sys.argv[1:])
    except UserError as error:
        code = complain(str(error))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def complain(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return WRONG


def compose_and_run(
    arguments: list[str], task: Callable[[DictConfig], object], *, started: Callable[[Path], None] = lambda _: None
) -> Path | None:
    """Give `task` the configuration that Hydra composes from `arguments`, or every one of a multirun.

    Returns the run or sweep folder, which `started` is told of first, or None where Hydra was only asked for information.
    Raises UserError, in one line, on whatever Hydra does not accept, and where a launcher's worker died.
    """
    register()
    optuna_sweeper.register()
    register_studies()
    informative = informs(arguments)
    sweep = any(a in ("-m", "--multirun") for a in arguments)
    key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    given = next((Path(a.split("=", 1)[1]) for a in arguments if a.startswith(f"{key}=")), None)
    folder = None if informative else given or new_folder()
    if folder is not None and given is None:
        arguments = [*arguments, f"{key}={folder}"]
    if folder is not None:
        started(folder)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and leaving
    sys.argv = [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(task)()
    except KeyboardInterrupt:
        if sweep:
            print(f"interrupted; go on with: python -m src.sweep resume {folder}", file=sys.stderr)
        raise
    except UserError:
        raise
    except Exception as error:
        if _from_hydra(error):
            raise UserError(_hydra_line(error)) from None
        if sweep:  # a job that fails says so itself, and the others go on; this is the launcher
            line = f"{cause_in_a_line(error)}; the jobs that are done are kept, go on with: python -m src.sweep resume {folder}"
            raise UserError(line) from error
        raise
    finally:
        if folder is not None and given is None and not any(p.is_dir() or p.name == "status.json" for p in folder.iterdir()):
            shutil.rmtree(folder)  # no job has begun
    return folder


def informs(arguments: list[str]) -> bool:
    """Whether Hydra is only asked to tell something."""
    return any(a.split("=")[0] in INFORMATIVE for a in arguments)


def compose_config(*overrides: str) -> Config:
    """The configuration that `python -m src.train <overrides>` would run. Raises UserError as that does."""
    register()
    optuna_sweeper.register()
    register_studies()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return conform(hydra.compose("train", list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_hydra_line(error)) from None


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
        return f"unknown {option[1]} {option[2]!r}: choose one of {', '.join(options(option[1]))}"
    group = re.search(r"Could not override '([\w/]+)'", text)
    if group:
        groups = sorted(p.name for p in CONF.iterdir() if p.is_dir())
        return f"unknown group or key {group[1]!r}: the groups are {', '.join(groups)}; the keys are in --cfg job"
    return " ".join(text.split("\n", maxsplit=1)[0].split())


def options(group: str) -> list[str]:
    """The files of a group in conf/, and what was stored from code, without the schemas."""
    found = {p.stem for p in (CONF / group).glob("*.yaml")}
    stored = ConfigStore.instance().repo.get(group, {})
    names = stored if isinstance(stored, dict) else {}
    return sorted(found | {n.removesuffix(".yaml") for n in names if not n.startswith("schema")})
