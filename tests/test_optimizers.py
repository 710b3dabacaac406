import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from src.config import OptimizerConfig
from src.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, rate

CONFIG = OptimizerConfig(name="adam", lr=0.1, betas=[0.9, 0.99], momentum=0.5, decay=0.9)


PEERS = {
    "adam": lambda w: torch.optim.Adam(w, lr=0.1, betas=(0.9, 0.99)),
    "sgd": lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.5),
    "rmsprop": lambda w: torch.optim.RMSprop(w, lr=0.1, alpha=0.9, momentum=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 1.5])
def test_each_replica_moves_as_torchs_optimizer_moves_it(name, clip):
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 7, dtype=torch.float64), torch.randn(6, 3, 7, dtype=torch.float64)
    weights, alive = start.clone(), torch.ones(3, dtype=torch.bool)
    optimizer = make_optimizer(weights, replace(CONFIG, name=name, clip=clip))
    for gradient in gradients:
        optimizer.step(gradient.clone(), 0.1, alive)
    for i in range(3):
        peer = torch.nn.Parameter(start[i].clone())
        other = PEERS[name]([peer])
        for gradient in gradients:
            peer.grad = gradient[i].clone()
            if clip:
                torch.nn.utils.clip_grad_norm_([peer], clip)
            other.step()
        torch.testing.assert_close(weights[i], peer.detach(), rtol=0, atol=1e-6)  # torch divides by norm + 1e-6


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_freezes_its_replica_alone(name, bad):
    torch.manual_seed(0)
    weights, alive = torch.randn(3, 5), torch.ones(3, dtype=torch.bool)
    before = weights.clone()
    gradient = torch.randn(3, 5)
    gradient[1, 2] = bad
    optimizer = make_optimizer(weights, replace(CONFIG, name=name))
    optimizer.step(gradient, 0.1, alive)
    optimizer.step(torch.ones(3, 5), 0.1, alive)
    assert alive.tolist() == [True, False, True]
    torch.testing.assert_close(weights[1], before[1], rtol=0, atol=0)
    assert (weights[[0, 2]] != before[[0, 2]]).all()


def test_adam_by_its_paper():
    """Kingma & Ba 2015, algorithm 1, two steps on one number."""
    weights, alive = torch.tensor([[1.0]], dtype=torch.float64), torch.ones(1, dtype=torch.bool)
    optimizer = make_optimizer(weights, CONFIG)
    theta, m, v = 1.0, 0.0, 0.0
    for t, g in ((1, 0.3), (2, -0.2)):
        optimizer.step(torch.tensor([[g]], dtype=torch.float64), 0.1, alive)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        theta -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)
    assert weights.item() == pytest.approx(theta, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_start_at_the_rate_and_never_rise(schedule):
    rates = [rate(replace(CONFIG, schedule=schedule), u / 100) for u in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(rates))
    if schedule != "constant":
        assert rates[-1] < 0.01 * 0.1 + 1e-3


def test_warm_up_rises_in_a_line():
    rates = [rate(replace(CONFIG, warmup=0.1), u / 100) for u in range(20)]
    assert rates[:10] == pytest.approx([0.01 * u for u in range(10)])
    assert rates[10:] == pytest.approx([0.1] * 10)
