"""The wandb workspace and report as code (wandb-workspaces): the same pictures for everybody who syncs runs.

With a key and an entity they go to the server that wandb is configured for; without, their specifications go into a file.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learning_to_learn.errors import UserError, cause_in_a_line
from learning_to_learn.jobs.wandb_run import CURVES, ERRORS, PROJECT, STREAMED
from learning_to_learn.runs.run_folder import (
    EPOCH,
    SCORE,
    SCORE_LOWER,
    SCORE_UPPER,
    SECONDS,
    SUCCESS_RATE,
    TRAIN_MSE,
    VALIDATION_MSE,
    write_atomically,
)

if TYPE_CHECKING:  # wandb-workspaces takes seconds to import
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

NAME = "learning to learn"
LEARNING = {"Median score": SCORE, "Success rate": SUCCESS_RATE, "Validation loss": VALIDATION_MSE, "Training loss": TRAIN_MSE}
"""Titles, and the metrics that jobs/metrics_log.py logs."""
SPREAD = (SCORE_LOWER, SCORE, SCORE_UPPER)
FINAL = {"Success rate on test functions": "test/success_rate", "Score on test functions": "test/score_median",
         "Seconds of training": "test/seconds"}  # fmt: skip
PICTURES = ("test/curve_picture", "test/stream_picture")
"""What a run by itself has; of the jobs of a sweep there are the plots only."""
PLOTS = {CURVES: ("Score of every replica", EPOCH), ERRORS: ("Error at every cycle", "cycle"),
         STREAMED: ("Absolute error over a stream of mappings", "time")}  # fmt: skip
"""Plots of each run that jobs/wandb_run.py logs with their tables, each with its title and what stands below it."""


def metrics_named() -> set[str]:
    """Every metric that the panels show."""
    return {*LEARNING.values(), *SPREAD, *FINAL.values(), *PICTURES, *map(_table, PLOTS), EPOCH, SECONDS}


def workspace(entity: str, project: str) -> "Workspace":
    """Return sections of panels over runs that are grouped by arch and family."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(name="Learning to learn", is_open=True, panels=[wr.BarPlot(title=t, metrics=[m]) for t, m in FINAL.items()]),
        ws.Section(name="Score curves", is_open=True, panels=[*_learning_panels(), _plot(CURVES)]),
        ws.Section(name="Error against time", is_open=True, panels=_error_panels()),
    ]
    grouping = ws.RunsetSettings(groupby=[ws.Config("family.name"), ws.Config("arch.name")])
    return ws.Workspace(entity=entity, project=project, name=NAME, sections=sections, runset_settings=grouping)


def wandb_report(entity: str, project: str) -> "Report":
    """Return the comparison as a page: success by topology and family, score curves, error against time, time used."""
    import wandb_workspaces.reports.v2 as wr

    runs = wr.Runset(entity=entity, project=project, name="all runs", groupby=["config.family.name", "config.arch.name"])
    blocks: list[Any] = [
        wr.H1("Which recurrent networks learn how to learn?"),
        wr.P("A learning score of 0 is no learning, 1 the Bayes-optimal learner; a replica succeeds from 0.9."),
    ]
    sections: list[tuple[str, list[Any]]] = [
        ("Success by topology and family", [wr.BarPlot(title=t, metrics=[m]) for t, m in list(FINAL.items())[:2]]),
        ("Score curves", [*_learning_panels(), _plot(CURVES)]),
        ("Error against time", _error_panels()),
        ("Time used", [wr.BarPlot(title="Seconds of training", metrics=["test/seconds"])]),
    ]
    for title, panels in sections:
        blocks += [wr.H2(title), wr.PanelGrid(runsets=[runs], panels=panels)]
    return wr.Report(entity=entity, project=project, title=NAME, description="Meta-learning by gradient descent", blocks=blocks)


def _learning_panels() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    lines = [wr.LinePlot(title=t, x=EPOCH, y=[m]) for t, m in LEARNING.items()]
    return [*lines, wr.LinePlot(title="Spread of the replicas", x=EPOCH, y=list(SPREAD)),
            wr.LinePlot(title="Score against time", x=SECONDS, y=[SCORE])]  # fmt: skip


def _error_panels() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [_plot(ERRORS), _plot(STREAMED), wr.MediaBrowser(media_keys=list(PICTURES))]


def _plot(key: str) -> Any:
    """A panel with the lines of a table that `wandb.plot.line_series` has made of each run."""
    import wandb_workspaces.reports.v2 as wr

    title, below = PLOTS[key]
    return wr.CustomChart(
        query={"id": {}, "name": {}, "summaryTable": {"tableKey": _table(key)}},
        chart_name="wandb/lineseries/v0",
        chart_fields={name: name for name in ("step", "lineKey", "lineVal")},
        chart_strings={"title": title, "xname": below},
    )


def _table(key: str) -> str:
    """The name of a plot's table."""
    return f"{key}_table"


def push(folders: list[str], options: dict[str, str]) -> int:
    """Save both on the server, or their specifications into a file; the exit code."""
    if folders:
        raise UserError("push takes entity=, project= and into= only")
    project = options.get("project") or os.environ.get("WANDB_PROJECT") or PROJECT
    entity = options.get("entity") or os.environ.get("WANDB_ENTITY", "")
    if entity and os.environ.get("WANDB_API_KEY") and "into" not in options:
        try:
            view, page = workspace(entity, project), wandb_report(entity, project)
            view.save()
            page.save()
        except Exception as error:
            raise UserError(
                f"the server did not take the dashboard ({cause_in_a_line(error)}); into=<file> writes it here"
            ) from error
        print(f"workspace: {view.url}\nreport: {page.url}")
        return 0
    into = Path(options.get("into", "runs/dashboard.json"))
    into.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(into, json.dumps(specifications(entity, project), indent=2))
    print(f"{into} is written: with WANDB_API_KEY set, and entity=..., the dashboard goes to the server")
    return 0


def specifications(entity: str, project: str) -> dict[str, Any]:
    """Both, as the server would be given them; for nobody in particular where `entity` is empty."""
    view = workspace(entity, project)._to_model()
    # A report asks the server for its project's number; without one it is left out.
    page = wandb_report("", project)._to_model()
    return {"workspace": view.model_dump(by_alias=True, mode="json"), "report": page.model_dump(by_alias=True, mode="json")}
