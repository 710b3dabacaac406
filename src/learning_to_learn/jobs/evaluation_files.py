"""The files of an evaluation: result.json, replicas.csv, curve.csv, stream.csv, and the pictures of the last two."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from learning_to_learn.config import Config
from learning_to_learn.config_check import make_network
from learning_to_learn.errors import UserError
from learning_to_learn.figures import curve_figure, save, stream_figure
from learning_to_learn.runs.run_folder import (
    CURVE,
    REPLICAS,
    RESULT,
    STREAM,
    RunFolder,
    read_json,
    read_rows,
    write_json,
    write_rows,
)
from learning_to_learn.runs.saved_config import config_damage

if TYPE_CHECKING:  # it imports torch and Lightning, which the dashboard need not wait for
    from learning_to_learn.training.evaluation import Evaluation

CURVE_PICTURE, STREAM_PICTURE = "figures/curve.png", "figures/stream.png"


def write_evaluation(found: "Evaluation", folder: Path) -> None:
    """Write result.json, replicas.csv, curve.csv and stream.csv into a folder that is there.

    result.json comes last, so that it vouches for the others.
    """
    write_rows(folder / REPLICAS, found.replicas)
    names = [f"seed_{row['seed']}" for row in found.replicas]
    write_rows(
        folder / CURVE,
        [
            {"cycle": t + 1, "bayes": found.best[t], **dict(zip(names, column, strict=True))}
            for t, column in enumerate(found.curves.T.tolist())
        ],
    )
    times = zip(*(values.tolist() for values in found.stream.values()), strict=True)
    errors = [{"time": t, **dict(zip(found.stream, values, strict=True))} for t, values in enumerate(times)]
    write_rows(folder / STREAM, errors)
    write_json(folder / RESULT, found.result)


def draw_pictures(folder: Path, config: Config) -> dict[str, Path]:
    """Draw figures/curve.png and figures/stream.png from the folder's CSV files; return their paths by name."""
    title = f"{config.arch.name} ({make_network(config).describe()}) on {config.family.name}"
    return _draw(folder, title, config.family.length(test=True))


def _draw(folder: Path, title: str, sequence_length: int) -> dict[str, Path]:
    curve, stream = read_rows(folder / CURVE), read_rows(folder / STREAM)
    curves = np.array([[float(v) for key, v in row.items() if key.startswith("seed_")] for row in curve]).T
    best = np.array([float(row["bayes"]) for row in curve])
    result = read_json(folder / RESULT) or {}
    loss, never = result.get("loss", "squared"), result.get("no_learning")
    panels = {key: np.array([float(row[key]) for row in stream]) for key in stream[0] if key != "time"}
    return {
        "curve_picture": save(curve_figure(curves, best, title=title, loss=loss, no_learning=never), folder / CURVE_PICTURE),
        "stream_picture": save(stream_figure(panels, sequence_length, title=title), folder / STREAM_PICTURE),
    }


def pictures_of(folder: Path) -> list[str]:
    """Return the pictures that a finished job has, or that `draw_missing` can draw from its files."""
    drawable = (folder / CURVE).is_file() and (folder / STREAM).is_file()
    return [CURVE_PICTURE, STREAM_PICTURE] if drawable else []


def draw_missing(folder: Path) -> None:
    """Draw the pictures that a job of a sweep has left for when somebody looks. A damaged folder stays without.

    The configuration is read as plain YAML: a family or a unit of a plugin that is not loaded here can be drawn all the same.
    """
    run = RunFolder(folder)
    if all((folder / name).is_file() for name in pictures_of(folder)) or config_damage(run):
        return
    with suppress(UserError, OSError, ValueError, TypeError, KeyError, IndexError):
        saved = run.settings()
        length = int(saved.get("family.test.length") or saved["family.sequence_length"])
        _draw(folder, f"{saved['arch.name']} on {saved['family.name']}", length)
