"""CMA-ES on quadratic bowls, whose minimum is known, and on errors that are not finite."""

import math

import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.optimizers import make_optimizer
from learning_to_learn.optimizers.cma_es import CmaConfig
from tests.helpers import job

START = torch.linspace(-2, 2, 12, dtype=torch.float64).view(2, 6)
ALIVE = torch.ones(2, dtype=torch.bool)


def bowl(r, candidates):
    """A minimum at (r, r, ...), in directions of different curvature."""
    return ((candidates - r).square() * torch.arange(1, 7)).sum(1)


def searched(updates, *, stopped_after=None):
    weights = START.clone()
    optimizer = make_optimizer(weights, CmaConfig(lr=0.5))
    for update in range(updates):
        if update == stopped_after:
            kept = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in optimizer.state().items()}
            fresh = START.clone()
            optimizer = make_optimizer(fresh, CmaConfig(lr=0.5))
            optimizer.load(kept)
            weights = fresh.copy_(weights)
        optimizer.search(bowl, ALIVE.clone())
    return weights


def test_each_replica_finds_its_own_minimum_and_a_resumed_search_is_the_unbroken_one():
    found = searched(120)
    torch.testing.assert_close(found, torch.tensor([[0.0] * 6, [1.0] * 6], dtype=torch.float64), rtol=0, atol=1e-2)
    torch.testing.assert_close(searched(120, stopped_after=57), found, rtol=0, atol=0)


def test_a_replica_whose_candidates_all_fail_is_frozen_alone():
    weights, alive = START.clone(), ALIVE.clone()
    optimizer = make_optimizer(weights, CmaConfig(lr=0.5))
    optimizer.search(lambda r, c: bowl(r, c) * (math.nan if r else 1.0), alive)
    assert alive.tolist() == [True, False]
    torch.testing.assert_close(weights[1], START[1], rtol=0, atol=0)
    assert (weights[0] != START[0]).any()


@pytest.mark.parametrize("more", ["optimizer.clip=1", "optimizer.schedule=cosine", "optimizer.warmup=0.1"])
def test_what_a_search_cannot_use_is_refused(more):
    with pytest.raises(UserError, match="no gradient to clip"):
        make_optimizer(START.clone(), job("optimizer=cma", "arch.gradient=none", more).optimizer)


@pytest.mark.parametrize("words", [("optimizer=cma",), ("arch.gradient=none",)])
def test_a_search_and_a_gradient_do_not_go_together(words):
    from learning_to_learn.config_check import check

    with pytest.raises(UserError, match=r"goes with arch\.gradient=none"):
        check(job(*words))
