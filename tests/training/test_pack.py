"""Jobs that are trained together on the replica axis are the jobs trained alone, to the bit."""

import pytest
import torch

from learning_to_learn.config import Config
from learning_to_learn.ranges import per_replica_keys
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job

TOGETHER = {
    "adam": ["optimizer.lr=0.01 replicas=3", "optimizer.lr=0.1 optimizer.clip=null seed=7", "optimizer.betas=[0.5,0.9] seed=2"],
    "sgd": ["optimizer.lr=0.5", "optimizer.lr=0.1 optimizer.momentum=0.9 optimizer.clip=0.01"],
    "rmsprop": ["optimizer.decay=0.9", "optimizer.momentum=0.5 arch.init_scale=0.1"],
    "soap optimizer.refresh=3": [
        "optimizer.decay=0.9",
        "optimizer.lr=0.1 optimizer.betas=[0.8,0.9]",
        "arch.bias={input_gate:1.5}",
    ],
}


def train(learner: MetaLearner, *jobs: Config, epochs: int = 3) -> MetaLearner:
    data = MetaData(*jobs, dtype=learner.weights.dtype)
    for epoch in range(learner.epochs_done, epochs):
        learner.train_epoch(data.epoch(epoch))
    learner.validation_step(data.validation(), 0)
    learner.tell_parts()
    return learner


# On the reference engine soap's axes are another's: a covariance of few gradients has any axes where it is zero.
@pytest.mark.parametrize(
    ("optimizer", "engine"), [*((o, "fused") for o in TOGETHER), *((o, "reference") for o in [*TOGETHER][:3])]
)
def test_a_job_of_a_pack_is_that_job_alone(optimizer, engine):
    common = [f"optimizer={optimizer.split()[0]}", *optimizer.split()[1:], f"engine={engine}", "optimizer.warmup=0.2",
              "optimizer.schedule=cosine", "trainer.average=0.9"]  # fmt: skip
    jobs = [job(*common, *more.split()) for more in TOGETHER[optimizer]]
    dtype = torch.float32 if engine == "fused" else torch.float64
    pack = train(MetaLearner(*jobs, dtype=dtype), *jobs)
    for one, part in zip(jobs, pack.parts, strict=True):
        alone = train(MetaLearner(one, dtype=dtype), one)
        assert part.config == one
        assert part.epochs_done == alone.epochs_done == 3
        same = {"rtol": 0, "atol": 0 if engine == "fused" else 1e-8}  # torch's own products round by how many there are
        torch.testing.assert_close(part.weights, alone.weights, **same)
        torch.testing.assert_close(part.evaluated, alone.evaluated, **same)
        torch.testing.assert_close(part.optimizer.state(), alone.optimizer.state(), **same)
        torch.testing.assert_close(part.validation_curves, alone.validation_curves, **same)
        torch.testing.assert_close(part.train_mse, alone.train_mse, **same)


def test_a_pack_goes_on_from_the_states_of_its_jobs():
    jobs = [job("optimizer.lr=0.01"), job("seed=9")]
    whole, half = train(MetaLearner(*jobs), *jobs, epochs=4), train(MetaLearner(*jobs), *jobs, epochs=2)
    resumed = MetaLearner(*jobs)
    for part, before in zip(resumed.parts, half.parts, strict=True):
        part.load_state_dict(before.state_dict())
        part.load_learning_state(before.learning_state())
    resumed.go_on_from_parts()
    train(resumed, *jobs, epochs=4)
    torch.testing.assert_close(resumed.weights, whole.weights, rtol=0, atol=0)


def test_a_replica_that_diverges_is_frozen_in_its_own_job_alone():
    jobs = [job("optimizer=sgd", "optimizer.clip=null", "optimizer.lr=1e30"), job("optimizer=sgd", "seed=4")]
    parts = train(MetaLearner(*jobs), *jobs).parts
    assert parts[0].diverged
    assert not parts[1].diverged


def test_the_keys_that_may_differ_are_declared_beside_them():
    assert per_replica_keys(job("optimizer=sgd")) == [
        "arch.init_scale", "arch.bias", "arch.rate", "optimizer.lr", "optimizer.clip", "optimizer.momentum", "replicas", "seed",
    ]  # fmt: skip
