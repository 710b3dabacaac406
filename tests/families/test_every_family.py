"""What holds for every family, and so for one that is added: this file walks the registry."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from learning_to_learn.families import FAMILIES
from learning_to_learn.losses import loss_of
from learning_to_learn.randomness import Stream
from learning_to_learn.training.baselines import reference_learners
from learning_to_learn.training.sequences import draw_sequences

MEMBERS = {m.floor_key: m for f in FAMILIES.values() for m in (f.estimated() or [f.from_config(f.config())])}
LENGTH, COUNT = 9, 48


def draw(family, *, seed=0, count=COUNT):
    return draw_sequences(family, LENGTH, count, [seed], Stream.VALIDATION, 0, dtype=torch.float64)


def bayes(family, found, targets=None):
    y = found.targets[0] if targets is None else targets
    return family.bayes(found.mappings[0], found.x[0], y)


@pytest.mark.parametrize("key", MEMBERS)
def test_the_same_seed_draws_the_same_and_another_does_not(key):
    one, again, other = draw(MEMBERS[key]), draw(MEMBERS[key]), draw(MEMBERS[key], seed=1)
    torch.testing.assert_close(one.targets, again.targets, rtol=0, atol=0)
    assert not torch.equal(one.targets, other.targets)


@pytest.mark.parametrize("key", MEMBERS)
def test_outputs_are_what_an_output_neuron_can_say(key):
    family = MEMBERS[key]
    targets = draw(family, count=400).targets
    assert targets.shape[-1] == family.output_size
    assert targets.isfinite().all()
    if family.output == "softmax":
        assert set(targets.flatten().tolist()) == {0.0, 1.0}
        assert (targets.sum(-1) == 1).all()
    elif family.output == "logistic":
        assert targets.min() >= 0
        assert targets.max() <= 1


@pytest.mark.parametrize("key", MEMBERS)
def test_the_bayes_prediction_does_not_see_what_comes_later(key):
    family, found = MEMBERS[key], draw(MEMBERS[key], count=6)
    changed = found.targets[0].clone()
    changed[:, 4:] = changed[:, 4:].roll(1, -1) if family.output_size > 1 else 1 - changed[:, 4:]
    torch.testing.assert_close(bayes(family, found)[:, :4], bayes(family, found, changed)[:, :4], rtol=0, atol=1e-9)


@pytest.mark.parametrize("key", MEMBERS)
def test_the_floor_is_the_error_of_the_bayes_prediction(key):
    """On fresh sequences, within four standard errors of their mean, at every cycle; the first is the no-learning error."""
    family, found = MEMBERS[key], draw(MEMBERS[key], seed=3, count=400 if "per_mapping" not in key else 60)
    errors = loss_of(bayes(family, found), found.targets[0], family.output, family.loss).numpy()
    known = np.array(family.losses(LENGTH).values)
    spread = errors.std(0, ddof=1) / len(errors) ** 0.5
    assert (np.abs(errors.mean(0) - known) <= 4 * spread + 0.02 * known[0]).all(), (errors.mean(0), known)
    x, y = found.x[0], found.targets[0]
    fixed = family.no_learning_outputs(x, y)
    never = errors[:, :1] if fixed is None else loss_of(fixed, y, family.output, family.loss).numpy()
    luck = never.mean(1).std(ddof=1) / len(never) ** 0.5
    assert abs(never.mean() - family.floor(LENGTH).no_learning) <= 4 * luck + 0.02 * known[0]
    assert family.floor(LENGTH).floor == pytest.approx(known.mean())


@pytest.mark.parametrize("key", MEMBERS)
def test_a_reference_learner_is_never_better_than_the_bayes_prediction(key):
    family, found = MEMBERS[key], draw(MEMBERS[key], seed=5, count=60)
    x, y = found.x[0].numpy(), found.targets[0].numpy()

    def loss(outputs):
        return loss_of(outputs, found.targets[0], family.output, family.loss).mean(1).numpy()

    best = loss(bayes(family, found))
    for name, learner in reference_learners(family, x, y).items():
        excess = loss(torch.from_numpy(learner(x, y))) - best
        assert excess.mean() >= -3 * excess.std(ddof=1) / len(excess) ** 0.5, name


@pytest.mark.parametrize("key", MEMBERS)
def test_a_family_names_all_its_parameters_or_none(key):
    family = MEMBERS[key]
    assert len(family.parameter_names) in (0, draw(family, count=1).mappings.shape[-1])


@pytest.mark.parametrize("key", MEMBERS)
def test_the_linear_form_gives_outputs_back(key):
    """inverse, then output, is the identity; and as many pairs as features fix the weights."""
    family, found = MEMBERS[key], draw(MEMBERS[key], count=20)
    form = family.linear_form()
    if form is None:
        pytest.skip("the family has no linear form")
    if family.noise_uniforms:
        found = replace(found, targets=family.evaluate(found.mappings, found.x))
    x, y = found.x[0].numpy(), found.targets[0].numpy()
    np.testing.assert_allclose(form.output(form.inverse(y)), y, atol=1e-6)
    z = form.features(x)
    weights = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(z, form.inverse(y), strict=True)])
    np.testing.assert_allclose(form.output(np.einsum("nkm,ntk->ntm", weights, z)), y, atol=1e-6)
