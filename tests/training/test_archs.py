"""Every arch of conf/arch/ learns: its loss on a batch falls with every update on it.

On the reference engine, which compiles nothing; kernels are held to it elsewhere.
"""

import numpy as np
import pytest

from learning_to_learn.composing import options
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job

QUICK = ("engine=reference", "family.sequence_length=6", "trainer.sequences=20", "trainer.batch=20", "optimizer.lr=0.003")


@pytest.mark.parametrize("arch", options("arch"))
def test_the_loss_of_every_arch_falls(arch):
    config = job(f"arch={arch}", "trainer.epochs=4", *QUICK)
    learner, batch = MetaLearner(config), MetaData(config).epoch(0)
    losses = []
    for _ in range(4):
        learner.train_epoch(batch)
        losses.append(learner.train_mse)
    assert (np.diff(losses, axis=0) < 0).all()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_reservoir_stays_as_it_was_drawn(optimizer):
    config = job("arch=echo_state", "trainer.epochs=2", *QUICK, f"optimizer={optimizer}")
    learner, batch = MetaLearner(config), MetaData(config).epoch(0)
    before, fixed = learner.weights.detach().clone(), learner.network.fixed
    for _ in range(2):
        learner.train_epoch(batch)
    moved = (learner.weights.detach() != before).any(0)
    assert not moved[fixed].any()
    assert moved[fixed[-1] + 1 :].all()
