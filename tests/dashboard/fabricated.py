"""Sweeps of many jobs at once: copies of one trained run, each with its own settings, scores and error curves."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import yaml

from learning_to_learn.config import fingerprint
from learning_to_learn.runs.run_folder import read_json, read_rows, set_status, write_json, write_rows
from learning_to_learn.training.metrics import SUCCESS

ARCHS = {"lstm": ("memory_cell", "neuron"), "elman": ("neuron",)}
RATES, CLIPS = (0.001, 0.003, 0.01, 0.03), (0.5, 1.0, 5.0)


def fabricate(trained: Path, folder: Path, jobs: int) -> Path:
    """Write `jobs` finished run folders: 2 archs, 2 sizes, 4 rates and 3 clips, then the same on further seeds."""
    grid = list(itertools.product(ARCHS, (4, 8), RATES, CLIPS))
    for number in range(jobs):
        arch, size, rate, clip = grid[number % len(grid)]
        seed = 100 * (number // len(grid))
        quality = np.exp(-(np.log10(rate / 0.01) ** 2)) * (1.0 if arch == "lstm" else 0.8) * (0.9 + 0.0125 * size)
        changes = {
            "arch": {"name": arch, "layers": [dict.fromkeys(ARCHS[arch], size)]},
            "optimizer": {"lr": rate, "clip": clip},
        }
        copy(trained, folder / f"{number}_{arch}_boolean", changes, seed, float(quality * (1.0 if clip < 5 else 0.95)))
    return folder


LEARNING = {"score/median": 0.0, "score/lower_quartile": -0.04, "score/upper_quartile": 0.04}


def copy(trained: Path, into: Path, changes: dict[str, dict[str, object]], seed: int, quality: float) -> None:
    """Copy a run, as if it had been trained on other settings to about a score of `quality`."""
    shutil.copytree(trained, into)
    config = yaml.safe_load((into / "config.yaml").read_text(encoding="utf-8")) | {"seed": seed}
    for group, values in changes.items():
        config[group] |= values
    (into / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    chance = np.random.default_rng([seed, int(1000 * quality)])
    replicas = read_rows(into / "replicas.csv")
    scores = np.clip(quality + chance.normal(0, 0.04, len(replicas)), -0.2, 1.0)
    for number, (row, score) in enumerate(zip(replicas, scores, strict=True)):
        row |= {"seed": str(seed + number), "score": str(score), "success": str(bool(score >= SUCCESS))}
    write_rows(into / "replicas.csv", [dict(row) for row in replicas])
    metrics = read_rows(into / "metrics.csv")
    for part, row in zip(np.linspace(0, 1, len(metrics)), metrics, strict=True):
        middle = quality * (1 - np.exp(-5 * part))
        row |= {key: str(middle + shift) for key, shift in LEARNING.items()}
    write_rows(into / "metrics.csv", [dict(row) for row in metrics])
    curve = [{key: float(value) for key, value in row.items()} for row in read_rows(into / "curve.csv")]
    for row in curve:
        for number, score in enumerate(scores):
            row[f"seed_{seed + number}"] = row["bayes"] + (1 - min(score, 0.99)) * row.pop(f"seed_{number}")
    write_rows(into / "curve.csv", [dict(row) for row in curve])
    result = read_json(into / "result.json") or {}
    successes = int(sum(scores >= SUCCESS))
    write_json(into / "result.json", result | {"successes": successes, "score_median": float(np.median(scores))})
    set_status(into, "finished", fingerprint=fingerprint(config), epochs=config["trainer"]["epochs"])
