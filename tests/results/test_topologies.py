"""The comparison of topologies, its statistics against what they are by hand, and every study of sweeps/."""

import csv
import itertools
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from learning_to_learn.commands import compare as command
from learning_to_learn.composing import compose_config
from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.results import topologies
from learning_to_learn.results import topology_numbers as numbers
from learning_to_learn.training.metrics import success_interval

SWEEPS = Path(__file__).parents[2] / "sweeps"
STUDIES = sorted(SWEEPS.glob("*.yaml"))


def frame():
    rows = [
        {"arch.name": arch, "arch.gradient": "bptt", "family.name": family, "seed": seed, "score": score + seed / 100,
         "success": score + seed / 100 >= 0.9, "seconds": 2.0}
        for (arch, family), score in {("a", "x"): 0.95, ("a", "y"): 0.5, ("b", "x"): 0.1, ("b", "y"): 0.88}.items()
        for seed in range(8)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_cell_is_its_replicas():
    cells = numbers.study_cells(frame()).set_index(["arch", "family"])
    assert list(numbers.study_cells(frame())) == [
        "arch", "gradient", "family", "replicas", "success_rate", "low", "high", "score_median", "seconds",
    ]  # fmt: skip
    assert cells.loc[("a", "x"), "success_rate"] == 1
    assert cells.loc[("b", "y"), "success_rate"] == 6 / 8
    assert (cells.loc[("b", "y"), "low"], cells.loc[("b", "y"), "high"]) == success_interval(6, 8)
    assert cells.loc[("a", "y"), "score_median"] == pytest.approx(0.535)
    assert cells.loc[("a", "y"), "seconds"] == 16


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side():
    matrices = numbers.score_matrices(frame())
    assert matrices["a"].shape == (8, 2)
    means = numbers.interquartile_means(matrices)
    for arch, (mean, low, high) in means.items():
        middle = np.sort(matrices[arch].ravel())[4:12]
        assert mean == pytest.approx(middle.mean())
        assert low <= mean <= high


def test_a_profile_is_the_part_of_runs_above_a_threshold():
    matrices = numbers.score_matrices(frame())
    profiles, intervals = numbers.performance_profiles(matrices)
    at = int(np.flatnonzero(np.isclose(numbers.THRESHOLDS, 0.9))[0])
    assert profiles["a"][at] == pytest.approx((matrices["a"] > numbers.THRESHOLDS[at]).mean())
    assert (intervals["b"][0] <= profiles["b"]).all()


def test_archs_with_unequal_numbers_of_replicas_are_left_out_of_what_needs_them_equal():
    uneven = frame().query("not (`arch.name` == 'b' and `family.name` == 'x' and seed == 3)")
    assert set(numbers.score_matrices(uneven)) == {"a"}


def test_the_study_is_run_reported_and_resumed(tmp_path, monkeypatch):
    tiny = ("trainer.epochs=4", "trainer.evaluate_every=2", "replicas=2", "evaluation.mappings=16", "logger.mode=disabled",
            "family.sequence_length=20", "arch=lstm,elman", "family=boolean,semilinear", "optimizer.lr=0.01")  # fmt: skip
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(topologies, "QUICK", tiny)
    assert command._main([]) == 0
    folder = tmp_path / "reports/quick"
    with (folder / "topologies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["arch"], r["family"]) for r in rows} == set(itertools.product(["lstm", "elman"], ["boolean", "semilinear"]))
    assert (folder / "topologies.html").read_text().count("data:image/png;base64,") == 3
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("last.ckpt")}
    assert command._main([]) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("last.ckpt")} == before


def test_it_takes_no_arguments():
    with pytest.raises(UserError, match="unexpected extra argument"):
        command._main(["families"])


def jobs_of(study):
    sweeper = yaml.safe_load(study.read_text())["hydra"]["sweeper"]
    if "n_trials" in sweeper:
        return [["optimizer.lr=0.01", "optimizer.clip=1", "trainer.batch=5", "arch.init_scale=0.5"]]
    overrides = OverridesParser.create().parse_overrides([f"{k}={v}" for k, v in sweeper["params"].items()])
    return BasicSweeper.split_arguments(overrides, None)[0]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_jobs_of_every_study_are_sound(study):
    lines = study.read_text().splitlines()
    assert "?" in " ".join(line for line in lines if line.startswith("#"))  # it says what question it answers
    jobs = jobs_of(study)
    chosen = random.Random(study.stem).sample(jobs, min(8, len(jobs)))  # composing hundreds takes half a minute
    for job in [jobs[0], *chosen, jobs[-1]]:
        config = compose_config(f"sweep={study.stem}", *job)
        check(config)
        assert config.sweep == study.stem


@pytest.mark.parametrize("study", [s for s in STUDIES if s.stem.startswith("tune") or s.stem == "optuna"], ids=lambda p: p.stem)
def test_tuning_touches_neither_the_seeds_nor_the_test_data_that_are_reported(study):
    jobs = list(jobs_of(study))
    assert not [word for job in jobs for word in job if "seed" in word.partition("=")[0]]
    # Only a file that is chosen can then say other seeds.
    for job in {tuple(word for word in job if "." not in word.partition("=")[0]): job for job in jobs}.values():
        config = compose_config(f"sweep={study.stem}", *job)
        assert config.seed >= 1000
        assert config.evaluation.seed != 0


@pytest.mark.parametrize("study", sorted((SWEEPS / "wandb").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_wandb_agent_would_run_composes(study):
    sweep = yaml.safe_load(study.read_text())
    assert sweep["command"][:4] == ["${env}", "${interpreter}", "-m", "${program}"]
    assert sweep["metric"]["name"] == "score/median"
    choices = {k: p.get("values") or [p["value"] if "value" in p else (p["min"] + p["max"]) / 2] for k, p in
               sweep["parameters"].items()}  # fmt: skip
    for values in itertools.product(*choices.values()):
        given = {key: {"value": value} for key, value in zip(choices, values, strict=True)}
        arguments = create_sweep_command_args({"args": given})["args_no_hyphens"]
        check(compose_config("logger.mode=online", *arguments))
