"""arch=fwnn before any training is the learner that its rule describes, and a job of no epochs measures it."""

import numpy as np
import pytest
import torch

from learning_to_learn.config_check import check
from learning_to_learn.errors import UserError
from learning_to_learn.families.semilinear import gradient_descent
from learning_to_learn.jobs.job import run_job
from learning_to_learn.randomness import Stream
from learning_to_learn.results.table import find_jobs
from learning_to_learn.runs.run_folder import Status, read_json
from learning_to_learn.runs.trained import load_run
from learning_to_learn.training.learner import MetaLearner
from learning_to_learn.training.sequences import held_out
from tests.helpers import job


def test_the_constructed_network_is_the_neuron_of_the_reports():
    """(1 + tanh z) / 2 is the logistic function of 2 z, so that the reports' rate counts eight times."""
    config = job("arch=fwnn", "arch.rate=4", "family=semilinear", "engine=reference")
    test = held_out(config, Stream.TEST)
    x, y = test.inputs[0, ..., :2].double().numpy(), test.targets[0].double().numpy()
    expected = gradient_descent(x, y, 0.5)
    found = MetaLearner(config).outputs(test).numpy().reshape(2, *expected.shape)
    np.testing.assert_allclose(found, np.stack(2 * [expected]), rtol=0, atol=1e-5)


def test_replicas_of_hidden_learners_differ_and_a_random_start_is_another():
    hidden = MetaLearner(job("arch=fwnn", "arch.rule=backprop", "arch.hidden=2", "engine=reference")).weights
    assert (hidden[0] != hidden[1]).any()
    constructed, random = (
        MetaLearner(job("arch=fwnn", f"arch.start={start}", "engine=reference")).weights for start in ("constructed", "random")
    )
    assert constructed.shape == random.shape
    assert torch.equal(constructed[0], constructed[1])
    assert (random[0] != random[1]).all()


def test_a_job_of_no_epochs_measures_the_network_as_it_begins(tmp_path):
    config = job("arch=fwnn", "trainer.epochs=0", "engine=reference", "logger.mode=offline")
    assert run_job(config, tmp_path / "run", console=False).status is Status.FINISHED
    (found,) = find_jobs(tmp_path)
    assert (found.status, found.error) == (Status.FINISHED, "")
    result = read_json(tmp_path / "run" / "result.json")
    assert result["epochs"] == 0
    assert 0 < result["score_median"] < 1
    torch.testing.assert_close(load_run(tmp_path / "run").weights, MetaLearner(config).weights, rtol=0, atol=0)


@pytest.mark.parametrize(
    "words",
    [
        ("arch=fwnn", "arch.hidden=2"),
        ("arch=fwnn", "arch.layers=[{neuron: 2}]"),
        ("arch=fwnn", "family.feedback=error"),
        ("arch=lstm", "arch.rule=delta"),
    ],
)
def test_a_rule_that_cannot_be_wired_is_refused(words):
    with pytest.raises(UserError, match=r"arch\.rule"):
        check(job(*words))
