"""All updates of an epoch in one compiled call are those that are made one by one, to the bit."""

import pytest
import torch

from learning_to_learn.engine import Reference
from learning_to_learn.engine.fused.fused import Fused
from learning_to_learn.optimizers.adam import Adam
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job

CASES = {
    "mixed lanes": ["trainer.batch=10", "replicas=3"],
    "full lanes": ["trainer.batch=16", "trainer.sequences=48", "replicas=3"],
    "one step": ["arch.gradient=truncated", "trainer.batch=5"],
    "rtrl": ["arch.gradient=rtrl", "arch.layers=[{memory_cell: 2, neuron: 2}]"],
    "a window": ["arch.gradient=bptt", "arch.window=3"],
    "sgd": ["optimizer=sgd", "optimizer.momentum=0.9"],
    "rmsprop": ["optimizer=rmsprop", "optimizer.schedule=cosine", "optimizer.warmup=0.1", "optimizer.clip=null"],
    "fixed weights": ["arch=echo_state", "arch.layers=[{neuron: 4, fixed: true, radius: 0.9}]"],
    "log loss": ["family=bernoulli"],
    "a batch of one": ["trainer.batch=1", "trainer.sequences=5"],
}


def trained(config, monkeypatch, *, whole, dtype=torch.float32):
    with monkeypatch.context() as patch:
        if not whole:
            patch.setattr(Fused, "can_train", lambda *_: False)
        learner, data = MetaLearner(config, dtype=dtype), MetaData(config, dtype=dtype)
        for epoch in range(3):
            learner.train_epoch(data.epoch(epoch))
    return learner


def compare(one, other):
    torch.testing.assert_close(one.weights, other.weights, rtol=0, atol=0)
    assert (one.train_mse == other.train_mse).all()
    assert one.optimizer.state().keys() == other.optimizer.state().keys()
    assert one.optimizer.updates == other.optimizer.updates > 0
    torch.testing.assert_close(one.optimizer.moments, other.optimizer.moments, rtol=0, atol=0)
    assert (one.diverged_at == other.diverged_at).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CASES)
def test_an_epoch_in_one_call_is_its_updates_one_by_one(kind, dtype, monkeypatch):
    config = job("replicas=2", *CASES[kind])
    whole, apart = (trained(config, monkeypatch, whole=way, dtype=dtype) for way in (True, False))
    assert whole.engine.can_train(whole.optimizer)
    compare(whole, apart)


def test_a_replica_that_diverges_stays_where_it_was(monkeypatch):
    config = job("replicas=2", "optimizer.lr=0.01")

    def with_a_bad_gradient(learner):
        learner.weights.data[1, 0] = torch.nan
        return learner

    found = []
    for whole in (True, False):
        with monkeypatch.context() as patch:
            if not whole:
                patch.setattr(Fused, "can_train", lambda *_: False)
            learner, data = with_a_bad_gradient(MetaLearner(config)), MetaData(config)
            before = learner.weights.detach().clone()
            learner.train_epoch(data.epoch(0))
            torch.testing.assert_close(learner.weights[1], before[1], rtol=0, atol=0, equal_nan=True)
            assert not torch.equal(learner.weights[0], before[0])
            found.append(learner)
    assert found[0].diverged == found[1].diverged == {1: 0}


@pytest.mark.parametrize(
    "words",
    [["engine=reference"], ["optimizer=soap"], ["trainer.average=0.9"], ["arch.update_every=5"], ["family.carry_state=true"]],
)
def test_what_needs_python_between_two_updates_is_trained_one_by_one(words, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(Fused, "train", refuse)
    trained(job(*words), monkeypatch, whole=True)


def test_the_reference_engine_says_that_it_makes_no_updates():
    config = job("engine=reference")
    engine = MetaLearner(config).engine
    assert isinstance(engine, Reference)
    with pytest.raises(TypeError, match="makes no updates by itself"):
        engine.train()


def test_an_update_that_a_subclass_writes_in_python_is_the_one_that_is_made():
    """As a user's optimizer may: here, nothing moves."""

    class Still(Adam):
        asked = False

        def _move(self, *_):
            self.asked = True

    config = job()
    learner = MetaLearner(config)
    learner.optimizer = Still(learner.weights, [config.optimizer] * config.replicas)
    before = learner.weights.detach().clone()
    learner.train_epoch(MetaData(config).epoch(0))
    assert learner.optimizer.asked
    torch.testing.assert_close(learner.weights.detach(), before, rtol=0, atol=0)
