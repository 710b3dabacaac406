"""wandb: offline by default, online where asked for. Whatever it does, the run goes on."""

import json
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import wandb

from src.config import Config
from src.errors import cause_in_a_line
from src.runfolder import read_json, write_atomically

INIT_SECONDS = 20
_log = logging.getLogger(__name__)


class Tracker:
    """A wandb run inside a run folder. What goes wrong with it is said once, and then it is silent."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._run: Any = None
        modes: list[Literal["offline", "online"]] = [] if config.logger.mode == "disabled" else ["offline"]
        if config.logger.mode == "online":
            modes.insert(0, "online")
        for mode in modes:
            try:
                self._run = _start(folder, config, mode)
                break
            except Exception as error:  # noqa: BLE001
                _log.warning("wandb cannot start %s: %s", mode, cause_in_a_line(error))

    def log(self, values: Mapping[str, Any], *, scores: np.ndarray, epoch: int) -> None:
        """A row of metrics, and the distribution of the replicas' scores."""
        if self._run is not None:
            spread = wandb.Histogram(np_histogram=np.histogram(np.nan_to_num(scores), bins=20, range=(-1.0, 1.0)))
            self._call("log", {"epoch": epoch, **values, "score/replicas": spread}, step=epoch)

    def conclude(self, result: Mapping[str, Any], curves: np.ndarray, best: np.ndarray, pictures: Mapping[str, Path]) -> None:
        """Final values, the error at every cycle with its lower bound, and pictures."""
        if self._run is None:
            return
        cycles = list(range(1, curves.shape[1] + 1))
        plot = wandb.plot.line_series(
            cycles,
            [np.median(curves, 0).tolist(), best.tolist()],
            keys=["median replica", "Bayes-optimal"],
            title="Error at every cycle",
            xname="cycle",
        )
        images = {f"test/{name}": wandb.Image(str(path)) for name, path in pictures.items()}
        self._call("log", {"test/curve": plot, **images})
        if self._run is not None:
            self._run.summary.update({k: v for k, v in result.items() if isinstance(v, int | float | str)})

    def finish(self, *, failed: bool = False) -> None:
        self._call("finish", exit_code=int(failed))
        self._run = None

    def _call(self, method: str, *arguments: Any, **options: Any) -> None:
        if self._run is None:
            return
        try:
            getattr(self._run, method)(*arguments, **options)
        except Exception as error:  # noqa: BLE001
            _log.warning("wandb: %s; the run goes on without it", cause_in_a_line(error))
            self._run = None


def _start(folder: Path, config: Config, mode: Literal["offline", "online"]) -> Any:
    """A new run, or the same one where the folder has one; its id is kept there."""
    known = read_json(folder / "wandb.json")
    identity = known["id"] if known else secrets.token_hex(4)
    if known is None:
        write_atomically(folder / "wandb.json", json.dumps({"id": identity}))
    os.environ.setdefault("WANDB_SILENT", "true")
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True,
        init_timeout=INIT_SECONDS,
    )  # fmt: skip
    # Inside a `wandb agent` the sweep decides on project and group.
    return wandb.init(
        dir=folder, mode=mode, id=identity, resume="allow" if mode == "online" else None, project=config.logger.project,
        entity=config.logger.entity, group=config.logger.group or config.arch.name, job_type=config.arch.gradient,
        name=f"{config.arch.name}-{config.family.name}-{config.seed}", tags=[config.family.name, config.arch.name],
        config=asdict(config), settings=settings, reinit="finish_previous",
    )  # type: ignore[arg-type]  # fmt: skip
