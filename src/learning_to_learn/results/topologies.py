"""The comparison of topologies: the study sweeps/topologies.yaml is run and reported in reports/topologies.*.

A study that was stopped goes on; a finished one is only reported.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from learning_to_learn.errors import UserError
from learning_to_learn.results.aggregate import replicas
from learning_to_learn.results.markdown import escaped, markdown_table, to_html
from learning_to_learn.results.table import find_jobs
from learning_to_learn.results.topology_numbers import interquartile_means, score_matrices, study_cells
from learning_to_learn.results.topology_pictures import draw
from learning_to_learn.runs.run_folder import DONE, write_atomically
from learning_to_learn.runs.sweep_folder import Job
from learning_to_learn.training.metrics import SUCCESS

REPORTS = Path("reports")
QUICK = ("trainer.epochs=20", "trainer.evaluate_every=5", "replicas=4", "evaluation.mappings=64", "logger.mode=disabled")


def run_study(start: Callable[[list[str]], object], *, quick: bool = False) -> list[Job]:
    """Run the study, or what is left of it, and write its report; return the jobs that are not in it.

    `start` runs the sweep that command-line arguments say.
    """
    folder = Path("runs") / ("topologies_quick" if quick else "topologies")
    folder.mkdir(parents=True, exist_ok=True)
    start(["sweep=topologies", f"hydra.sweep.dir={folder}", *(QUICK if quick else ())])
    jobs = find_jobs(folder)
    write_report(jobs, report_folder(quick=quick))
    return [job for job in jobs if job.status not in DONE]


def report_folder(*, quick: bool = False) -> Path:
    """Return where the report of the study, or of the small one, is written."""
    return REPORTS / "quick" if quick else REPORTS


def write_report(jobs: list[Job], folder: Path) -> None:
    """Write topologies.md, .html and .csv, and their pictures. Raise UserError where no job is finished."""
    frame = replicas(jobs)
    if frame.empty:
        raise UserError("no job of the comparison is finished")
    folder.mkdir(parents=True, exist_ok=True)
    cells = study_cells(frame)
    write_atomically(folder / "topologies.csv", cells.to_csv(index=False, float_format="%.6g"))
    pictures = draw(jobs, frame, folder)
    text = "\n".join([*_introduction(frame), *_matrix(cells), *_aggregate(frame), *_times(cells), *pictures]) + "\n"
    write_atomically(folder / "topologies.md", text)
    write_atomically(folder / "topologies.html", to_html(text, folder, title="Which topologies learn to learn?"))


def _introduction(frame: pd.DataFrame) -> list[str]:
    count = frame.groupby(["arch.name", "family.name"]).size()
    epochs = ", ".join(str(e) for e in sorted(frame["epochs"].unique()))
    return f"""\
# Which topologies learn to learn?

Written by `make compare-topologies` from the study [sweeps/topologies.yaml](../sweeps/topologies.yaml): {len(count)} cells of
{count.min()} replicas, {epochs} epochs each, the same optimizer and learning rate for all. The paper: "The only fully
successful topology in meta-learning was the LSTM". A replica *succeeds* where its learning score, 0 for no learning and 1 for
the Bayes-optimal learner, is at least {SUCCESS} on test functions. Intervals are at 95 %.
""".splitlines()


def _matrix(cells: pd.DataFrame) -> list[str]:
    families = list(dict.fromkeys(cells["family"]))
    lines = []
    for (arch, gradient), rows in cells.groupby(["arch", "gradient"], sort=False):
        by_family = rows.set_index("family")
        lines.append(
            [escaped(arch), escaped(gradient), *(_cell(by_family.loc[f]) if f in by_family.index else "–" for f in families)]
        )
    return ["", "## Success rate, and median score", "", *markdown_table(["arch", "gradient", *map(escaped, families)], lines)]


def _cell(row: pd.Series) -> str:
    return f"**{row['success_rate']:.0%}** ({row['low']:.0%} – {row['high']:.0%}), {row['score_median']:.3f}"


def _aggregate(frame: pd.DataFrame) -> list[str]:
    means = interquartile_means(score_matrices(frame))
    lines = [[escaped(arch), f"{mean:.3f}", f"{low:.3f} – {high:.3f}"] for arch, (mean, low, high) in means.items()]
    what = "Interquartile mean of the scores over replicas and families, with its bootstrap interval (Agarwal et al. 2021):"
    return ["", "## Over all families", "", what, "", *markdown_table(["arch", "score", "interval"], lines)]


def _times(cells: pd.DataFrame) -> list[str]:
    families = list(dict.fromkeys(cells["family"]))
    table = cells.pivot_table(index="arch", columns="family", values="seconds", sort=False)
    lines = [[escaped(arch), *(f"{row[f]:.0f}" for f in families)] for arch, row in table.iterrows()]
    return [
        "",
        "## Time",
        "",
        "Seconds of training, all replicas of a cell together:",
        "",
        *markdown_table(["arch", *map(escaped, families)], lines),
    ]
