"""Every arch of conf/arch/ learns: its loss on a batch falls with every few updates on it.

On the reference engine, which compiles nothing; kernels are held to it elsewhere.
"""

import pytest

from learning_to_learn.composing import options
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import MetaData
from tests.helpers import job

QUICK = ("engine=reference", "family.sequence_length=6", "trainer.sequences=20", "trainer.batch=20", "optimizer.lr=0.02")


@pytest.mark.parametrize("arch", options("arch"))
def test_the_loss_of_every_arch_falls(arch):
    config = job(f"arch={arch}", "trainer.epochs=6", *QUICK)
    learner, batch = MetaLearner(config), MetaData(config).epoch(0)
    losses = []
    for update in range(6):
        learner.training_step(batch, update)
        losses.append(learner.train_mse)
    assert (losses[3] < losses[0]).all()
    assert (losses[5] < losses[3]).all()
