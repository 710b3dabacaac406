"""The paper's Table 1 and Figure 3.

Trains what conf/experiment/ says, in runs/<name>/, where a run that was stopped goes on and a finished one is not run again,
and writes reports/; `quick` trains a small version into folders of its own.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from learning_to_learn.config import Config
from learning_to_learn.figures import curve_figure, save, stream_figure
from learning_to_learn.jobs.evaluation_files import draw_pictures, write_evaluation
from learning_to_learn.jobs.job import run_job
from learning_to_learn.paper.table1 import (
    BEST,
    FULL,
    PUBLISHED,
    TRUNCATED,
    Ablation,
    Probed,
    Published,
    Row,
    Table1,
    write_table1,
)
from learning_to_learn.randomness import Stream
from learning_to_learn.results.probe import probe
from learning_to_learn.runs.run_folder import EPOCH, METRICS, RESULT, TRAIN_MSE, VALIDATION_MSE, Status, read_json, read_rows
from learning_to_learn.runs.trained import load_run
from learning_to_learn.training.baselines import reference_learners
from learning_to_learn.training.evaluation import Evaluation, errors_of, evaluate, metrics_of_errors, stream_errors
from learning_to_learn.training.excess import Errors, bayes_outputs
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import Sequences, held_out

REPORTS = Path("reports")
Compose = Callable[..., Config]
QUICK = ("trainer.epochs=40", "trainer.evaluate_every=10", "replicas=2", "evaluation.mappings=64", "logger.mode=disabled")


TABLE1 = {
    "boolean": Published("Boolean", 256, 800, 0.0058, 10),
    "semilinear64": Published("Semi-linear", 64, 10_000, 0.0008, 10),
    "semilinear1000": Published("Semi-linear", 1000, 5000, 0.0025, 50),
    "quadratic": Published("Quadratic", 100, 25_000, 0.00068, 35),
    "quadratic_per_mapping": Published("Quadratic", 100, 25_000, 0.00068, 35),
}
VARIANTS = {PUBLISHED: "_published", TRUNCATED: "_truncated", FULL: "", BEST: "_best"}
ABLATED = ("table1_boolean_fifth", "table1_semilinear1000_fifth")
ABLATIONS = {
    "as it is": (),
    "no curriculum": ("trainer.curriculum=[]",),
    "constant learning rate": ("optimizer.schedule=constant",),
    "constant rate, weights averaged": ("optimizer.schedule=constant", "trainer.average=0.995"),
    "weights averaged": ("trainer.average=0.995",),
    "batches of 20": ("trainer.batch=20",),
    "steps along the gradients' axes (soap)": ("optimizer=soap",),
    "input gates start open": ("arch.bias={input_gate: 1.0}",),
    "gradient truncated as in 1997": ("arch.gradient=truncated",),
}
"""What each help is worth: one change at a time."""
ABLATION = ("replicas=8", "seed=100", "logger.mode=disabled")
CORPUS = "table1_boolean_published"
CORPORA = {
    "16 sequences": ("trainer.sequences=16", "trainer.epochs=5000", "trainer.evaluate_every=125"),
    "100 sequences, as published": (),
    "1000 sequences": ("trainer.sequences=1000", "trainer.epochs=80", "trainer.evaluate_every=2"),
    "new sequences all the time": ("family.corpus=fresh",),
    "100 sequences, a change after every cycle": (
        "arch.update_every=1", "optimizer.lr=0.001", "trainer.epochs=16", "trainer.evaluate_every=4",
    ),
    "100 sequences, logistic neurons": ("arch.layers=[{memory_cell: 6, logistic: 6}]",),
    "100 sequences, gates are sources": ("arch.layers=[{heard_gates_cell: 6, neuron: 6}]",),
}  # fmt: skip
"""The Boolean row as published, with another corpus and as many updates on sequences, or with another reading of the text."""
ADAM = "table1_boolean_published_adam"
OF_ADAM = {"100 sequences, Adam": ("family.corpus=fixed",), "new sequences all the time, Adam": ()}
BAYES = "Bayes-optimal"
PROBED = ("boolean", "semilinear64", "quadratic")


def table1(compose: Compose, experiments: Path, *, quick: bool = False) -> list[str]:
    """Train and measure every row, in all variants, the ablation and the probes; return what did not finish.

    `compose` returns the configuration that command-line arguments say; `experiments` holds their files.
    """
    table, failed, reports = Table1(quick=quick), [], report_folder(quick=quick)
    for name, published in TABLE1.items():
        for variant, ending in VARIANTS.items():
            experiment = f"table1_{name}{ending}"
            if not (experiments / f"{experiment}.yaml").exists():
                continue
            folder = _train(compose, experiment, quick=quick)
            if folder is None:
                failed.append(experiment)
                continue
            table.rows.append(_row(name, variant, published, folder, reports))
            table.seconds += table.rows[-1].result["seconds"]
            if variant == FULL and name in PROBED:
                table.probes.append(_probe(table.rows[-1], folder, reports))
            write_table1(table, reports)  # after every row: the rest may be stopped
    for experiment, changes in ablations().items():
        for change, overrides in changes.items():
            name = f"ablation/{experiment}, {change}".replace(" ", "_")
            folder = _train(compose, experiment, *ABLATION, *overrides, quick=quick, name=name)
            result = read_json(folder / RESULT) if folder else None
            if folder is None or result is None:
                failed.append(f"{experiment}: {change}")
                continue
            table.ablations.append(Ablation(experiment, change, result, train_mse(folder)))
            table.seconds += result["seconds"]
    write_table1(table, reports)
    return failed


def ablations() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the changes to each experiment, by what they are called in the report."""
    return {CORPUS: CORPORA, ADAM: OF_ADAM, **dict.fromkeys(ABLATED, ABLATIONS)}


