"""Gradients and evolution on the same networks: what they reach with as many forward passes, and how their cost grows."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from learning_to_learn.config import Config
from learning_to_learn.engine import Engine, make_engine
from learning_to_learn.errors import RunError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.gradients.es import errors_of
from learning_to_learn.jobs.job import run_job
from learning_to_learn.optimizers import make_optimizer
from learning_to_learn.optimizers.cma_es import CmaConfig
from learning_to_learn.runs.run_folder import EPOCH, METRICS, RESULT, SCORE, SECONDS, Status, read_json, read_rows
from learning_to_learn.topology import Network

BACKWARD = 3
"""Forward passes that a gradient of one sequence counts as: forward, and backward, which takes about twice as long."""
POPULATION = 32
SEARCHES = {
    "truncated": ("arch.gradient=truncated",),
    "bptt": ("arch.gradient=bptt",),
    "rtrl": ("arch.gradient=rtrl",),
    "es": ("arch.gradient=es", f"arch.population={POPULATION}"),
    "cma": ("arch.gradient=none", "optimizer=cma", "optimizer.population=22"),
}
PASSES = {"truncated": BACKWARD, "bptt": BACKWARD, "rtrl": BACKWARD, "es": POPULATION + 1, "cma": 22 + 1}
"""Forward passes for each sequence of an update. What a pass costs in seconds differs most for rtrl."""
LARGEST_CMA = 1700
"""Parameters up to which CMA-ES is timed: its axes take P^3, minutes an update at 6400."""

Compose = Callable[..., Config]


def trained(compose: Compose, folder: Path, *words: str) -> dict[str, Any]:
    """Train what the words say in its folder, or go on with it; return its result. Raises RunError where it fails."""
    outcome = run_job(compose(*words, "logger.mode=disabled"), folder)
    result = read_json(folder / RESULT)
    if outcome.status is not Status.FINISHED or result is None:
        raise RunError(f"{folder}: {outcome.error or 'no result'}")
    return result


def compare_searches(compose: Compose, runs: Path, *, epochs: int, replicas: int) -> dict[str, Any]:
    """Train one LSTM on Boolean functions by every search, with the forward passes of `epochs` epochs of a gradient.

    Returns for each search its score, and its passes, seconds and scores at every look at the validation data.
    """
    found = {}
    for name, words in SEARCHES.items():
        count = max(2, round(epochs * BACKWARD / PASSES[name]))
        looks = max(1, count // 12)
        folder = runs / "searches" / name
        result = trained(
            compose, folder, "arch=lstm", "family=boolean", "family.sequence_length=32", *words, f"replicas={replicas}",
            f"trainer.epochs={count}", f"trainer.evaluate_every={looks}",
        )  # fmt: skip
        rows = read_rows(folder / METRICS)
        found[name] = {
            "score": result["score_median"], "epochs": count, "seconds": result["seconds"],
            "passes": [float(r[EPOCH]) * 100 * PASSES[name] for r in rows],
            "time": [float(r[SECONDS]) for r in rows], "scores": [float(r[SCORE]) for r in rows],
        }  # fmt: skip
    return found


def cost_growth(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Time an update of every search on LSTMs of `n` cells and `n` neurons, and measure how well es knows the gradient."""
    return [_cost(size) for size in sizes]


def _cost(size: int) -> dict[str, Any]:
    network = Network.of([{"memory_cell": size, "neuron": size}])
    generator = torch.Generator().manual_seed(size)
    replicas, batch, length = 4, 16, 32
    weights = torch.rand(replicas, network.parameters, generator=generator) - 0.5
    x, y = (torch.rand(replicas, batch, length, *more, generator=generator) for more in ((3,), (1,)))
    seconds, gradients = {}, {}
    for name in ("truncated", "bptt", "rtrl", "es"):
        engine = make_engine("auto", network, make_gradient(name, population=POPULATION if name == "es" else None))
        gradients[name] = engine.segment(weights, x, y).gradient
        seconds[name] = _least_time(engine, weights, x, y) / replicas
    if network.parameters <= LARGEST_CMA:
        engine = make_engine("auto", network, make_gradient("none"))
        optimizer, alive = (
            make_optimizer(weights[:1].clone(), CmaConfig(population=POPULATION)),
            torch.ones(1, dtype=torch.bool),
        )

        def errors(r: int, candidates: torch.Tensor) -> torch.Tensor:
            return errors_of(network, engine.outputs, candidates, x[r], y[r], None)

        optimizer.search(errors, alive)
        began = time.perf_counter()
        for _ in range(5):  # its axes are not found anew in every update
            optimizer.search(errors, alive)
        seconds["cma"] = (time.perf_counter() - began) / 5
    cosine = torch.nn.functional.cosine_similarity(gradients["es"], gradients["bptt"]).mean()
    return {"parameters": network.parameters, "seconds": seconds, "cosine": float(cosine)}


def _least_time(engine: Engine, weights: torch.Tensor, x: torch.Tensor, y: torch.Tensor, times: int = 3) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        engine.segment(weights, x, y)
        found.append(time.perf_counter() - began)
    return min(found)
