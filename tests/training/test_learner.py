import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from learning_to_learn.optimizers import OPTIMIZERS
from learning_to_learn.training.evaluation import curves_on
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job


def trained(*overrides, dtype=torch.float32, spoil=None, epochs=4):
    """A learner after some epochs, with the updates made as the trainer makes them."""
    config = job(f"trainer.epochs={epochs}", *overrides)
    learner, data = MetaLearner(config, dtype=dtype), MetaData(config, dtype=dtype)
    if spoil is not None:
        with torch.no_grad():
            learner.weights[spoil] = float("inf")
    fit(learner, data)
    return learner


def fit(learner, data):
    pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=10, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0, reload_dataloaders_every_n_epochs=1,
    ).fit(learner, datamodule=data)  # fmt: skip


@pytest.mark.parametrize(
    "choice", ["arch=lstm", "arch=elman", "arch=rtrl", "arch.gradient=es", *(f"optimizer={name}" for name in OPTIMIZERS)]
)
def test_a_replica_is_the_same_seed_alone(choice):
    more = {"optimizer=soap": ["optimizer.refresh=7"], "optimizer=cma": ["arch.gradient=none", "arch.layers=[{neuron: 2}]"],
            "arch.gradient=es": ["arch.population=4"]}.get(choice, [])  # fmt: skip
    together = trained(choice, *more, "replicas=3", "seed=7")
    for i in range(3):
        alone = trained(choice, *more, "replicas=1", f"seed={7 + i}")
        torch.testing.assert_close(alone.weights[0], together.weights[i], rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_weights():
    torch.testing.assert_close(trained().weights, trained().weights, rtol=0, atol=0)


@pytest.mark.parametrize("gradient", ["bptt", "truncated", "rtrl"])
@pytest.mark.parametrize("more", [[], ["arch.update_every=8"], ["family.carry_state=true"], ["family.feedback=error"]])
def test_the_fused_engine_trains_as_the_reference_does(gradient, more):
    found = [
        trained(f"engine={e}", f"arch.gradient={gradient}", "arch.layers=[{memory_cell: 2, neuron: 2}]", *more,
                dtype=torch.float64, epochs=1).weights
        for e in ("fused", "reference")
    ]  # fmt: skip
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)


def test_a_state_that_is_carried_from_short_to_long_sequences_is_the_same_on_both_engines():
    carried = ("family.carry_state=true", "trainer.curriculum=[10]", "trainer.epochs=2")
    found = [trained(f"engine={e}", *carried, dtype=torch.float64, epochs=2).weights for e in ("fused", "reference")]
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("every", "updates"), [("null", 10), ("8", 30)])
def test_update_every_makes_that_many_updates(every, updates):
    """20 cycles in pieces of 8, 8 and 4; ten batches."""
    assert trained(f"arch.update_every={every}", epochs=2).optimizer.updates == 2 * updates


def test_the_average_is_that_of_the_weights():
    """After each of two updates: 0.9 of what it was, 0.1 of the weights."""
    learner = MetaLearner(job("trainer.average=0.9", "trainer.batch=50", "trainer.epochs=1"))
    data, start = MetaData(learner.config), learner.weights.detach().clone().double()
    seen = []
    step = learner.optimizer.step

    def record(*arguments):
        step(*arguments)
        seen.append(learner.weights.detach().clone().double())

    learner.optimizer.step = record
    learner.train_epoch(data.epoch(0))
    expected = 0.9 * (0.9 * start + 0.1 * seen[0]) + 0.1 * seen[1]
    torch.testing.assert_close(learner.average.double(), expected, rtol=0, atol=1e-6)
    assert learner.evaluated is learner.average


def test_a_diverged_replica_is_frozen_and_spoils_no_other():
    healthy = trained("replicas=3")
    spoilt = trained("replicas=3", spoil=1)
    assert spoilt.diverged == {1: 0}
    for i in (0, 2):
        torch.testing.assert_close(spoilt.weights[i], healthy.weights[i], rtol=0, atol=0)
    assert spoilt.weights[1].isinf().all()


def test_learning_lowers_the_error():
    config = job("replicas=4", "optimizer.lr=0.03", "trainer.epochs=60")
    learner, data = MetaLearner(config), MetaData(config)
    before = curves_on(learner, data.validation()).mean(1)
    fit_learner = trained("replicas=4", "optimizer.lr=0.03", epochs=60)
    after = curves_on(fit_learner, data.validation()).mean(1)
    assert np.median(after) < 0.9 * np.median(before)


def test_streams_are_folded_to_one_mappings_cycles():
    learner = MetaLearner(job("family.carry_state=true", "evaluation.mappings=16"))
    data = MetaData(learner.config).validation()
    assert data.targets.shape == (1, 2, 9 * 20, 1)
    outputs = learner.outputs(data)
    wrong = (outputs - data.targets).square().double()
    by_hand = torch.stack([wrong[:, :, 20 * m : 20 * (m + 1)].mean(1) for m in range(1, 9)]).mean(0)
    np.testing.assert_allclose(curves_on(learner, data), by_hand.squeeze(-1).numpy(), rtol=1e-6)
