"""The excess: what it is by definition, and what it is good for."""

import numpy as np
import pytest
import torch

from learning_to_learn.families.boolean import Boolean
from learning_to_learn.families.quadratic import Quadratic
from learning_to_learn.families.semilinear import SemiLinear
from learning_to_learn.randomness import Stream
from learning_to_learn.training import excess
from learning_to_learn.training.baselines import bayes_of_a_finite_prior
from learning_to_learn.training.curves import error_curves
from learning_to_learn.training.evaluation import errors_on_test_data, evaluate
from learning_to_learn.training.excess import bayes_outputs, measure_outputs
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData, draw_sequences, held_out, training_mappings
from tests.helpers import job

BIG = ("evaluation.mappings=20000",)


def test_the_excess_of_a_constant_is_its_error_above_the_floor_in_closed_form():
    """Outputs of 1/2 on Boolean functions: no-learning minus floor, 1/4 - (1 - (3/4)^T) / T."""
    config = job(*BIG)
    data = held_out(config, Stream.TEST)
    half = torch.full_like(data.targets, 0.5)
    found = measure_outputs(Boolean(), half, data.targets, bayes_outputs(config, data), 20, 0.025).excess[0]
    exact = 0.25 - (1 - 0.75**20) / 20
    assert exact == pytest.approx(0.25 - Boolean().floor(20).floor)
    assert abs(found.mean() - exact) < 4 * found.std() / len(found) ** 0.5


@pytest.mark.parametrize("family", ["boolean", "semilinear", "quadratic"])
def test_the_excess_is_the_difference_of_two_losses_with_less_noise(family):
    """E[(y - f)^2 - (y - m)^2] = E[(f - m)^2], for an f that has seen only the pairs before."""
    config = job(f"family={family}", "evaluation.mappings=4000")
    data = held_out(config, Stream.TEST)
    best = bayes_outputs(config, data)
    f = 0.9 * best + 0.1 * torch.roll(data.targets, 1, 2).index_fill(2, torch.tensor([0]), 0.5)
    found = measure_outputs(config.family.make(), f, data.targets, best, 20, 0.1)
    difference = ((data.targets - f) ** 2 - (data.targets - best) ** 2).mean((2, 3))[0].double().numpy()
    noise = difference.std() / len(difference) ** 0.5
    assert abs(found.excess.mean() - difference.mean()) < 4 * noise
    assert found.excess.std() / len(difference) ** 0.5 < noise
    assert found.excess.min() >= 0


def test_no_learner_is_better_than_the_bayes_predictor():
    config = job("evaluation.mappings=64")
    data = held_out(config, Stream.TEST)
    best = bayes_outputs(config, data)
    found = measure_outputs(Boolean(), torch.cat([best, data.targets]), data.targets, best, 20, 0.025)
    assert (found.excess[0] == 0).all()
    assert found.curves[1].sum() == 0  # one that knows the answers has no error ...
    assert found.excess[1].mean() > 0  # ... but is no learner


def test_steps_to_learn_is_the_first_cycle_from_which_a_sequences_error_stays_low():
    wrong = torch.tensor([[[0.4, 0.0, 0.5, 0.0, 0.0], [0.0] * 5, [0.0, 0.0, 0.0, 0.0, -1.0], [0.4, 0.0, 0.0, 0.0, torch.nan]]])
    wrong, targets = wrong.unsqueeze(-1), torch.rand(1, 4, 5, 1)
    assert measure_outputs(Boolean(), targets + wrong, targets, targets, 5, 0.1).steps.tolist() == [[4.0, 1.0, 6.0, 6.0]]


@pytest.mark.parametrize("more", [(), ("family.carry_state=true",)])
def test_what_is_added_up_in_one_pass_is_what_torch_says_in_several(more):
    config = job("evaluation.mappings=40", *more)
    data = held_out(config, Stream.TEST)
    best, outputs = bayes_outputs(config, data), torch.rand(3, *data.targets.shape[1:])
    found = measure_outputs(Boolean(), outputs, data.targets, best, 20, 0.025)
    np.testing.assert_allclose(found.curves, error_curves(Boolean(), outputs, data.targets, 20), rtol=1e-6)
    squares = (outputs - best)[..., 0].double().square().unflatten(-1, (-1, 20))
    expected = (squares[:, :, 1:] if more else squares).flatten(1, 2).mean(-1)
    np.testing.assert_allclose(found.excess, expected.numpy(), rtol=1e-6)


def test_pieces_say_the_same_as_the_whole(monkeypatch):
    learner = MetaLearner(job("evaluation.mappings=50", "family.carry_state=true"))
    whole = errors_on_test_data(learner)
    monkeypatch.setattr("learning_to_learn.training.evaluation.AT_ONCE", 16)
    parts = errors_on_test_data(learner)
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert whole.excess.shape == whole.steps.shape == (2, 7 * 8)


