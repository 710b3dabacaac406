"""The report of a verdict.

reports/<name>.md, .html            what was found
reports/<name>.csv                  a row for every contender and problem
reports/<name>/replicas.csv.gz      a row for every replica, of tuning too: all of the report is made from these
reports/<name>/record.json          the settings, versions and kernels that they were trained with
reports/<name>/verdict_page.json    the same for the dashboard, which shows it of this folder and of runs/verdict
reports/<name>/*.png                pictures
"""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learning_to_learn.results.markdown import escaped, markdown_table, short, to_html
from learning_to_learn.runs.monitor import duration
from learning_to_learn.runs.run_folder import read_json, write_atomically, write_json
from learning_to_learn.runs.varying import typed
from learning_to_learn.training.metrics import SUCCESS
from learning_to_learn.verdicts.analysis import COSTS, Findings
from learning_to_learn.verdicts.cells import TUNING, versions
from learning_to_learn.verdicts.conclusions import conclusions
from learning_to_learn.verdicts.cost import Budgeted
from learning_to_learn.verdicts.page_data import PAGE, page_of
from learning_to_learn.verdicts.pictures import draw_pictures
from learning_to_learn.verdicts.store import REPLICAS, REPORT, record_of

INTRODUCTION = """\
*Score* runs from 0, no learning (below counts as 0), to 1, the Bayes-optimal learner; a replica succeeds from {success}. Every
contender had the same number of random settings, the k-th one the same for all, each trained at full length on tuning seeds.
The best one on validation data was trained again with {fresh} fresh seeds, and measured on test data that tuning has not
touched. All intervals are at 95 %: Wilson's of the successes, a bootstrap over seeds within problems of the interquartile mean
of the scores. *Excess* is the expected error above the Bayes-optimal learner's (interquartile mean). The floor is an
expectation, too: luck of the test data can carry a score a little past 1, but no excess below 0.
"""
CONTRASTS = (
    "The difference of the mean scores over seeds and problems, with the p of a permutation test that swaps the scores of a "
    "seed in all problems together. P(better): a replica of the one scores above one of the other, on a problem of these. "
    "Sooner: log-rank test of the epochs to success, problems as strata. Last column: how often the contender is better where "
    "the random settings are drawn anew from those that were tried."
)
TUNED = (
    "The expected best score on validation data after so many random settings, with the exact 95 % band of the whole curve; "
    "and the range of what tuning replicas score on test data where the settings are drawn anew."
)


