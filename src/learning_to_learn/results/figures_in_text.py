"""The figures that README.md and docs/ state: each stands between two marks, and comes from a file of reports/.

    Sixteen replicas of the LSTM <!-- figure: lstm_took -->took 14 s<!-- /figure --> for 800 epochs.

`make readme` trains what README tells its reader to train, writes reports/readme.csv and the two pictures of README, and fills
the marks. A test fills them again from the committed files, and fails where the text says something else.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from learning_to_learn.config import Config
from learning_to_learn.errors import UserError, choose
from learning_to_learn.jobs.evaluation_files import CURVE_PICTURE, STREAM_PICTURE
from learning_to_learn.jobs.job import run_job
from learning_to_learn.results.markdown import markdown_table
from learning_to_learn.results.table import find_jobs, tabulate
from learning_to_learn.runs.run_folder import Status, read_rows, write_rows

DOCUMENTS = ("README.md", "docs/cluster.md", "docs/reliability.md")
RUNS, IMAGES = Path("runs/readme"), Path("docs/images")
CSV, STUDY, RELIABILITY, VERDICT = "readme.csv", "topologies.csv", "reliability.csv", "verdict.csv"
BEST, OF_THE_PAPER = 5, ("lstm", "elman", "bptt")
"""The rows of README's verdict: so many archs that score highest, and those that the paper compares."""
TRAIN, SWEEP = ("arch=lstm", "family=boolean"), ("-m", "arch=lstm,elman,rtrl", "family=boolean")
"""The words of `make train` and `make sweep`."""
COLUMNS = ("command", "arch", "replicas", "successes", "score_median", "mse_median", "floor", "excess_median",
           "cycles_to_learn", "seconds", "cpu")  # fmt: skip
_MARK = re.compile(r"(<!-- figure: (\w+) -->)(.*?)(<!-- /figure -->)", re.DOTALL)


def write_readme(compose: Callable[..., Config], start: Callable[[list[str]], object]) -> list[str]:
    """Train what README says, write its figures and pictures, and fill the marks; return the runs that did not finish.

    `compose` returns the configuration that command-line arguments say, `start` runs the sweep that they say.
    """
    train, sweep = RUNS / "train", RUNS / "sweep"
    sweep.mkdir(parents=True, exist_ok=True)
    done = run_job(compose(*TRAIN), train).status is Status.FINISHED
    start([*SWEEP, f"hydra.sweep.dir={sweep}"])
    jobs = {"train": find_jobs(train), "sweep": find_jobs(sweep)}
    failed = [
        str(job.folder) for found in jobs.values() for job in found if job.status not in (Status.FINISHED, Status.DUPLICATE)
    ]
    if failed or not done:
        return failed or [str(train)]
    rows = [
        {**row, "command": name, "arch": row["arch.name"], "cpu": host_cpu()} for name in jobs for row in tabulate(jobs[name])
    ]
    write_rows(Path("reports") / CSV, [{key: row[key] for key in COLUMNS} for row in rows])
    for picture in (CURVE_PICTURE, STREAM_PICTURE):
        shutil.copy(train / picture, IMAGES)
    write_texts()
    return []


def write_texts() -> None:
    """Fill the marks of every document from the files of reports/."""
    for name in DOCUMENTS:
        path = Path(name)
        path.write_text(fill(path.read_text(encoding="utf-8"), figures(Path("reports"))), encoding="utf-8")


def host_cpu() -> str:
    """Return the type of this processor, such as znver3: kernels are compiled for it, and round as it does."""
    from llvmlite.binding import get_host_cpu_name

    return str(get_host_cpu_name())


def fill(text: str, known: dict[str, str]) -> str:
    """Put what is known between the marks of a text. Raises UserError on a mark that nothing is known for."""
    return _MARK.sub(lambda m: m[1] + choose("figure", m[2], known) + m[4], text)


def marks(text: str) -> dict[str, str]:
    """Return what stands between the marks of a text, by name."""
    return {name: content for _, name, content, _ in _MARK.findall(text)}


def figures(reports: Path) -> dict[str, str]:
    """Return every figure that a document may state, by its mark's name, from the files of reports/."""
    rows, study = read_rows(reports / CSV), read_rows(reports / STUDY)
    if not rows or not study:
        raise UserError(
            f"{reports / CSV} or {reports / STUDY} is missing: `make readme` and `make compare-topologies` write them"
        )
    train = next(row for row in rows if row["command"] == "train")
    seconds = {row["arch"]: row["seconds"] for row in study if row["family"] == "boolean"}
    return {
        "train": _table([train]),
        "sweep": _table([row for row in rows if row["command"] == "sweep"]),
        "verdict": _verdict(read_rows(reports / VERDICT)),
        "cpu": train["cpu"],
        "lstm_took": f"took {float(seconds['lstm']):.0f} s",
        "rtrl_took": f"took {float(seconds['rtrl']):.0f} s",
        "reliability": _reliability(read_rows(reports / RELIABILITY)),
    }


def _reliability(rows: list[dict[str, str]]) -> str:
    """What `make reliability` has counted."""
    cells = [[row["promise"], row["tried"], row["wrong"], row["seen"], row["seconds"], f"`{row['test']}`"] for row in rows]
    return _block(["promise", "tried", "wrong", "what was seen", "seconds", "test"], cells)


def _table(rows: list[dict[str, str]]) -> str:
    """The columns of the table that `src.train` prints, without the seconds."""
    headings = ["arch", "success", "score", "MSE", "floor", "excess", "cycles"]
    return _block(headings, [
        [row["arch"], f"{row['successes']}/{row['replicas']}", f"{float(row['score_median']):.3f}",
         f"{float(row['mse_median']):.5f}",
         f"{float(row['floor']):.5f}", f"{float(row['excess_median']):.2g}",
         f"{float(row['cycles_to_learn']):g}" if row["cycles_to_learn"] else "never"]
        for row in rows
    ])  # fmt: skip


def _verdict(rows: list[dict[str, str]]) -> str:
    """The archs that score highest in the mean over the problems, and those of the paper: successes and score by problem."""
    archs, problems = (list(dict.fromkeys(row[key] for row in rows)) for key in ("contender", "problem"))
    of = {(row["contender"], row["problem"]): row for row in rows}
    mean = {arch: fmean(float(of[arch, problem]["mean_score"]) for problem in problems) for arch in archs}
    order = sorted(archs, key=lambda arch: -mean[arch])
    shown = [arch for place, arch in enumerate(order) if place < BEST or arch in OF_THE_PAPER]
    cells = []
    for arch in shown:
        found = [of[arch, problem] for problem in problems]
        cells.append([arch, *(f"{row['successes']}/{row['seeds']}, {float(row['score']):.2f}" for row in found)])
    return _block([f"of {len(archs)}", *problems], cells)


def _block(headings: list[str], rows: list[list[Any]]) -> str:
    return "\n\n" + "\n".join(markdown_table(headings, rows)) + "\n\n"
