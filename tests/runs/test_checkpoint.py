import os
import pickle

import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.runs.checkpoint import CHECKPOINT, load_checkpoint, restore, save_checkpoint
from learning_to_learn.training.learner import MetaLearner
from tests.helpers import job


@pytest.fixture
def saved(tmp_path):
    learner = MetaLearner(job())
    save_checkpoint(tmp_path, learner)
    return tmp_path


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_a_checkpoint_comes_back(saved):
    learner = MetaLearner(job("seed=99"))
    restore(learner, load_checkpoint(saved))
    torch.testing.assert_close(learner.weights, MetaLearner(job()).weights, rtol=0, atol=0)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_one_line(saved, keep):
    path = saved / CHECKPOINT
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match="damaged") as error:
        load_checkpoint(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_hostile_checkpoint_runs_nothing(saved, write):
    write({"state_dict": Hostile(), "learning": {}}, saved / CHECKPOINT)
    with pytest.raises(UserError, match="nothing in it was executed"):
        load_checkpoint(saved)
    assert not (saved / "hacked").exists()


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], torch.zeros(3)])
def test_a_checkpoint_of_something_else_is_one_line(saved, content):
    torch.save(content, saved / CHECKPOINT)
    with pytest.raises(UserError, match="something else"):
        load_checkpoint(saved)


def test_a_checkpoint_of_another_network_is_one_line(saved):
    with pytest.raises(UserError, match="does not fit"):
        restore(MetaLearner(job("replicas=3")), load_checkpoint(saved))


def test_a_missing_checkpoint_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        load_checkpoint(tmp_path)
