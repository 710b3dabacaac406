"""What is found inside where it is known what there is, and in small networks that were not trained."""

import numpy as np
import pytest

from learning_to_learn.families.linear_regression import LinearRegression
from learning_to_learn.results.bayes_inside import left_over, simulate
from learning_to_learn.results.probe import probe
from learning_to_learn.results.which_algorithm import distances
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.library import library
from tests.helpers import job


def test_one_state_simulates_another_where_it_is_a_function_of_it():
    random = np.random.default_rng(0)
    known = random.standard_normal((400, 5, 3))
    state = np.tanh(known @ random.standard_normal((3, 6)))
    forth, back = simulate(known, state)[1], simulate(state, known)[1]
    assert forth < 0.02
    assert back < 0.02
    assert simulate(random.standard_normal((400, 5, 3)), state)[1] > 0.9


def test_half_of_what_is_known_leaves_half_over():
    random = np.random.default_rng(0)
    known = random.standard_normal((2000, 4, 2))
    assert simulate(known[..., :1], known)[1] == pytest.approx(0.5, abs=0.05)
    assert left_over(np.zeros((10, 1)), np.array([[-1.0], [1.0]] * 5)) == pytest.approx(1)
    assert np.isnan(left_over(np.zeros((10, 1)), np.ones((10, 1))))


def test_an_algorithm_is_recognised_by_its_outputs():
    family, random = LinearRegression(3, 0.3), np.random.default_rng(0)
    x = random.standard_normal((50, 12, 3))
    y = x @ random.standard_normal((50, 3, 1)) / 3**0.5 + 0.3 * random.standard_normal((50, 12, 1))
    said = {name: learner(x, y) for name, learner in library(family, x, y).items()}
    for name in ("ridge, strength 1", "gradient descent, 2 steps", "least mean squares", "nearest neighbours, 3"):
        found = distances(said[name] + 1e-3 * random.standard_normal(y.shape), said)
        assert found.nearest == name
        assert found.nearest_at(9) == name
        assert found.means[name] < 1e-4


SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("switching_bernoulli", "dirichlet")]


@pytest.mark.parametrize("family", ["linear_regression", *SLOWER])
def test_a_network_is_probed_for_what_the_bayes_learner_knows(tmp_path, family):
    learner = MetaLearner(job("arch=gru", f"family={family}", "evaluation.mappings=64", "family.sequence_length=10"))
    found = probe(learner, tmp_path)
    inside = found["bayes_inside"]
    assert all(r2 <= 1 for r2 in inside["r2_of_statistics"].values())
    assert inside["r2_of_shuffled_statistics"] < 0.1
    assert set(inside["simulation"]) == {
        "network_from_bayes_states", "network_from_bayes_outputs", "bayes_from_network_states", "bayes_from_network_outputs",
    }  # fmt: skip
    assert ("far_inputs" in inside) == (family == "linear_regression")
    assert found["which_algorithm"]["nearest"] in found["which_algorithm"]["distances"]
    assert {p.name for p in tmp_path.iterdir()} >= {"probe.json", "statistics.png", "algorithms.png"}
