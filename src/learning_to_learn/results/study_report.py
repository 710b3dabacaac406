"""Answer studies in a sentence, a table and a picture, made from the table of their replicas alone.

reports/studies/<name>.csv    the table of a study, a row for every replica
reports/studies/<name>.png    the scores of its replicas
reports/studies.md, .html     all questions and answers
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learning_to_learn.results.markdown import markdown_table, to_html
from learning_to_learn.results.statistics import interquartile_interval, interquartile_mean
from learning_to_learn.results.studies import FRESH, QUICK, Start, Study, choose_settings, run_study, studies
from learning_to_learn.results.table import Job
from learning_to_learn.runs.run_folder import write_atomically
from learning_to_learn.training.metrics import SUCCESS, success_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

REPORTS, RUNS = Path("reports"), Path("runs/studies")
INTRODUCTION = """\
# {title}

Written by `make studies`. *Score* runs from 0, no learning, to 1, the Bayes-optimal learner; a replica succeeds from {success}.
A cell shows how many replicas succeed with Wilson's interval, and the interquartile mean of the scores with its bootstrap
interval, both at 95 %. Two cells are told apart where the intervals of their scores do not overlap. Where cells have a setting
of their own, it was chosen on other seeds and other data; all figures are those of fresh seeds. Seconds are those of the clock,
summed over jobs: jobs that share their cores with others take longer.
"""


def answer_studies(asked: Iterable[Study], start: Start, words: Sequence[str] = (), *, quick: bool = False) -> list[Job]:
    """Run studies, or what is left of them, and write reports/studies.*; return the jobs that are not in it.

    `words` are further overrides of all jobs. The report keeps what it says of other studies. It is written after every study,
    so that it is there even where a later one is interrupted.
    """
    from learning_to_learn.figures import save

    folder, runs = (REPORTS / "quick", RUNS / "quick") if quick else (REPORTS, RUNS)
    unfinished = []
    for study in asked:
        frame, left = run_study(study, start, runs / study.name, [*(QUICK if quick else ()), *words])
        unfinished += left
        save(picture(study, frame), folder / "studies" / f"{study.name}.png")
        write_atomically(folder / "studies" / f"{study.name}.csv", frame.to_csv(index=False, float_format="%.5g"))
        text = report(folder, title="What the studies find" + (" (QUICK: small, and says nothing)" if quick else ""))
        write_atomically(folder / "studies.md", text)
        write_atomically(folder / "studies.html", to_html(text, folder, title="Studies"))
    return unfinished


def read_table(folder: Path, study: Study) -> "pd.DataFrame":
    """Return the table of a study that has been written under a folder of reports."""
    import pandas as pd

    text = dict.fromkeys(["group", "cell", "setting"], str)
    return pd.read_csv(folder / "studies" / f"{study.name}.csv", dtype=text).fillna(dict.fromkeys(text, ""))


def report(folder: Path, *, title: str) -> str:
    """Return the Markdown of all studies whose tables lie in a folder of reports."""
    lines = INTRODUCTION.format(title=title, success=SUCCESS).splitlines()
    missing = []
    for study in studies().values():
        if (folder / "studies" / f"{study.name}.csv").exists():
            lines += section(study, read_table(folder, study))
        else:
            missing.append(f"- {study.name}: {study.question}")
    if missing:
        lines += ["", "## Not yet run", "", *missing]
    return "\n".join(lines) + "\n"


def section(study: Study, frame: "pd.DataFrame") -> list[str]:
    """Return the lines of a study: question, answer, table, picture, command and seconds."""
    found = cells(frame)
    tuning = len(frame) - sum(cell.replicas for cell in found)
    count = f"{len(frame) - tuning} replicas" + (f" and {tuning} of tuning" if tuning else "")
    return [
        "", f"## {study.name}", "", study.question, "", f"**{answer(study, found)}**", "", *table(found), "",
        f"![{study.name}](studies/{study.name}.png)", "",
        f"`python -m src.studies {study.name}`: {count}, {frame['seconds'].sum():.0f} s of training.",
    ]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What the replicas of one value reach, in one group."""

    group: str
    name: str
    setting: str
    """What it chose for itself; empty where nothing is tuned."""
    successes: int
    replicas: int
    score: float
    """The interquartile mean of the replicas' scores."""
    low: float
    """The lower end of its 95 % bootstrap interval."""
    high: float

    @property
    def rate(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success rate."""
        return success_interval(self.successes, self.replicas)

    def __str__(self) -> str:
        return f"{self.name} ({self.successes}/{self.replicas}, {self.score:.3f})"


def cells(frame: "pd.DataFrame") -> list[Cell]:
    """Return the cells of a study's table, group after group, in the order of the sweep."""
    chosen = choose_settings(frame)
    fresh = frame[frame["phase"] == FRESH].fillna({"score": 0.0})
    found = []
    for (group, name), rows in fresh.groupby(["group", "cell"], sort=False):
        scores = rows["score"].to_numpy()[:, None]
        low, high = interquartile_interval(scores)
        found.append(
            Cell(str(group), str(name), chosen.get((group, name), ""), int(rows["success"].sum()), len(rows),
                 interquartile_mean(scores), low, high)
        )  # fmt: skip
    groups, order = list(frame["group"].unique()), list(zip(frame["group"], frame["cell"], strict=True))
    return sorted(found, key=lambda cell: (groups.index(cell.group), order.index((cell.group, cell.name))))


def answer(study: Study, found: list[Cell]) -> str:
    """Return the answer to a study's question in one sentence."""
    groups: dict[str, list[Cell]] = {}
    for cell in found:
        groups.setdefault(cell.group, []).append(cell)
    parts = [(f"{group}: " if group else "") + ANSWERS[study.answer](members) for group, members in groups.items()]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _best(members: list[Cell]) -> str:
    """The cell with the highest score, those that cannot be told apart from it, and those that can."""
    best = max(members, key=lambda cell: cell.score)
    near = [cell for cell in members if cell is not best and cell.high >= best.low]
    far = [cell for cell in members if cell is not best and cell.high < best.low]
    text = f"{best} scores highest"
    if near:
        text += f", not told apart from {_listed(near)}"
    return text + (f", above {_listed(far)}" if far else "")


def _least(members: list[Cell]) -> str:
    """The first cell, in the order of the sweep, of which most replicas succeed."""
    for cell in members:
        if 2 * cell.successes > cell.replicas:
            return f"{cell} is the least of which most replicas succeed"
    best = max(members, key=lambda cell: (cell.successes, cell.score))
    return f"of none do most replicas succeed, at best of {best}"


def _necessary(members: list[Cell]) -> str:
    """Each variant's verdict against the first cell, which is the whole."""
    whole, *variants = members
    verdicts: dict[str, list[Cell]] = {}
    for cell in variants:
        verdicts.setdefault(verdict(whole, cell), []).append(cell)
    return f"beside {whole}, " + ", ".join(f"{kind}: {_listed(those)}" for kind, those in verdicts.items())


def verdict(whole: Cell, variant: Cell) -> str:
    """Return "necessary" where the variant succeeds less often than the whole, "helps" where it only scores lower.

    Both are claimed only where the 95 % intervals, Wilson's and the bootstrap's, do not overlap. Where the whole succeeds in
    less than half of its replicas nothing can be said of what success needs.
    """
    if 2 * whole.successes < whole.replicas:
        return "the whole fails itself"
    if variant.rate[1] < whole.rate[0]:
        return "necessary"
    return "helps" if variant.high < whole.low else "not necessary"


ANSWERS: dict[str, Callable[[list[Cell]], str]] = {"best": _best, "least": _least, "necessary": _necessary}


def _listed(members: list[Cell]) -> str:
    return ", ".join(map(str, members))


def table(found: list[Cell]) -> list[str]:
    """Return the lines of a Markdown table of cells."""
    grouped, tuned = any(cell.group for cell in found), any(cell.setting for cell in found)
    headings = [*(["for"] if grouped else []), "what", *(["its own setting"] if tuned else []), "success", "Wilson 95 %",
                "score", "bootstrap 95 %"]  # fmt: skip
    return markdown_table(headings, [
        [*([cell.group] if grouped else []), cell.name, *([cell.setting] if tuned else []), f"{cell.successes}/{cell.replicas}",
         "{:.2f} – {:.2f}".format(*cell.rate), f"{cell.score:.3f}", f"{cell.low:.3f} – {cell.high:.3f}"]
        for cell in found
    ])  # fmt: skip


def picture(study: Study, frame: "pd.DataFrame") -> "Figure":
    """Draw the score of every replica, a row for each cell."""
    from learning_to_learn.figures import scores_figure

    fresh = {key: rows["score"].to_numpy() for key, rows in frame[frame["phase"] == FRESH].groupby(["group", "cell"])}
    scores = {f"{cell.group} {cell.name}".strip(): fresh[cell.group, cell.name] for cell in cells(frame)}
    return scores_figure(scores, threshold=SUCCESS, title=f"{study.name}: learning score of every replica")
