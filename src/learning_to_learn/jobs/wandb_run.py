"""wandb: offline by default, online where asked for. Whatever it does, the run goes on.

A key of the configuration wins over wandb's own environment variables, and those over our defaults. What was used stands in the
run folder's wandb.json, and a resumed run keeps its id, project, entity and group.
"""

import logging
import os
import re
import secrets
import socket
import threading
import time
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
from learning_to_learn.runs.run_folder import (
    EPOCH,
    SCORE,
    SCORE_LOWER,
    SCORE_UPPER,
    SCORES,
    SECONDS,
    SUCCESS_RATE,
    TRAIN_MSE,
    VALIDATION_MSE,
    VALIDATION_MSE_MAX,
    VALIDATION_MSE_MIN,
    RunFolder,
    are_words,
    read_json,
    read_rows,
    write_json,
)
from learning_to_learn.runs.sweep_request import readable_request
from learning_to_learn.runs.varying import joined, spell_overrides, varying_overrides
from learning_to_learn.stand_ins import without_launch_agent, without_pandas
from learning_to_learn.training.evaluation import Evaluation
from learning_to_learn.training.metrics import ranked

PROJECT, WANDB = "learning-to-learn", "wandb.json"
USED = ("id", "project", "entity", "group")
"""What wandb.json says besides the mode."""
SPREAD = "score/replicas"
CURVES, ERRORS, STREAMED = "score/curves", "test/curve", "test/stream"
"""Plots of a run; the table of each has the same name with "_table" after it."""
RISING = (SCORE, SCORE_LOWER, SCORE_UPPER, SUCCESS_RATE)
FALLING = (TRAIN_MSE, VALIDATION_MSE, VALIDATION_MSE_MIN, VALIDATION_MSE_MAX)
"""Metrics of which wandb's summary keeps the largest, and the least."""
LONGEST_NAME = 128
"""The most characters of a run's name in wandb."""
_ID, _DAY = re.compile(r"[0-9a-f]{8}"), re.compile(r"\d{4}-\d\d-\d\d")
INIT_SECONDS, ANSWER_SECONDS, FINISH_SECONDS = 20, 2, 15
INTERRUPTED_SECONDS = 0.5
"""The patience with wandb of a job that was interrupted."""
STREAM_POINTS, CURVE_POINTS = 128, 64
"""The most points of a plot that wandb is given of a stream, or of an error by cycle: it judges the type of every number, which
took a quick job longer than its training. The CSV files have them all."""
_log = logging.getLogger(__name__)


