"""The report of any run folders, in two forms made from the same jobs.

report.html    the dashboard's page as one file: every run, to sort, filter and point at; it needs no network
report.md      the same to read or to commit: a row for every setting, with pictures of the best
replicas.csv, replicas.parquet, summary.csv    the tables of both
"""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from learning_to_learn.dashboard.data import collect
from learning_to_learn.dashboard.page import with_data, with_pictures
from learning_to_learn.jobs.evaluation_files import draw_missing
from learning_to_learn.results.sweep_report import FILES, write_tables
from learning_to_learn.runs.run_folder import legible, write_atomically
from learning_to_learn.runs.sweep_folder import Job

PAGE = "report.html"
PICTURED = 20
"""The most runs of which a page holds the pictures too; the plots of a run's page, which show the same, it has of all."""


def write_report(jobs: list[Job], folders: Sequence[Path], into: Path) -> list[Path]:
    """Write both forms of the report of jobs under `folders` into a folder; return the files.

    Jobs that are damaged are named, and left out of the tables.
    """
    title = _title(folders)
    tables = write_tables(jobs, into, title=f"Report of {title}", page=PAGE)
    return [write_page(jobs, folders, into / PAGE, beside=FILES), *tables]


def write_page(jobs: list[Job], folders: Sequence[Path], into: Path, *, beside: Sequence[str] = ()) -> Path:
    """Write the page of jobs under `folders` as one file; return it. It links to the files `beside` it."""
    for job in jobs if len(jobs) <= PICTURED else ():
        draw_missing(job.folder)
    top = _common(folders)
    data = with_pictures(collect(top, jobs), top, most=PICTURED)
    base = quote(os.fsencode(os.path.relpath(top, into.parent)))
    into.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(into, with_data({**data, "title": _title(folders), "base": f"{base}/", "beside": list(beside)}))
    return into


def _title(folders: Sequence[Path]) -> str:
    return ", ".join(legible(folder) for folder in folders)


def _common(folders: Sequence[Path]) -> Path:
    """The folder that all of them lie in."""
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.relpath(os.path.commonpath([os.path.abspath(folder) for folder in folders])))  # noqa: PTH100 - not resolved
