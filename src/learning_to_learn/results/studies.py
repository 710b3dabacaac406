"""Run the studies of sweeps/ and answer their questions from what their replicas reach.

A study is a file of sweeps/ whose comment is the question. Its key `study` says how the sweep answers it:

    study:
      compare: [arch]             the swept keys whose values are compared
      for_each: [family]          the swept keys for whose values the question is asked anew
      tune: [optimizer.lr]        the swept keys whose best value every cell chooses for itself, on tuning seeds
      fresh: [seed=0]             what is changed when the cells are trained again at the values they chose
      answer: best                what the answer says: `best`, `least` (the first that succeeds) or `necessary`
      labels: {"[6, 9]": XOR}     names for values, where the values do not speak for themselves

A study without `tune` runs its sweep once. One with `tune` runs the sweep on tuning seeds, chooses, and trains each cell with
fresh ones. Everything that a report says is made from one table, a row for every replica, which is written beside it.
"""

import ast
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from learning_to_learn.composing import SWEEPS, quoted
from learning_to_learn.errors import UserError, choose, unknown
from learning_to_learn.results.aggregate import replicas
from learning_to_learn.results.table import Job, find_jobs
from learning_to_learn.runs.run_folder import DONE

if TYPE_CHECKING:
    import pandas as pd

Start = Callable[[list[str]], object]
"""Runs the sweep that command-line arguments say."""
QUICK = ("trainer.epochs=20", "trainer.evaluate_every=10", "replicas=2", "evaluation.mappings=64", "logger.mode=disabled")
COLUMNS = ["study", "phase", "group", "cell", "setting", "seed", "success", "score", "mse", "seconds"]
TUNING, FRESH = "tuning", "fresh"


@dataclass(frozen=True)
class Study:
    """A question, and the swept keys that answer it."""

    name: str
    question: str
    params: dict[str, str]
    """The swept keys and their values, as `hydra.sweeper.params` has them."""
    compare: tuple[str, ...]
    for_each: tuple[str, ...] = ()
    tune: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    answer: str = "best"
    labels: dict[str, str] = field(default_factory=dict)

    def label(self, keys: Sequence[str], settings: dict[str, Any]) -> str:
        """Return what a job's values of some keys are called, such as "24 neuron, epochs=400"."""
        values = {key: _value(settings, key) for key in keys}
        return ", ".join(self.labels.get(str(value)) or _name(key, value) for key, value in values.items())


def load_study(name: str) -> Study:
    """Return the study of that name. Raises UserError where there is none, or where it does not say how it is answered."""
    return choose("study", name, studies())


def studies() -> dict[str, Study]:
    """Return every study of sweeps/ that says how it is answered, by name. Raises UserError where one says it wrongly."""
    found = {}
    for path in sorted(SWEEPS.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        read = yaml.safe_load(text)
        if "study" in read:
            comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines()[1:])
            question = " ".join(line.removeprefix("#").strip() for line in comment)
            found[path.stem] = _study(path, question, read["hydra"]["sweeper"]["params"], read["study"])
    return found


def _study(path: Path, question: str, params: dict[str, str], said: dict[str, Any]) -> Study:
    """Return the study that a file's key `study` describes. Raises UserError where it does not fit the sweep."""
    allowed = ("compare", "for_each", "tune", "fresh", "answer", "labels")
    for key in said:
        if key not in allowed:
            raise unknown(f"key of study in {path}", key, allowed)
    how: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    study = Study(path.stem, question, params, **{"compare": (), **how})
    named = [*study.compare, *study.for_each, *study.tune]
    if not study.compare or sorted(named) != sorted(params):
        raise UserError(f"{path}: compare, for_each and tune name {', '.join(named)}; the sweep is over {', '.join(params)}")
    return study


