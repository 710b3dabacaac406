"""The comparison of topologies: the study sweeps/topologies.yaml is run and reported in reports/topologies.*.

A study that was stopped goes on; a finished one is only reported.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from learning_to_learn.errors import UserError
from learning_to_learn.figures import learning_panels, profile_figure, save, scores_figure
from learning_to_learn.results.aggregate import learning_curve, replicas
from learning_to_learn.results.markdown import markdown_table, to_html
from learning_to_learn.results.statistics import (
    interquartile_interval,
    interquartile_mean,
    performance_profile,
    profile_interval,
)
from learning_to_learn.results.studies import FRESH, QUICK, load_study, run_study
from learning_to_learn.results.table import Job, find_jobs
from learning_to_learn.runs.run_folder import Status, write_atomically
from learning_to_learn.training.metrics import SUCCESS, median, success_interval

REPORTS = Path("reports")
PROFILE_RESAMPLES = 500
"""Resamples of the bootstrap of profiles, which are only drawn."""
THRESHOLDS = np.linspace(0.0, 1.0, 51)


def compare(start: Callable[[list[str]], object], *, quick: bool = False) -> list[Job]:
    """Run the study, or what is left of it, and write its report; return the jobs that are not in it.

    `start` runs the sweep that command-line arguments say.
    """
    folder = Path("runs/studies") / ("quick/topologies" if quick else "topologies")
    _, unfinished = run_study(load_study("topologies"), start, folder, QUICK if quick else ())
    write_report(find_jobs(folder / FRESH), report_folder(quick=quick))
    return unfinished


def report_folder(*, quick: bool = False) -> Path:
    """Return where the report of the study, or of the small one, is written."""
    return REPORTS / "quick" if quick else REPORTS


def write_report(jobs: list[Job], folder: Path) -> None:
    """Write topologies.md, .html and .csv, and their pictures. Raise UserError where no job is finished."""
    frame = replicas(jobs)
    if frame.empty:
        raise UserError("no job of the comparison is finished")
    folder.mkdir(parents=True, exist_ok=True)
    cells = summarise(frame)
    write_atomically(folder / "topologies.csv", cells.to_csv(index=False, float_format="%.6g"))
    pictures = _pictures(jobs, frame, folder)
    text = "\n".join([*_introduction(frame), *_matrix(cells), *_aggregate(frame), *_times(cells), *pictures]) + "\n"
    write_atomically(folder / "topologies.md", text)
    write_atomically(folder / "topologies.html", to_html(text, folder, title="Which topologies learn to learn?"))


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every arch, gradient and family; `low` and `high` are Wilson's 95 % interval of the success rate."""
    rows = []
    for (arch, gradient, family), cell in frame.groupby(["arch.name", "arch.gradient", "family.name"], sort=False):
        low, high = success_interval(int(cell["success"].sum()), len(cell))
        rows.append(
            {"arch": arch, "gradient": gradient, "family": family, "replicas": len(cell),
             "success_rate": cell["success"].mean(), "low": low, "high": high,
             "score_median": median(cell["score"].to_numpy(), worst=-np.inf),
             "seconds": cell["seconds"].sum()}
        )  # fmt: skip
    return pd.DataFrame(rows)