class WandbRun:
    """A wandb run inside a run folder. What goes wrong with it is said once, and then it is silent."""

    def __init__(self, folder: Path, config: Config, *, sweep: str | None = None) -> None:
        self._run: Any = None
        self._folder, self._complained, self._online = folder, False, False
        self.is_new = not (folder / WANDB).exists()
        """Whether nothing has been logged to it."""
        asked = wandb_mode(config)
        modes: list[Literal["offline", "online"]] = [] if asked == "disabled" else ["offline"]
        if asked == "online":
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

    @without_pandas()
    def log(self, values: Mapping[str, Any], *, scores: np.ndarray, epoch: int) -> None:
        """A row of metrics, and the distribution of the replicas' scores."""
        if self._run is not None:
            import wandb

            spread = wandb.Histogram(np_histogram=np.histogram(np.nan_to_num(scores), bins=20, range=(-1.0, 1.0)))
            self._call("log", {EPOCH: epoch, **values, SPREAD: spread}, step=epoch)

    @without_pandas()
    def replay(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Log the rows of metrics.csv, which were written while no wandb run was there."""
        for row in rows:
            values = {key: float(value) for key, value in row.items() if value not in ("", "nan")}
            self._call("log", values, step=int(values[EPOCH]))

    @without_pandas()
    def conclude(self, found: Evaluation, pictures: Mapping[str, Path], checkpoint: Path | None = None) -> None:
        """Log final values, the error by cycle and over a stream as plots, `pictures` if any, and a checkpoint to be kept."""
        if self._run is None:
            return
        import wandb

        final = {f"test/{key}": v for key, v in found.result.items() if isinstance(v, int | float)}
        # Close together where learning is fast.
        cycles = np.unique(np.geomspace(1, found.curves.shape[1], CURVE_POINTS).round().astype(int))
        curve = wandb.plot.line_series(
            cycles.tolist(),
            [np.median(ranked(found.curves, worst=np.inf), 0)[cycles - 1].tolist(), found.best[cycles - 1].tolist()],
            keys=["median replica", "Bayes-optimal"],
            title="Error by cycle (some cycles; all are in curve.csv)",
            xname="cycle",
        )
        times, errors = thinned(list(found.stream.values()))
        title = "Absolute error over a stream (the largest of some cycles; all are in stream.csv)"
        stream = wandb.plot.line_series(times, errors, keys=list(found.stream), title=title, xname="time")
        images = {f"test/{name}": wandb.Image(str(path)) for name, path in pictures.items()}
        self._call("log", {**final, **images})
        if self._online and not answers(_server()):
            return  # what follows is checked with the server before it is kept, and would wait for it
        for values in filter(None, ({ERRORS: curve}, {STREAMED: stream}, self._curves())):
            self._call("log", values)
        if checkpoint is not None:
            artifact = wandb.Artifact(f"checkpoint-{self._run.id}", type="model", metadata=final)
            artifact.add_file(str(checkpoint))
            self._call("log_artifact", artifact)

    def _curves(self) -> dict[str, Any]:
        """The score of every replica while it trained, as a plot with its table; nothing where none was trained."""
        import wandb

        rows = read_rows(self._folder / SCORES)
        if not rows:
            return {}
        rows = rows[:: -(-len(rows) // STREAM_POINTS) or 1]
        seeds = [key for key in rows[0] if key != EPOCH]
        scores = [[float(row[seed]) for row in rows] for seed in seeds]
        title = "Score of every replica while training"
        return {CURVES: wandb.plot.line_series([int(r[EPOCH]) for r in rows], scores, keys=seeds, title=title, xname=EPOCH)}

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
                "wandb: the server is gone: `wandb sync --no-skip-online %s/wandb/run-*` sends the run later",
                _place(self._folder),
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
    """Return at most STREAM_POINTS points of curves [time]: where a window begins, and the largest value within it."""
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


def wandb_mode(config: Config) -> str:
    """Return offline, online or disabled: what the configuration says, else the environment."""
    said = os.environ.get("WANDB_MODE", "")
    if config.logger.mode is not None:
        return config.logger.mode
    if os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on") or said == "disabled":
        return "disabled"
    return "online" if said in ("online", "run", "shared") else "offline"


def _place(folder: Path) -> str:
    """Where wandb keeps its files."""
    return os.environ.get("WANDB_DIR") or str(folder)


def name_of(config: Config, folder: Path) -> str:
    """Return what the run is called: its arch and family, then what the other jobs of its sweep have not all been given.

    Such as `lstm boolean lr=0.01 seed=8`.
    """
    words, asked = RunFolder(folder).said().overrides, readable_request(folder.parent)
    jobs = [words, *((asked.jobs or [asked.arguments]) if asked else [words])]
    varied = {key: value for key, value in varying_overrides(jobs)[0].items() if key != "seed"}
    values = {"arch.name": config.arch.name, "family.name": config.family.name, **varied, "seed": str(config.seed)}
    return joined(values, spell_overrides(values, jobs))[:LONGEST_NAME]


def group_of(config: Config, folder: Path, sweep: str | None) -> str:
    """Return the group: the day and the name of the sweep's folder, `2026-01-31 12-00-00`; for a single run its arch."""
    if sweep is None:
        return config.sweep or config.arch.name
    place = next((path for path in folder.absolute().parents if path.name == sweep), folder)
    asked = readable_request(place)
    began = time.localtime(asked.started if asked else None)
    day = place.parent.name if _DAY.fullmatch(place.parent.name) else time.strftime("%Y-%m-%d", began)
    return f"{day} {sweep}"


def _start(folder: Path, config: Config, mode: Literal["offline", "online"], sweep: str | None) -> Any:
    """A new run, or the same one where the folder has one; its id is kept there."""
    import wandb

    environment, logger = os.environ, config.logger
    used: dict[str, Any] = {
        "id": secrets.token_hex(4),
        "project": logger.project or environment.get("WANDB_PROJECT") or PROJECT,
        "entity": logger.entity or environment.get("WANDB_ENTITY"),
        "group": logger.group or environment.get("WANDB_RUN_GROUP") or group_of(config, folder, sweep),
        **_known(folder),
    }
    write_json(folder / WANDB, {**used, "mode": mode})
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, x_save_requirements=False, disable_git=True,
        disable_code=True, init_timeout=INIT_SECONDS,
    )  # fmt: skip
    tags = [config.family.name, config.arch.name, *([config.experiment] if config.experiment else []), *logger.tags,
            *filter(None, environment.get("WANDB_TAGS", "").split(","))]  # fmt: skip
    # Inside a `wandb agent` the sweep decides on project and group. resume="allow" also stands in an offline run, so that
    # `wandb sync` adds the folder of a resumed run to what the server has, and does not write over it.
    with without_launch_agent():
        run = wandb.init(
            dir=_place(folder), mode=mode, resume="allow", **used,
            job_type=config.arch.name, name=name_of(config, folder), notes=logger.notes, tags=list(dict.fromkeys(tags)),
            config={**asdict(config), "topology": make_network(config).describe(), "folder": str(folder)}, settings=settings,
            reinit="finish_previous",
        )  # type: ignore[arg-type]  # fmt: skip
    run.define_metric(EPOCH)
    best = {**dict.fromkeys(RISING, "max"), **dict.fromkeys(FALLING, "min"), SECONDS: "last", SPREAD: None}
    for metric, kept in best.items():
        run.define_metric(metric, step_metric=EPOCH, summary=kept)
    return run


def _known(folder: Path) -> dict[str, str]:
    """What wandb.json says of a run that is resumed; nothing where there is none, or one that cannot be ours."""
    found = read_json(folder / WANDB) or {}
    known = {key: found[key] for key in USED if are_words([found.get(key)])}
    return known if _ID.fullmatch(known.get("id", "")) else {}
