import math
from itertools import pairwise

import pytest
import torch

from src.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, rate

CONFIG = {"lr": 0.1, "betas": [0.9, 0.99], "momentum": 0.5, "decay": 0.9, "warmup": 0.0, "schedule": "constant"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_optimizer_over_all_replicas_is_one_for_each(name):
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 7, dtype=torch.float64), torch.randn(5, 3, 7, dtype=torch.float64)

    def run(rows):
        weights = torch.nn.Parameter(start[rows].clone())
        optimizer = make_optimizer([weights], {**CONFIG, "name": name})
        for gradient in gradients:
            weights.grad = gradient[rows].clone()
            optimizer.step()
        return weights.detach()

    together = run(slice(None))
    for i in range(3):
        torch.testing.assert_close(run(slice(i, i + 1)), together[i : i + 1], rtol=0, atol=1e-12)


def test_adam_by_its_paper():
    """Kingma & Ba 2015, algorithm 1, two steps on one number."""
    weights = torch.nn.Parameter(torch.tensor([[1.0]], dtype=torch.float64))
    optimizer = make_optimizer([weights], {**CONFIG, "name": "adam"})
    theta, m, v = 1.0, 0.0, 0.0
    for t, g in ((1, 0.3), (2, -0.2)):
        weights.grad = torch.tensor([[g]], dtype=torch.float64)
        optimizer.step()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        theta -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)
    assert weights.item() == pytest.approx(theta, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_start_at_the_rate_and_never_rise(schedule):
    rates = [rate({**CONFIG, "schedule": schedule}, u, 100) for u in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(rates))
    if schedule != "constant":
        assert rates[-1] < 0.01 * 0.1 + 1e-3


def test_warm_up_rises_in_a_line():
    rates = [rate({**CONFIG, "warmup": 0.1}, u, 100) for u in range(20)]
    assert rates[:10] == pytest.approx([0.01 * (u + 1) for u in range(10)])
    assert rates[10:] == pytest.approx([0.1] * 10)
