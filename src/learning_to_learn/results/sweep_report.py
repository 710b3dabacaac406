"""The tables of a report on any set of runs: a tidy one, its summary, and both as Markdown with pictures of the scores."""

from pathlib import Path
from typing import Any

import numpy as np

from learning_to_learn.results.aggregate import learning_curve, replicas
from learning_to_learn.results.markdown import escaped, markdown_table, short
from learning_to_learn.results.table import group_replicas, headings, name_damaged, ranked, to_csv
from learning_to_learn.runs.run_folder import REPLICAS, write_atomically
from learning_to_learn.runs.sweep_folder import Job
from learning_to_learn.runs.varying import joined
from learning_to_learn.training.metrics import MEMORIES, SUCCESS

MOST = 12
"""Groups that one picture can show; the tables have all."""
FILES = ("report.md", REPLICAS, "replicas.parquet", "summary.csv")
"""What `write_tables` writes, besides the pictures of report.md."""


def write_tables(jobs: list[Job], folder: Path, *, title: str, page: str = "") -> list[Path]:
    """Write FILES into a folder, and return them; name the jobs that are damaged and left out.

    The Markdown says that the file `page`, if there is one, shows the same.
    """
    from learning_to_learn.figures import learning_figure, save, scores_figure

    name_damaged(jobs)
    folder.mkdir(parents=True, exist_ok=True)
    frame = replicas(jobs)
    groups, notes = group_replicas(jobs)
    found = ranked(groups)
    rows = [row for row, _ in found]
    spelling = headings(rows, jobs)
    write_atomically(folder / REPLICAS, frame.to_csv(index=False))
    with (folder / "replicas.parquet").open("wb") as file:  # pyarrow itself takes no path with bytes that are no text
        frame.to_parquet(file, index=False)
    write_atomically(folder / "summary.csv", to_csv(rows, spelling))
    drawn = {joined(group.topics, spelling): group for _, group in found[:MOST]}
    scores = {name: np.array([one.replica.score for one in group.replicas]) for name, group in drawn.items()}
    save(scores_figure(scores, threshold=SUCCESS, title="Learning score of every replica"), folder / "scores.png")
    curves = {name: learning_curve(group.jobs) for name, group in drawn.items()}
    save(learning_figure(curves, title="Median score while training"), folder / "learning.png")
    left_out = [f"The pictures show the best {MOST} of {len(rows)} settings.", ""] if len(rows) > MOST else []
    other = [f"Every run, to sort and filter: [{page}]({page})", ""] if page else []
    text = "\n".join([
        f"# {escaped(title)}", "", *other,
        f"{len(frame)} replicas of {len(rows)} settings. *Score* runs from 0, no learning, to 1, the Bayes-optimal learner;",
        f"a replica succeeds from {SUCCESS}. Intervals are Wilson's, 95 %.", "",
        *summary_table(rows, spelling), "", *(line for note in notes for line in (f"\\{note}", "")), *left_out,
        "![Scores](scores.png)", "", "![Learning curves](learning.png)", "",
    ])  # fmt: skip
    write_atomically(folder / "report.md", text)
    return [folder / name for name in FILES]


MEMORY_TITLES = dict(zip(MEMORIES, ("floor of the training mappings", "memorizing, on others", "loss on the training mappings",
                                   "distance to memorizing"), strict=True))  # fmt: skip
"""Headings of what a finite set of training mappings adds; *memorizing* is the Bayes-optimal learner that knows no others."""


def summary_table(rows: list[dict[str, Any]], spelling: dict[str, str]) -> list[str]:
    """Return Markdown lines: the settings that vary, spelled as `spelling` says, then the results."""
    titles = [*map(escaped, spelling.values()), "success", "interval", "score", "MSE", "floor", "excess", "x floor", "cycles",
              "seconds"]  # fmt: skip
    remembers = any(key in row for row in rows for key in MEMORIES)
    titles += [MEMORY_TITLES[key] for key in MEMORIES] if remembers else []
    return markdown_table(titles, [
        [*(escaped(row[t]) for t in spelling), f"{row['successes']}/{row['replicas']}",
         f"{row['success_low']:.2f} – {row['success_high']:.2f}",
         f"{row['score_median']:.3f}", short(row["mse_median"]), short(row["floor"]),
         *(("–", "–") if row["excess_median"] is None else
           (short(row["excess_median"]), f"{1 + row['excess_median'] / row['floor']:.3g}")),
         "never" if row["cycles_to_learn"] is None else f"{row['cycles_to_learn']:g}", f"{row['seconds']:.0f}",
         *(([short(row[key]) if row.get(key) is not None else "–" for key in MEMORIES]) if remembers else [])]
        for row in rows
    ])  # fmt: skip