def score_matrices(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return for each arch its scores [replicas, families], of those archs that have as many replicas of every family."""
    families = list(dict.fromkeys(frame["family.name"]))
    found = {}
    for arch, rows in frame.groupby("arch.name", sort=False):
        columns = [rows[rows["family.name"] == f].sort_values("seed")["score"].to_numpy() for f in families]
        if len({len(c) for c in columns}) == 1 and len(columns[0]):
            found[str(arch)] = np.stack(columns, 1)
    return found


def interquartile_means(matrices: dict[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Return each arch's interquartile mean over replicas and families, with its 95 % stratified bootstrap interval."""
    return {arch: (interquartile_mean(scores), *interquartile_interval(scores)) for arch, scores in matrices.items()}


def performance_profiles(matrices: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return for each arch the part of its runs that score above each of THRESHOLDS [51], and its interval [2, 51]."""
    profiles = {arch: performance_profile(scores, THRESHOLDS) for arch, scores in matrices.items()}
    return profiles, {a: profile_interval(s, THRESHOLDS, resamples=PROFILE_RESAMPLES) for a, s in matrices.items()}


def _introduction(frame: pd.DataFrame) -> list[str]:
    count = frame.groupby(["arch.name", "family.name"]).size()
    epochs = ", ".join(str(e) for e in sorted(frame["epochs"].unique()))
    return f"""\
# Which topologies learn to learn?

Written by `make compare-topologies` from the study [sweeps/topologies.yaml](../sweeps/topologies.yaml): {len(count)} cells of
{count.min()} replicas, {epochs} epochs each, the same optimizer for all, and for each cell the learning rate that did best on
other seeds and other data. The paper: "The only fully successful topology in meta-learning was the LSTM".
A replica *succeeds* where its learning score, 0 for no learning and 1 for the Bayes-optimal learner, is at least
{SUCCESS} on test functions. Intervals are at 95 %.
""".splitlines()


def _matrix(cells: pd.DataFrame) -> list[str]:
    families = list(dict.fromkeys(cells["family"]))
    lines = []
    for (arch, gradient), rows in cells.groupby(["arch", "gradient"], sort=False):
        by_family = rows.set_index("family")
        lines.append([arch, gradient, *(_cell(by_family.loc[f]) if f in by_family.index else "–" for f in families)])
    return ["", "## Success rate, and median score", "", *markdown_table(["arch", "gradient", *families], lines)]


def _cell(row: pd.Series) -> str:
    return f"**{row['success_rate']:.0%}** ({row['low']:.0%} – {row['high']:.0%}), {row['score_median']:.3f}"


def _aggregate(frame: pd.DataFrame) -> list[str]:
    means = interquartile_means(score_matrices(frame))
    lines = [[arch, f"{mean:.3f}", f"{low:.3f} – {high:.3f}"] for arch, (mean, low, high) in means.items()]
    what = "Interquartile mean of the scores over replicas and families, with its bootstrap interval (Agarwal et al. 2021):"
    return ["", "## Over all families", "", what, "", *markdown_table(["arch", "score", "interval"], lines)]


def _times(cells: pd.DataFrame) -> list[str]:
    families = list(dict.fromkeys(cells["family"]))
    table = cells.pivot_table(index="arch", columns="family", values="seconds", sort=False)
    lines = [[arch, *(f"{row[f]:.0f}" for f in families)] for arch, row in table.iterrows()]
    return [
        "",
        "## Time",
        "",
        "Seconds of training, all replicas of a cell together:",
        "",
        *markdown_table(["arch", *families], lines),
    ]


def _pictures(jobs: list[Job], frame: pd.DataFrame, folder: Path) -> list[str]:
    order = {family: place for place, family in enumerate(dict.fromkeys(frame["family.name"]))}
    cells = sorted(frame.groupby(["family.name", "arch.name"], sort=False), key=lambda cell: order[cell[0][0]])
    scores = {f"{arch} {family}": rows["score"].to_numpy() for (family, arch), rows in cells}
    save(scores_figure(scores, threshold=SUCCESS, title="Learning score of every replica"), folder / "topologies_scores.png")
    panels: dict[str, dict] = {}
    for job in jobs:
        if job.status is Status.FINISHED and not job.damage:
            family, arch = str(job.settings["family.name"]), str(job.settings["arch.name"])
            panels.setdefault(family, {}).setdefault(arch, []).append(job)
    curves = {family: {arch: learning_curve(group) for arch, group in archs.items()} for family, archs in panels.items()}
    save(learning_panels(curves, title="Median score while training"), folder / "topologies_learning.png")
    profiles, intervals = performance_profiles(score_matrices(frame))
    figure = profile_figure(THRESHOLDS, profiles, intervals, threshold=SUCCESS, title="Performance profiles")
    save(figure, folder / "topologies_profiles.png")
    return [
        "", "## Distributions", "", "![Scores of every replica](topologies_scores.png)", "",
        "Performance profiles: the part of all runs, over the three families, that score above a threshold.", "",
        "![Performance profiles](topologies_profiles.png)", "", "![Learning curves](topologies_learning.png)",
    ]  # fmt: skip