def figure3(compose: Compose, *, quick: bool = False) -> list[str]:
    """Draw the error over a stream of Boolean mappings, before and after meta-training; return what did not finish."""
    carried, reset = (_train(compose, name, quick=quick) for name in ("figure3", "table1_boolean"))
    if carried is None or reset is None:
        return [name for name, folder in (("figure3", carried), ("table1_boolean", reset)) if folder is None]
    after, other = load_run(carried), load_run(reset)
    before = MetaLearner(after.config)
    panels = {
        "before meta-training": stream_errors(before)["state carried over"],
        f"after, state carried over ({after.network.describe()})": stream_errors(after)["state carried over"],
        f"after, state reset at every dotted line ({other.network.describe()})": stream_errors(other)["state reset"],
    }
    figure = stream_figure(panels, after.config.family.sequence_length, title="Absolute error over five Boolean functions")
    save(figure, report_folder(quick=quick) / "figure3.png")
    return []


def report_folder(*, quick: bool = False) -> Path:
    """Return where the reports, or the small ones, are written."""
    return REPORTS / "quick" if quick else REPORTS


def _train(compose: Compose, experiment: str, *overrides: str, quick: bool, name: str | None = None) -> Path | None:
    """Train an experiment, or resume it; return its folder, or None where it failed."""
    folder = Path("runs") / ("table1_quick" if quick else "table1") / (name or experiment)
    config = compose(f"experiment={experiment}", *overrides, *(QUICK if quick else ()))
    print(f"{name or experiment} ...", flush=True)
    return folder if run_job(config, folder).status is Status.FINISHED else None


def _row(name: str, variant: str, published: Published, folder: Path, reports: Path) -> Row:
    learner = load_run(folder)
    found = evaluate(learner)
    write_evaluation(found, folder)
    draw_pictures(folder, learner.config)
    picture = f"table1_{name}{VARIANTS[variant]}.png"
    others = reference_errors(learner.config)
    curves = {name: errors.curves[0] for name, errors in others.items() if name != BAYES}
    title = f"{published.mappings}, T = {published.length}: {learner.network.describe()}"
    save(curve_figure(found.curves, found.best, others=curves, title=title), reports / picture)
    return Row(
        name=name, variant=variant, published=published, config=learner.config, network=learner.network.describe(),
        result=found.result, picture=picture, reached=_epochs_to_reach(published.mse, folder), late=_late(found),
        references={name: metrics_of_errors(learner.config, errors)[0] for name, errors in others.items()},
        train_mse=train_mse(folder),
    )  # fmt: skip


def _probe(row: Row, folder: Path, reports: Path) -> Probed:
    found = probe(load_run(folder), folder / "probe")
    pictures = []
    for path in sorted((folder / "probe").glob("*.png")):
        pictures.append(f"table1_{row.name}_{path.name}")
        shutil.copy(path, reports / pictures[-1])
    return Probed(row.title, found, tuple(pictures))


def reference_errors(config: Config) -> dict[str, Errors]:
    """Return what other learners, the Bayes-optimal one first, do on the same test data."""
    family, data = config.family.make(test=True), held_out(config, Stream.TEST)
    best = bayes_outputs(config, data)

    def pairs(found: Sequences) -> tuple[np.ndarray, np.ndarray]:
        return found.x[0].double().numpy(), found.targets[0].double().numpy()

    learners = reference_learners(family, *pairs(held_out(config, Stream.VALIDATION)))
    outputs = {name: torch.from_numpy(learner(*pairs(data))).to(best)[None] for name, learner in learners.items()}
    # A slow predictor has predicted a part of the data only.
    known = next(data.pieces(best.shape[1]))
    return {BAYES: errors_of(config, best, known, best)} | {n: errors_of(config, f, data, best) for n, f in outputs.items()}


def train_mse(folder: Path) -> float | None:
    """Return the median training error of a run's last epoch, measured while it was learning."""
    rows = read_rows(folder / METRICS)
    return float(rows[-1][TRAIN_MSE]) if rows else None


def _epochs_to_reach(mse: float, folder: Path) -> int | None:
    """Return the first look at the validation data at which the median replica was as good as that."""
    return next((int(r[EPOCH]) for r in read_rows(folder / METRICS) if float(r[VALIDATION_MSE]) <= mse), None)


def _late(found: Evaluation) -> float:
    """Return the median MSE over the last half of the cycles."""
    return float(np.median(found.curves[:, found.curves.shape[1] // 2 :].mean(1)))
