"""What the project knows of its families, and how well two cells learn each: reports/families.md.

reports/families.md, .html, .csv      a row for each family, arch and reference learner
reports/families_regret.png           switching coins: what is lost to the source that knows the coins
reports/families_regression.png       linear regression in context: the error by cycle

A run that is there is not trained again, as everywhere.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learning_to_learn.config import Config
from learning_to_learn.figures import BAYES, GREY, PALETTE, curve_figure, regret_figure, save
from learning_to_learn.jobs.job import run_job
from learning_to_learn.losses import loss_of
from learning_to_learn.paper.reproduce import BAYES as BAYES_OPTIMAL
from learning_to_learn.paper.reproduce import QUICK, reference_errors
from learning_to_learn.randomness import Stream
from learning_to_learn.results.markdown import markdown_table, short, to_html
from learning_to_learn.runs.run_folder import RESULT, Status, read_json, write_atomically
from learning_to_learn.runs.trained import load_run
from learning_to_learn.training.evaluation import errors_on_test_data, metrics_of_errors
from learning_to_learn.training.sequences import held_out

Compose = Callable[..., Config]
Rows = list[dict[str, Any]]
RUNS = Path("runs/families")
ARCHS = ("lstm_forget", "gru")
FAMILIES: dict[str, tuple[str, ...]] = {
    "boolean": (), "boolean_n": (), "semilinear": (), "quadratic": (), "linear_regression": (), "drifting_regression": (),
    "sinusoid": (), "random_network": (), "linear_gaussian": (), "bernoulli": (), "dirichlet": (), "markov": (),
    "switching_bernoulli": (),
}  # fmt: skip
"""Every family that ships, as it is by default."""
BUDGET = ("replicas=4", "logger.mode=disabled")
REGRESSION, COINS = "in_context_regression", "switching_bernoulli"
TENTH = 0.1
"""The part of the no-learning loss that the excess of regression in context is to stay below."""
COLUMNS = (
    "family", "learner", "parameters", "no_learning", "floor", "floor_error", "score", "excess", "excess_error", "successes",
    "replicas", "epochs", "seconds",
)  # fmt: skip


def families(compose: Compose, reports: Path, *, quick: bool = False) -> list[str]:
    """Train and measure what is not yet there, write the report after each family, and return what did not finish."""
    runs, rows, failed = RUNS / "quick" if quick else RUNS, [], []
    reports.mkdir(parents=True, exist_ok=True)
    for family, words in FAMILIES.items():
        for arch in ARCHS:
            folder = _train(compose, runs / f"{family}_{arch}", quick, f"family={family}", f"arch={arch}", *words, *BUDGET)
            if folder is None:
                failed.append(f"{family} {arch}")
                continue
            rows.append(_row(family, arch, read_json(folder / RESULT) or {}))
        rows += _references(family, compose(f"family={family}", *words, *(QUICK if quick else ())))
        _write(rows, reports, None, quick=quick)
    extra: dict[str, Any] = {}
    folder = _train(compose, runs / REGRESSION, quick, f"experiment={REGRESSION}", "logger.mode=disabled")
    if folder is None:
        failed.append(REGRESSION)
    else:
        extra[REGRESSION] = _regression(folder, reports)
    coins = {arch: runs / f"{COINS}_{arch}" for arch in ARCHS if f"{COINS} {arch}" not in failed}
    extra[COINS] = regret(coins, reports) if coins else None
    _write(rows, reports, extra, quick=quick)
    return failed


def _train(compose: Compose, folder: Path, quick: bool, *words: str) -> Path | None:
    config = compose(*words, *(QUICK if quick else ()))
    print(f"{folder.name} ...", flush=True)
    return folder if run_job(config, folder).status is Status.FINISHED else None


def _row(family: str, learner: str, result: dict[str, Any]) -> dict[str, Any]:
    renamed = {"score": "score_median", "excess": "excess_median"}
    return {"family": family, "learner": learner} | {key: result.get(renamed.get(key, key)) for key in COLUMNS[2:]}


def _references(family: str, config: Config) -> Rows:
    """What the other learners reach on the same test data."""
    floor, found = config.family.make(test=True).floor(config.family.length(test=True)), []
    for name, errors in reference_errors(config).items():
        if name == BAYES_OPTIMAL:
            continue
        metrics = metrics_of_errors(config, errors)[0]
        known = {
            "no_learning": floor.no_learning, "floor": floor.floor, "floor_error": floor.floor_error, "score": metrics.score,
            "excess": metrics.excess, "excess_error": metrics.excess_error,
        }  # fmt: skip
        found.append({"family": family, "learner": name} | {key: known.get(key) for key in COLUMNS[2:]})
    return found


def _regression(folder: Path, reports: Path) -> dict[str, Any]:
    """Draw the error by cycle of regression in context, and return what was reached."""
    learner, result = load_run(folder), read_json(folder / RESULT) or {}
    others = {name: errors.curves[0] for name, errors in reference_errors(learner.config).items() if name != BAYES_OPTIMAL}
    best = np.array(learner.config.family.make(test=True).losses(learner.config.family.length(test=True)).values)
    figure = curve_figure(
        errors_on_test_data(learner).curves, best, others=others, no_learning=result["no_learning"],
        title=f"Linear regression in context: {learner.network.describe()}",
    )  # fmt: skip
    save(figure, reports / "families_regression.png")
    return {key: result.get(key) for key in (*COLUMNS[2:5], "score_median", "excess_median", "epochs", "seconds", "replicas")}


def regret(folders: dict[str, Path], reports: Path) -> dict[str, float]:
    """Draw the regret by cycle, and return its end, in nats: of networks, the exact predictor, and counts.

    The regret is the loss so far less that of the source, which knows the coin at every toss: the mean over test sequences.
    """
    curves: dict[str, np.ndarray] = {}
    for arch, folder in folders.items():
        learner = load_run(folder)
        family, data = learner.config.family.make(test=True), held_out(learner.config, Stream.TEST)
        x, y, mappings = data.x[0].double(), data.targets[0].double(), data.mappings[0].double()

        def lost(outputs: torch.Tensor, family: Any = family, y: torch.Tensor = y) -> torch.Tensor:
            return loss_of(outputs.double(), y, family.output, family.loss)

        source = lost(family.known(mappings, x, y))
        # Replica after replica; the median is that of their ends.
        curves[arch] = (torch.stack([lost(one) for one in learner.outputs(data)]) - source).mean(1).cumsum(-1).numpy()
        said = {"exact predictor": family.bayes(mappings, x, y)}
        validation = held_out(learner.config, Stream.VALIDATION)
        pairs = (validation.x[0].double().numpy(), validation.targets[0].double().numpy())
        said |= {name: torch.from_numpy(one(x.numpy(), y.numpy())) for name, one in family.learners(*pairs).items()}
        curves |= {name: (lost(outputs) - source).mean(0, keepdim=True).cumsum(-1).numpy() for name, outputs in said.items()}
    order = [*folders, *(name for name in curves if name not in folders)]
    colours = dict(zip(order, (*PALETTE[: len(order) - 1], GREY), strict=False)) | {"exact predictor": BAYES}
    title = "Switching coins: what is lost to the source that knows the coins"
    save(regret_figure({name: curves[name] for name in order}, colours, title=title), reports / "families_regret.png")
    return {name: float(np.median(curves[name][:, -1])) for name in order}


def _write(rows: Rows, reports: Path, extra: dict[str, Any] | None, *, quick: bool) -> None:
    with (reports / "families.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    text = "\n".join(_text(rows, extra, quick=quick)) + "\n"
    write_atomically(reports / "families.md", text)
    write_atomically(reports / "families.html", to_html(text, reports, title="The families"))


def _text(rows: Rows, extra: dict[str, Any] | None, *, quick: bool) -> list[str]:
    trained = [row for row in rows if row["seconds"] is not None]
    lines = [
        f"# The families{' (QUICK: a small version, which says nothing)' if quick else ''}",
        "",
        "Written by `python -m src.reproduce families`. Two archs as they come, without any tuning, and learners that know the",
        "family's form. How each Bayes predictor was checked stands in docs/families.md. The score is 1 for the Bayes-optimal",
        "learner; the excess is the expected loss above the floor, with its standard error over test sequences.",
        "",
        *markdown_table(
            ["family", "learner", "no learning", "floor", "score", "excess", "success", "seconds"], [_cells(r) for r in rows]
        ),
        "",
        f"Training took {sum(row['seconds'] for row in trained):.0f} s in all.",
    ]
    if extra is None:
        return [*lines, "", "The report is not complete."]
    found = extra.get(REGRESSION)
    if found:
        part = found["excess_median"] / found["no_learning"]
        kept = "within" if part <= TENTH else "**not** within"
        said = (
            f"Five inputs, 40 pairs, noise of 0.1 (`experiment={REGRESSION}`): after {found['epochs']} epochs the median of "
            f"{found['replicas']} replicas has an excess of {short(found['excess_median'])}, which is {part:.1%} of the "
            f"no-learning loss, {kept} a tenth of it. Its score is {found['score_median']:.3f}; {found['seconds']:.0f} s."
        )
        lines += ["", "## Linear regression in context", "", said, "", "![error by cycle](families_regression.png)"]
    if extra.get(COINS):
        said = (
            "The regret is what a learner has lost so far, in nats, beyond the source that knows the coin at every toss. "
            "At the last toss: " + "; ".join(f"{name} {value:.2f}" for name, value in extra[COINS].items()) + "."
        )
        lines += ["", "## Switching coins", "", said, "", "![regret by cycle](families_regret.png)"]
    return lines


def _cells(row: dict[str, Any]) -> Sequence[object]:
    def with_error(value: float | None, error: float | None) -> str:
        return short(value) if value is None or not error else f"{short(value)} ± {error:.1g}"

    success = "–" if row["replicas"] is None else f"{row['successes']}/{row['replicas']}"
    seconds = "–" if row["seconds"] is None else f"{row['seconds']:.0f}"
    score = "–" if row["score"] is None else f"{row['score']:.3f}"
    return (
        row["family"], row["learner"], short(row["no_learning"]), with_error(row["floor"], row["floor_error"]), score,
        with_error(row["excess"], row["excess_error"]), success, seconds,
    )  # fmt: skip