def test_a_learner_is_compared_with_as_many_predictions_as_there_are(monkeypatch):
    """Of a family whose predictor is slow; and they come back from the file that keeps them."""
    monkeypatch.setattr("learning_to_learn.training.evaluation.AT_ONCE", 8)
    monkeypatch.setattr(SemiLinear, "predictable", 20)
    monkeypatch.setattr(excess, "_kept", {})
    learner = MetaLearner(job("family=semilinear", "evaluation.mappings=30", "evaluation.seed=77"))
    found = errors_on_test_data(learner)
    assert (found.excess.shape, found.steps.shape) == ((2, 20), (2, 30))
    excess._kept.clear()
    monkeypatch.setattr(SemiLinear, "bayes", None)
    np.testing.assert_array_equal(errors_on_test_data(learner).excess, found.excess)


def test_the_result_says_how_well_the_excess_is_known():
    found = evaluate(MetaLearner(job("evaluation.mappings=400")))
    assert found.result["excess_median"] == pytest.approx(np.median([r["excess"] for r in found.replicas]))
    for row in found.replicas:
        assert 0 < row["excess_error"] < 0.1 * row["excess"]
        assert row["steps_to_learn"] > 15  # it has learnt nothing
    assert found.result["worse_than_no_learning"] == sum(row["score"] < 0 for row in found.replicas)


@pytest.mark.parametrize("family", [SemiLinear(), Quadratic("global")], ids=lambda f: f.floor_key)
def test_two_samplers_of_the_bayes_predictor_agree(family, monkeypatch):
    """Its own error is far below the excess of any network: here, below 1 % of the floor."""
    found = draw_sequences(family, 8, 300, [4], Stream.VALIDATION, 0, dtype=torch.float64)
    x, y, mappings = found.x[0], found.targets[0], found.mappings[0]
    one = family.bayes(mappings, x, y)
    # A sequence's random numbers are those of its place.
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    other = torch.empty_like(one)
    other[order] = family.bayes(mappings[order], x[order], y[order])
    assert (one - other).square().mean() / 2 < 0.01 * family.floor(8).floor


def test_a_finite_set_of_mappings_is_drawn_once_and_shown_with_new_inputs():
    config = job("family=semilinear", "family.training_mappings=3", "replicas=2")
    data = MetaData(config)
    one, other, known = data.epoch(0), data.epoch(1), training_mappings(config)
    assert known.shape == (2, 3, 3)
    for replica in range(2):
        shown = torch.cat([one.mappings[replica], other.mappings[replica]])
        assert {tuple(m.tolist()) for m in shown} == {tuple(m.tolist()) for m in known[replica]}
    assert not torch.equal(known[0], known[1])
    assert not torch.equal(one.x, other.x)
    torch.testing.assert_close(data.family.evaluate(one.mappings, one.x), one.targets)


def test_the_mappings_of_a_fixed_corpus_are_those_that_it_shows():
    config = job("family.corpus=fixed")
    torch.testing.assert_close(training_mappings(config), MetaData(config).epoch(3).mappings, rtol=0, atol=0)
    assert training_mappings(job()) is None


def test_a_finite_prior_that_is_the_whole_family_is_the_bayes_predictor():
    family = Boolean()
    found = draw_sequences(family, 20, 50, [0], Stream.TEST, 0, dtype=torch.float64)
    x, y = found.x[0].numpy(), found.targets[0].numpy()
    best = family.bayes(found.mappings[0], found.x[0], found.targets[0]).numpy()
    np.testing.assert_allclose(bayes_of_a_finite_prior(family, family.tables.double(), x, y), best, atol=1e-12)


def test_a_finite_prior_knows_its_own_mappings_after_one_pair_and_no_others():
    family = SemiLinear()
    found = draw_sequences(family, 12, 40, [0], Stream.TEST, 0, dtype=torch.float64)
    x, y = found.x[0].numpy(), found.targets[0].numpy()
    known = bayes_of_a_finite_prior(family, found.mappings[0], x, y)
    np.testing.assert_allclose(known[:, 1:], y[:, 1:], atol=1e-4)
    strange = bayes_of_a_finite_prior(family, found.mappings[0][:5], x[5:], y[5:])
    assert ((strange - y[5:]) ** 2)[:, 6:].mean() > 1e-3


def test_outputs_of_another_number_of_sequences_are_refused():
    """Compiled code does not look: it would read, and write, what lies behind."""
    outputs, targets = torch.zeros(1, 4, 8, 1), torch.zeros(1, 6, 8, 1)
    for said, best in ((outputs, outputs), (targets, torch.zeros(1, 7, 8, 1))):
        with pytest.raises(ValueError, match="unequal"):
            measure_outputs(Boolean(), said, targets, best, 8, 0.1)
