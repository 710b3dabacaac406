"""The report of any set of runs: a tidy table, its summary, and pictures of the scores."""

from pathlib import Path
from typing import Any

from learning_to_learn.results.aggregate import learning_curve, replicas
from learning_to_learn.results.markdown import escaped, markdown_table, short, to_html
from learning_to_learn.results.table import groups, name_damaged, tabulate
from learning_to_learn.runs.run_folder import REPLICAS, write_atomically
from learning_to_learn.runs.sweep_folder import Job
from learning_to_learn.training.metrics import SUCCESS

MOST = 12
"""Groups that one picture can show; the tables have all."""


def write_sweep_report(jobs: list[Job], folder: Path, *, title: str) -> None:
    """Write replicas.csv and .parquet, summary.csv, report.md and .html; name the jobs that are damaged and left out."""
    import pandas as pd

    from learning_to_learn.figures import learning_figure, save, scores_figure

    name_damaged(jobs)
    folder.mkdir(parents=True, exist_ok=True)
    frame, rows = replicas(jobs), tabulate(jobs)
    write_atomically(folder / REPLICAS, frame.to_csv(index=False))
    with (folder / "replicas.parquet").open("wb") as file:  # pyarrow itself takes no path with bytes that are no text
        frame.to_parquet(file, index=False)
    write_atomically(folder / "summary.csv", pd.DataFrame(rows).to_csv(index=False))
    found = groups(jobs)
    named = {_label(topics): group for topics, group in found}
    scores = {name: replicas(group)["score"].to_numpy() for name, group in named.items()}
    save(scores_figure(dict(list(scores.items())[:MOST]), threshold=SUCCESS, title="Learning score of every replica"),
         folder / "scores.png")  # fmt: skip
    curves = {name: learning_curve(group) for name, group in list(named.items())[:MOST]}
    save(learning_figure(curves, title="Median score while training"), folder / "learning.png")
    text = "\n".join([
        f"# {escaped(title)}", "",
        f"{len(frame)} replicas of {len(rows)} settings. *Score* runs from 0, no learning, to 1, the Bayes-optimal learner;",
        f"a replica succeeds from {SUCCESS}. Intervals are Wilson's, 95 %.", "",
        *summary_table(rows), "", "![Scores](scores.png)", "", "![Learning curves](learning.png)", "",
    ])  # fmt: skip
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "report.html", to_html(text, folder, title=title))


def summary_table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown lines: the settings that vary, then the results."""
    topics = [key for key in rows[0] if "." in key]
    headings = [*(escaped(t.removesuffix(".name").split(".")[-1]) for t in topics), "success", "interval", "score", "MSE",
                "floor", "cycles", "seconds"]  # fmt: skip
    return markdown_table(headings, [
        [*(escaped(row[t]) for t in topics), f"{row['successes']}/{row['replicas']}",
         "{:.2f} – {:.2f}".format(*row["success_interval"]), f"{row['score_median']:.3f}", short(row["mse_median"]),
         short(row["floor"]), "never" if row["cycles_to_learn"] is None else f"{row['cycles_to_learn']:g}",
         f"{row['seconds']:.0f}"]
        for row in rows
    ])  # fmt: skip


def _label(topics: dict[str, str]) -> str:
    return " ".join(v if k in ("arch.name", "family.name") else f"{k.split('.')[-1]}={v}" for k, v in topics.items())
