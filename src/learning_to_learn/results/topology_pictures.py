"""The pictures of the comparison of topologies."""

from pathlib import Path

import pandas as pd

from learning_to_learn.figures import learning_panels, profile_figure, save, scores_figure
from learning_to_learn.results.aggregate import learning_curve
from learning_to_learn.results.topology_numbers import THRESHOLDS, performance_profiles, score_matrices
from learning_to_learn.runs.run_folder import Status
from learning_to_learn.runs.sweep_folder import Job
from learning_to_learn.training.metrics import SUCCESS


def draw(jobs: list[Job], frame: pd.DataFrame, folder: Path) -> list[str]:
    """Draw topologies_scores.png, _learning.png and _profiles.png; return the Markdown lines that show them."""
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
