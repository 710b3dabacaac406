"""wandb: offline by default, online where asked for. Whatever it does, the run goes on."""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np

from learning_to_learn.config import Config
from learning_to_learn.config_check import make_network
from learning_to_learn.errors import cause_in_a_line
from learning_to_learn.runs.run_folder import EPOCH, read_json, write_json
from learning_to_learn.training.evaluation import Evaluation
from learning_to_learn.training.metrics import ranked

SCORES = "score/replicas"
IDENTITY = "wandb.json"
"""The file that keeps the id of the wandb run."""
INIT_SECONDS, ANSWER_SECONDS, FINISH_SECONDS = 20, 2, 15
INTERRUPTED_SECONDS = 0.5
"""The patience with wandb of a job that was interrupted."""
STREAM_POINTS = 256
"""The most points of a plot that wandb is given of a stream."""
_log = logging.getLogger(__name__)


class WandbRun:
    """A wandb run inside a run folder. What goes wrong with it is said once, and then it is silent."""

    def __init__(self, folder: Path, config: Config, *, sweep: str | None = None) -> None:
        self._run: Any = None
        self._folder, self._complained, self._online = folder, False, False
        self.is_new = not (folder / IDENTITY).exists()
        """Whether nothing has been logged to it."""
        modes: list[Literal["offline", "online"]] = [] if config.logger.mode == "disabled" else ["offline"]
        if config.logger.mode == "online":
            if answers(_server()):
                modes.insert(0, "online")
            else:
                _log.warning("wandb: %s does not answer; the run is logged offline, for `wandb sync`", _server())
        for mode in modes:
            try:
                self._run = _start(folder, config, mode, sweep)
                self._online = mode == "online"
                break
            except Exception as error:  # noqa: BLE001
                _log.warning("wandb cannot start %s: %s", mode, cause_in_a_line(error))

    def log(self, values: Mapping[str, Any], *, scores: np.ndarray, epoch: int) -> None:
        """A row of metrics, and the distribution of the replicas' scores."""
        if self._run is not None:
            import wandb

            spread = wandb.Histogram(np_histogram=np.histogram(np.nan_to_num(scores), bins=20, range=(-1.0, 1.0)))
            self._call("log", {EPOCH: epoch, **values, SCORES: spread}, step=epoch)

    def replay(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Log the rows of metrics.csv, which were written while no wandb run was there."""
        for row in rows:
            values = {key: float(value) for key, value in row.items() if value not in ("", "nan")}
            self._call("log", values, step=int(values[EPOCH]))

    def conclude(self, found: Evaluation, pictures: Mapping[str, Path], checkpoint: Path | None = None) -> None:
        """Log final values, the error by cycle and over a stream as plots, `pictures` if any, and a checkpoint to be kept."""
        if self._run is None:
            return
        import wandb

        final = {f"test/{key}": v for key, v in found.result.items() if isinstance(v, int | float)}
        cycles = list(range(1, found.curves.shape[1] + 1))
        curve = wandb.plot.line_series(
            cycles,
            [np.median(ranked(found.curves, worst=np.inf), 0).tolist(), found.best.tolist()],
            keys=["median replica", "Bayes-optimal"],
            title="Error at every cycle",
            xname="cycle",
        )
        times, errors = thinned(list(found.stream.values()))
        title = "Absolute error over a stream (the largest of some cycles; all are in stream.csv)"
        stream = wandb.plot.line_series(times, errors, keys=list(found.stream), title=title, xname="time")
        images = {f"test/{name}": wandb.Image(str(path)) for name, path in pictures.items()}
        self._call("log", {**final, **images})
        if self._online and not answers(_server()):
            return  # what follows is checked with the server before it is kept, and would wait for it
        for values in ({"test/curve": curve}, {"test/stream": stream}):
            self._call("log", values)
        if checkpoint is not None:
            artifact = wandb.Artifact(f"checkpoint-{self._run.id}", type="model", metadata=final)
            artifact.add_file(str(checkpoint))
            self._call("log_artifact", artifact)

    def finish(self, *, failed: bool = False, patience: float = FINISH_SECONDS) -> None:
        """Let go of the run; a server that has gone is not waited for longer than `patience`, in seconds."""
        run, self._run = self._run, None
        if run is None:
            return

        def end() -> None:
            try:
                run.finish(exit_code=int(failed))
            except Exception as error:  # noqa: BLE001
                _log.warning("wandb: %s", cause_in_a_line(error))

        if not _within(patience, end):
            _log.warning(
                "wandb: the server is gone: `wandb sync --no-skip-online %s/wandb/run-*` sends the run later", self._folder
            )
            teardown()

    def _call(self, method: str, *arguments: Any, **options: Any) -> None:
        if self._run is None:
            return
        try:
            getattr(self._run, method)(*arguments, **options)
        except Exception as error:  # noqa: BLE001
            if not self._complained:
                _log.warning("wandb: %s; the run goes on without it", cause_in_a_line(error))
            self._complained = True


def thinned(curves: list[np.ndarray]) -> tuple[list[int], list[list[float]]]:
    """Return at most STREAM_POINTS points of curves [time]: where a window begins, and the largest value within it.

    wandb judges the type of every number of a table, which took a quick job longer than its training.
    """
    width = -(-len(curves[0]) // STREAM_POINTS)
    starts = list(range(0, len(curves[0]), width))
    return starts, [[float(curve[start : start + width].max()) for start in starts] for curve in curves]


def answers(url: str) -> bool:
    """Whether anything listens there, so that nothing waits for a server that is not."""
    parts = urlsplit(url)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), ANSWER_SECONDS
        ):
            return True
    except OSError:
        return False


def _server() -> str:
    import wandb

    return str(wandb.setup().settings.base_url)


def teardown() -> None:
    """End wandb's own process, which would go on trying; what it has not sent stands in the run folder.

    It is killed: asked to end, it waits for the server, and wandb for it. Then wandb can be set up anew, for the next job.
    """
    import wandb

    connection = getattr(wandb.setup(), "_connection", None)
    process = getattr(getattr(connection, "_proc", None), "_process", None)

    def end() -> None:
        with suppress(Exception):
            if process is not None:
                process.kill()
                process.wait()
            wandb.teardown(exit_code=1)

    _within(ANSWER_SECONDS, end)


def _within(seconds: float, call: Callable[[], None]) -> bool:
    """Whether the call came to its end in that time; else it is left behind in a thread of its own."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _start(folder: Path, config: Config, mode: Literal["offline", "online"], sweep: str | None) -> Any:
    """A new run, or the same one where the folder has one; its id is kept there."""
    import wandb

    known = read_json(folder / IDENTITY)
    identity = known["id"] if known else secrets.token_hex(4)
    if known is None:
        write_json(folder / IDENTITY, {"id": identity})
    os.environ.setdefault("WANDB_SILENT", "true")
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, x_save_requirements=False, disable_git=True,
        disable_code=True, init_timeout=INIT_SECONDS,
    )  # fmt: skip
    # Inside a `wandb agent` the sweep decides on project and group.
    tags = [config.family.name, config.arch.name, *([config.experiment] if config.experiment else [])]
    return wandb.init(
        dir=folder, mode=mode, id=identity, resume="allow" if mode == "online" else None, project=config.logger.project,
        entity=config.logger.entity, group=config.logger.group or sweep or config.sweep or config.arch.name,
        job_type=config.arch.name, name=f"{config.arch.name}-{config.family.name}-{config.seed}", tags=tags,
        config={**asdict(config), "topology": make_network(config).describe(), "folder": str(folder)}, settings=settings,
        reinit="finish_previous",
    )  # type: ignore[arg-type]  # fmt: skip