def run_study(study: Study, start: Start, folder: Path, words: Sequence[str] = ()) -> tuple["pd.DataFrame", list[Job]]:
    """Run a study, or what is left of it, in a folder; return its table and the jobs that are not in it.

    `words` are further overrides of all its jobs. The table has a row for every replica and the columns COLUMNS. Raises
    UserError where no job is finished.
    """
    import pandas as pd

    first, second = folder / TUNING if study.tune else folder, folder / FRESH
    first.mkdir(parents=True, exist_ok=True)
    start([f"sweep={study.name}", *words, f"hydra.sweep.dir={quoted(first)}"])
    jobs = find_jobs(first)
    frame = _table(study, jobs, TUNING if study.tune else FRESH)
    if not study.tune:
        return frame, [job for job in jobs if job.status not in DONE]
    rest = [word for word in words if word.split("=")[0] not in study.params]
    for place, chosen in fresh_sweeps(study, frame, jobs).items():
        (second / place).mkdir(parents=True, exist_ok=True)
        start([f"sweep={study.name}", *study.fresh, *rest, *chosen, f"hydra.sweep.dir={quoted(second / place)}"])
    best = choose_settings(frame)
    fresh = _table(study, find_jobs(second), FRESH)
    # The folder may hold what an earlier tuning chose.
    fresh = fresh[[best.get((row.group, row.cell)) == row.setting for row in fresh.itertuples()]]
    left = [job for job in [*jobs, *find_jobs(second)] if job.status not in DONE]
    return pd.concat([frame, fresh], ignore_index=True), left


def fresh_sweeps(study: Study, frame: "pd.DataFrame", jobs: list[Job]) -> dict[str, list[str]]:
    """Return the overrides of the sweeps that train every cell at its best setting, by the name of their folders.

    Cells that differ in the first compared key only, and chose the same setting, are one sweep, so that a launcher can run them
    side by side.
    """
    best = choose_settings(frame)
    found: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        cell = (study.label(study.for_each, job.settings), study.label(study.compare, job.settings))
        if best.get(cell) == study.label(study.tune, job.settings):
            del best[cell]
            words = {word.split("=")[0]: word for word in job.overrides if word.split("=")[0] in study.params}
            apart = words.pop(study.compare[0])
            found.setdefault(tuple(words.values()), []).append(apart)
    return {_folder_name(shared): [*shared, _joined(apart)] for shared, apart in found.items()}


def _folder_name(words: Sequence[str]) -> str:
    """("family=boolean", "optimizer.lr=0.01") as "boolean_0.01"."""
    return "_".join(re.sub(r"[^\w.]+", "_", word.split("=", 1)[1]).strip("_") for word in words) or "all"


def _joined(words: Sequence[str]) -> str:
    """("key=a", "key=b") as "key=a,b"."""
    return f"{words[0].split('=')[0]}={','.join(word.split('=', 1)[1] for word in words)}"


def choose_settings(frame: "pd.DataFrame") -> dict[tuple[str, str], str]:
    """Return the setting with the most successes, then the highest mean score, of every (group, cell) of the tuning rows."""
    rows = frame[frame["phase"] == TUNING].assign(score=lambda f: f["score"].fillna(0).clip(lower=0))
    means = rows.groupby(["group", "cell", "setting"], sort=False)[["success", "score"]].mean()
    best = means.sort_values(["success", "score"], ascending=False, kind="stable").reset_index()
    return {(row.group, row.cell): row.setting for row in best.drop_duplicates(["group", "cell"]).itertuples()}


def _table(study: Study, jobs: list[Job], phase: str) -> "pd.DataFrame":
    frame = replicas(jobs)
    if frame.empty:
        raise UserError(f"no job of the study {study.name} is finished")
    settings = {str(job.folder): job.settings for job in jobs}
    for column, keys in (("group", study.for_each), ("cell", study.compare), ("setting", study.tune)):
        frame[column] = [study.label(keys, settings[run]) for run in frame["run"]]
    return frame.assign(study=study.name, phase=phase)[COLUMNS]


def _value(settings: dict[str, Any], key: str) -> Any:
    """Return a job's value of a key. A group is called by its option's name, a table by what it holds."""
    if f"{key}.name" in settings:
        return settings[f"{key}.name"]
    inner = {k.removeprefix(f"{key}."): v for k, v in settings.items() if k.startswith(f"{key}.")}
    return inner or settings.get(key)


def _name(key: str, value: Any) -> str:
    """A value as one would say it: layers as their units, a name as itself, anything else with its key."""
    if isinstance(value, str) and value.startswith("[{"):
        value = ast.literal_eval(value)
    if isinstance(value, list) and value and all(isinstance(layer, dict) for layer in value):
        return "; ".join(" + ".join(f"{count} {unit}" for unit, count in layer.items()) for layer in value)
    if isinstance(value, str):
        return value
    return f"{key.rsplit('.', maxsplit=1)[-1]}={f'{value:g}' if isinstance(value, float) else value}"
