"""What a verdict says in plain sentences, each made from its tables: no figure stands here."""

from collections.abc import Iterable

import pandas as pd

from learning_to_learn.verdicts.analysis import Findings

PAPER_FAMILIES = ("boolean", "semilinear", "quadratic")
LSTM = "lstm"
PAPER_ARCHS = (LSTM, "elman", "jordan", "pi", "rtrl", "bptt")
"""The topologies of the paper, as they are called in conf/arch/."""
HALF = 0.5
"""The success rate from which a contender mostly succeeds."""
ENOUGH_TO_RANK = 8
"""Contenders from which a rank correlation says something."""
SURE = 0.05
"""The p below which contenders are told apart."""


def conclusions(found: Findings, own: Iterable[str] = ()) -> list[str]:
    """Return sentences: where the contenders stand that are the reader's `own`, then the paper's claims, then the rest."""
    said = [sentence for name in own for sentence in _place(found, name)]
    said += [
        *_only_successful(found),
        *_problems(found),
        *_surprises(found),
        *_cheapest(found),
        *_against(found),
        *_luck(found),
    ]
    return [sentence for sentence in said if sentence]


def _place(found: Findings, name: str) -> list[str]:
    """Say where a contender stands among the others on every problem, and what the tests say of it."""
    said = []
    for problem, rows in found.cells.groupby("problem", sort=False):
        ordered = rows.sort_values("score", ascending=False).reset_index(drop=True)
        if name not in set(ordered["contender"]):
            continue
        at = int(ordered.index[ordered["contender"] == name][0])
        row = ordered.loc[at]
        beside = [f"below {ordered.loc[at - 1, 'contender']}"] if at else []
        beside += [f"above {ordered.loc[at + 1, 'contender']}"] if at + 1 < len(ordered) else []
        said.append(
            f"{name} on {problem}: place {at + 1} of {len(ordered)}{', ' if beside else ''}{' and '.join(beside)}; "
            f"{row['successes']}/{row['seeds']} succeed, score {row['score']:.3f} "
            f"({row['score_low']:.3f} – {row['score_high']:.3f})."
        )
    for row in found.contrasts.to_dict("records"):
        if row["contender"] == name:
            told = "told apart" if row["p_holm"] < SURE else "not told apart"
            said.append(
                f"{name} against {row['against']} over all problems: {row['difference']:+.3f}, {told} (p {row['p_holm']:.2g} "
                f"after Holm's correction)."
            )
    return said


def _cells(found: Findings, problems: list[str] | None = None) -> pd.DataFrame:
    cells = found.cells
    return cells if problems is None else cells[cells["problem"].isin(problems)]


def _always(cells: pd.DataFrame) -> list[str]:
    """The contenders of which every fresh replica succeeds on every one of the problems."""
    whole = cells.groupby("contender", sort=False)
    most = whole.size().max() if len(cells) else 0
    return [str(name) for name, rows in whole if len(rows) == most and (rows["successes"] == rows["seeds"]).all()]


def _only_successful(found: Findings) -> list[str]:
    """Test what the paper says of the LSTM on its families: that it is the only fully successful topology."""
    problems = [p for p in found.cells["problem"].unique() if p in PAPER_FAMILIES]
    if not problems:
        return []
    cells = _cells(found, problems)
    said = []
    mine = cells[cells["contender"].isin(PAPER_ARCHS)]
    if mine["contender"].nunique() > 1:
        said.append(
            '"The only fully successful topology was the LSTM". '
            f"Of the paper's topologies ({_listed(mine['contender'].unique())}), each tuned with the same budget: "
            f"{_holds(_always(mine), mine, problems)}"
        )
        for problem in problems:
            rows = mine[mine["problem"] == problem]
            said.append(f"On {problem}: {_rates(rows)}.")
    others = cells[~cells["contender"].isin(PAPER_ARCHS)]
    if others["contender"].nunique() > 0:
        said.append(f"Of the later cells {_fully(_always(others))} with every fresh replica on all of {_listed(problems)}.")
    return said


def _holds(always: list[str], cells: pd.DataFrame, problems: list[str]) -> str:
    """Say whether the LSTM is the only one, and where nobody always succeeds, who does so most often."""
    where = f"with every fresh replica on all of {_listed(problems)}"
    if always:
        return f"{'it holds' if always == [LSTM] else 'it does not hold'}. {_fully(always)} {where}."
    counts = cells.groupby("contender", sort=False)[["successes", "seeds"]].sum().sort_values("successes", ascending=False)
    most = counts.iloc[0]
    often = f"{counts.index[0]}, {most['successes']}/{most['seeds']}"
    return f"it does not hold as it stands. None succeeds {where}; the most often {often}."