def write_report(
    found: Findings,
    chosen: Budgeted,
    path: Path,
    *,
    command: str,
    estimated: float | None = None,
    took: float | None = None,
    failed: Mapping[str, str] | None = None,
) -> None:
    """Write the report and what belongs to it."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    rows = found.rows.drop(columns=["contender", "problem"])
    rows.to_csv(folder / REPLICAS, index=False, compression={"method": "gzip", "mtime": 0})
    cells = {cell.digest: record_of(cell) for cell in chosen.cells if cell.digest in set(rows["cell"])}
    protocol = found.protocol
    calls = _calls(folder / REPORT, command)
    if estimated and took:
        calls.append({"took": took, "estimated": estimated})
    write_json(folder / REPORT, {
        "cells": cells, "versions": versions(), "machine": machine(), "command": command, "plan": asdict(chosen.plan),
        "tuning": dict(protocol.tuning), "fresh": dict(protocol.fresh),
        "draw": {key: str(draw) for key, draw in protocol.draw.items()}, "calls": calls,
    })  # fmt: skip
    pictures = draw_pictures(found, folder)
    write_json(folder / PAGE, page_of(found, _answer_text(found)))
    write_atomically(path.with_suffix(".csv"), found.cells.to_csv(index=False, float_format="%.5g"))
    text = "\n".join(_lines(found, chosen, pictures, folder.name, command, calls, failed or {})) + "\n"
    write_atomically(path, text)
    write_atomically(path.with_suffix(".html"), to_html(text, path.parent, title=found.protocol.question or "Verdict"))


def _calls(record: Path, command: str) -> list[dict[str, Any]]:
    """Return what earlier calls of the same command took that trained something, with their estimates, in seconds."""
    before = read_json(record) or {}
    if before.get("command") != command or not isinstance(before.get("calls"), list):
        return []
    calls = [{key: call.get(key) for key in ("took", "estimated")} for call in before["calls"] if isinstance(call, dict)]
    return [call for call in calls if all(map(_is_time, call.values()))]


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def machine() -> dict[str, str]:
    """Return what of a machine results may depend on, to the bit."""
    import llvmlite.binding

    return {"system": platform.system(), "machine": platform.machine(), "processor": llvmlite.binding.get_host_cpu_name()}


def _lines(
    found: Findings, chosen: Budgeted, pictures: Mapping[str, str], folder: str, command: str,
    calls: Sequence[Mapping[str, float]], failed: Mapping[str, str],
) -> list[str]:  # fmt: skip
    title = escaped(found.protocol.question or "Verdict")
    lines = [f"# {title}", "", f"Written by `{command}`: {chosen.plan}.", "", *_introduction(chosen)]
    if found.warning:
        lines += ["", f"**Warning: {found.warning}.**"]
    if failed:
        lines += ["", f"**Not in it, because jobs have failed: {escaped('; '.join(failed))}.**"]
    lines += [
        "",
        f"**{escaped(_answer_text(found))}**",
        "",
        "## In plain words",
        "",
        *(f"- {escaped(sentence)}" for sentence in conclusions(found, [one.label for one in found.protocol.own])),
        "",
        "## Over all problems",
        "",
        *_contenders(found),
    ]
    if len(found.contrasts):
        lines += ["", f"## Against {escaped(', '.join(dict.fromkeys(found.contrasts['against'])))}", "", *_contrasts(found)]
    lines += ["", "## Problem by problem", "", *_matrix(found), "", "## How hard they are to tune", "", *_tuning(found)]
    for name, caption in pictures.items():
        lines += ["", f"![{caption}]({folder}/{name})", "", f"{caption}."]
    return [*lines, "", "## How it was made", "", *_made(found, calls)]


def _introduction(chosen: Budgeted) -> list[str]:
    return INTRODUCTION.format(success=SUCCESS, fresh=chosen.plan.fresh).splitlines()


def _answer_text(found: Findings) -> str:
    """In a sentence or two: who scores highest, and who differs from the one that is tested against."""
    best = found.contenders.iloc[0]
    text = f"{best['contender']} scores highest ({best['mean_score']:.3f} in the mean, "
    text += f"{best['successes']} of {best['replicas']} succeed)"
    if len(found.contrasts):
        told = found.contrasts[found.contrasts["p_holm"] < 0.05]
        against = ", ".join(dict.fromkeys(found.contrasts["against"]))
        above, below = (list(told[sign * told["difference"] > 0]["contender"]) for sign in (1, -1))
        text += f". Above {against}: {', '.join(above) or 'none'}. Below: {', '.join(below) or 'none'}. Not told apart: "
        text += ", ".join(c for c in found.contrasts["contender"] if c not in (*above, *below)) or "none"
    return f"{text}."


def _contenders(found: Findings) -> list[str]:
    headings = ["", "score", "95 %", "mean score", "succeed", *(c.replace("_", " ") for c in COSTS), "seconds a replica"]
    rows = []
    for row in found.contenders.to_dict("records"):
        costs = [f"{'**' if row[f'frontier_{c}'] else ''}{short(row[c])}{'**' if row[f'frontier_{c}'] else ''}"
                 for c in (*COSTS, "seconds")]  # fmt: skip
        rows.append([escaped(row["contender"]), f"{row['score']:.3f}", f"{row['score_low']:.3f} – {row['score_high']:.3f}",
                     f"{row['mean_score']:.3f}", f"{row['successes']}/{row['replicas']}", *costs])  # fmt: skip
    return [*markdown_table(headings, rows), "", "Bold: nobody reaches a higher mean score at that cost."]


def _contrasts(found: Findings) -> list[str]:
    headings = ["", "difference", "p", "p (Holm)", "P(better)", "95 %", "sooner: p (Holm)", "better, settings redrawn"]
    rows = [
        [escaped(row["contender"]), f"{row['difference']:+.3f}", f"{row['p']:.2g}", f"{row['p_holm']:.2g}",
         f"{row['better']:.2f}", f"{row['better_low']:.2f} – {row['better_high']:.2f}", f"{row['sooner_p_holm']:.2g}",
         f"{row['better_redrawn']:.0%}"]
        for row in found.contrasts.to_dict("records")
    ]  # fmt: skip
    return [
        *markdown_table(headings, rows), "",
        CONTRASTS,
    ]  # fmt: skip


def _matrix(found: Findings) -> list[str]:
    problems, table = list(found.cells["problem"].unique()), found.cells.set_index(["contender", "problem"])

    def cell(name: str, problem: str) -> str:
        if (name, problem) not in table.index:
            return "–"
        row: Any = table.loc[(name, problem)]
        return (
            f"**{row['successes']}/{row['seeds']}** ({row['success_low']:.2f} – {row['success_high']:.2f}), {row['score']:.3f} "
            f"({row['score_low']:.3f} – {row['score_high']:.3f}), {short(row['excess'])}"
        )

    rows = [[escaped(name), *(cell(name, problem) for problem in problems)] for name in found.contenders["contender"]]
    return ["Successes (Wilson), score (bootstrap), excess:", "", *markdown_table(["", *map(escaped, problems)], rows)]


def _tuning(found: Findings) -> list[str]:
    count = int(found.cells["settings"].max())
    headings = ["", "problem", "best of 2", f"best of {count}", "band", "score where settings are redrawn", "chosen"]
    rows = [
        [escaped(row["contender"]), escaped(row["problem"]), f"{row['tuning_after_2']:.2f}", f"{row['tuning_expected']:.2f}",
         f"{row['tuning_low']:.2f} – {row['tuning_high']:.2f}", f"{row['redrawn_low']:.2f} – {row['redrawn_high']:.2f}",
         escaped(row["setting"])]
        for row in found.cells.to_dict("records")
    ]  # fmt: skip
    return [
        TUNED,
        "", *markdown_table(headings, rows),
    ]  # fmt: skip


def _made(found: Findings, calls: Sequence[Mapping[str, float]]) -> list[str]:
    protocol, here = found.protocol, machine()
    tuning = int((found.rows["phase"] == TUNING).sum())
    lines = [
        f"- {len(found.rows) - tuning} fresh replicas and {tuning} of tuning, {found.rows['seconds'].sum():.0f} s of training",
        *(f"- `{key}`: {draw}" for key, draw in protocol.draw.items()),
        *(f"- `{key}={typed(value)}` for all" for key, value in protocol.settings.items()),
        f"- {', '.join(f'{name} {number}' for name, number in versions().items())}; {here['processor']}, {here['system']}",
    ]
    lines += [
        f"- a call that trained: {duration(call['took'])}, estimated {duration(call['estimated'])} beforehand" for call in calls
    ]
    return lines
