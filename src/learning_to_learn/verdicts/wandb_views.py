"""A verdict in wandb: one run with its tables and pictures, where `logger.mode` says offline or online."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learning_to_learn.errors import cause_in_a_line
from learning_to_learn.jobs.wandb_run import PROJECT

_log = logging.getLogger(__name__)


def log_verdict(page: Mapping[str, Any], pictures: Path, folder: Path, *, mode: str, project: str = PROJECT) -> bool:
    """Log a verdict, as `page_data.page_of` has it, with the pictures in a folder; return whether that went well.

    wandb writes into `folder`. What goes wrong is said in a line: the report is there without it.
    """
    try:
        import wandb

        run = wandb.init(
            project=project, dir=str(folder), mode="online" if mode == "online" else "offline", name=page["title"],
            job_type="verdict", group="verdict", notes=page["answer"],
            settings=wandb.Settings(silent=True), reinit="create_new",
        )  # fmt: skip
        tables = {
            key: wandb.Table(columns=list(page[key][0]), data=[list(row.values()) for row in page[key]])
            for key in ("contenders", "contrasts")
            if page[key]
        }
        tuning = [
            [curve["contender"], curve["problem"], tried, *values]
            for curve in page["tuning"]
            for tried, values in enumerate(zip(curve["expected"], curve["low"], curve["high"], strict=True), 1)
        ]
        tables["tuning"] = wandb.Table(columns=["contender", "problem", "tried", "expected", "low", "high"], data=tuning)
        scores = [[one["contender"], one["problem"], value] for one in page["scores"] for value in one["values"]]
        tables["scores"] = wandb.Table(columns=["contender", "problem", "score"], data=scores)
        images = {f"verdict/{path.stem}": wandb.Image(str(path)) for path in sorted(pictures.glob("*.png"))}
        run.log({**{f"verdict/{key}": table for key, table in tables.items()}, **images})
        run.summary.update({f"mean_score/{row['contender']}": row["mean_score"] for row in page["contenders"]})
        run.finish()
    except Exception as error:  # noqa: BLE001 - whatever wandb does, the verdict stands
        _log.warning("wandb: %s; the verdict is not logged", cause_in_a_line(error))
        return False
    return True