def _fully(names: list[str]) -> str:
    return "none succeeds" if not names else f"{names[0]} succeeds" if len(names) == 1 else f"{_listed(names)} succeed"


def _rates(rows: pd.DataFrame) -> str:
    ordered = rows.sort_values(["successes", "score"], ascending=False)
    each = ordered.to_dict("records")
    return "; ".join(f"{row['contender']} {row['successes']}/{row['seeds']} (score {row['score']:.3f})" for row in each)


def _problems(found: Findings) -> list[str]:
    """What is easy, and what nobody learns."""
    said = []
    for problem, rows in found.cells.groupby("problem", sort=False):
        good = rows[rows["success_rate"] >= HALF].sort_values("score", ascending=False)
        best = rows.sort_values("score", ascending=False).iloc[0]
        count = f"{len(good)} of {len(rows)} contenders mostly succeed"
        interval = f"{best['score_low']:.3f} – {best['score_high']:.3f}"
        top = f"the highest score is {best['contender']}'s, {best['score']:.3f} ({interval})"
        said.append(f"{problem}: {count}{': ' + _listed(good['contender']) if len(good) else ''}; {top}.")
    return said


def _surprises(found: Findings) -> list[str]:
    """Where other topologies of the paper than the LSTM mostly succeed, and how little one problem says of another."""
    said = []
    cells = found.cells
    plain = cells[cells["contender"].isin(PAPER_ARCHS) & (cells["contender"] != LSTM) & (cells["success_rate"] >= HALF)]
    for problem, rows in plain.groupby("problem", sort=False):
        each = ", ".join(f"{row['contender']} {row['successes']}/{row['seeds']}" for row in rows.to_dict("records"))
        said.append(
            f"Of the topologies that were not fully successful in the paper, these mostly succeed on {problem}: {each}."
        )
    scores = cells.pivot_table(index="contender", columns="problem", values="score", sort=False).dropna()
    if len(scores) >= ENOUGH_TO_RANK and len(scores.columns) > 1:
        ranks = scores.rank().corr()
        pairs = {(a, b): ranks.loc[a, b] for i, a in enumerate(ranks) for b in list(ranks)[i + 1 :]}
        (a, b), least = min(pairs.items(), key=lambda pair: pair[1])
        said.append(f"Being good at one problem says least of another at {a} and {b}: rank correlation {least:.2f}.")
    return said


def _cheapest(found: Findings) -> list[str]:
    """The contender of the least seconds that always, or mostly, succeeds on a problem."""
    said = []
    for problem, rows in found.cells.groupby("problem", sort=False):
        always = rows[rows["successes"] == rows["seeds"]].sort_values("seconds")
        if len(always):
            one = always.iloc[0]
            said.append(
                f"{problem}: the fastest to train of which every replica succeeds is {one['contender']}, "
                f"{one['seconds']:.2g} s a replica."
            )
    return said


def _against(found: Findings) -> list[str]:
    """Whom the tests tell apart."""
    if not len(found.contrasts):
        return []
    told = found.contrasts[found.contrasts["p_holm"] < SURE]
    against = _listed(found.contrasts["against"].unique())
    above, below = (told[sign * told["difference"] > 0].sort_values("difference", ascending=False) for sign in (1, -1))
    shown = [f"{r['contender']} by {r['difference']:+.3f}" for r in above.to_dict("records")]
    more = f": {_listed(shown)}" if shown else ""
    told_apart = f"{len(above)} of {len(found.contrasts)} contenders score significantly above {against}{more}"
    return [f"Over all problems {told_apart}; {len(below)} below it."]


def _luck(found: Findings) -> list[str]:
    """How much the draw of the settings matters."""
    cells = found.cells
    spread = (cells["redrawn_high"] - cells["redrawn_low"]).sort_values(ascending=False)
    widest = cells.loc[spread.index[0]]
    usual = f"Drawing the random settings anew moves a score by {spread.median():.2f} in the median cell (95 % range)"
    most = f"most where {widest['contender']} learns {widest['problem']}, by {spread.iloc[0]:.2f}"
    return [f"{usual}, and {most}: between two reports a difference of that size says nothing."]


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))
