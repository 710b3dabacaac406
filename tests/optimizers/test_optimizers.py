import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from learning_to_learn.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, rate, rates

SETTINGS = {"lr": 0.1, "betas": [0.9, 0.99], "momentum": 0.5, "decay": 0.9}


def configure(name, **more):
    """The settings that the optimizer has, and what a test asks for besides."""
    schema = OPTIMIZERS[name].config
    return schema(**{key.name: SETTINGS[key.name] for key in fields(schema) if key.name in SETTINGS} | more)


CONFIG = configure("adam")


PEERS = {
    "adam": lambda w: torch.optim.Adam(w, lr=0.1, betas=(0.9, 0.99)),
    "sgd": lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.5),
    "rmsprop": lambda w: torch.optim.RMSprop(w, lr=0.1, alpha=0.9, momentum=0.5),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("clip", [None, 1.5])
def test_each_replica_moves_as_torchs_optimizer_moves_it(name, clip):
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 7, dtype=torch.float64), torch.randn(6, 3, 7, dtype=torch.float64)
    weights, alive = start.clone(), torch.ones(3, dtype=torch.bool)
    optimizer = make_optimizer(weights, configure(name, clip=clip))
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


@pytest.mark.parametrize("name", [name for name, optimizer in OPTIMIZERS.items() if not optimizer.searches])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_freezes_its_replica_alone(name, bad):
    torch.manual_seed(0)
    weights, alive = torch.randn(3, 5), torch.ones(3, dtype=torch.bool)
    before = weights.clone()
    gradient = torch.rand(3, 5) + 0.1  # with the next one's sign, so that no optimizer steps back to where it was
    gradient[1, 2] = bad
    optimizer = make_optimizer(weights, configure(name))
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


SOAP = configure("soap", decay=0.95, refresh=4, clip=None)


def soap_by_its_paper(start, gradients, lr):
    """Vyas et al. 2024 for one vector, with every mean taken over all gradients so far instead of running."""
    beta1, beta2, weights, axes = 0.9, 0.99, start.clone(), torch.eye(len(start), dtype=start.dtype)
    m = v = torch.zeros_like(start)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (axes.T @ g) ** 2
        rotated = axes.T @ m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + 1e-8)
        weights = weights - lr * axes @ rotated
        if t % SOAP.refresh == 0:
            covariance = sum(0.05 * 0.95 ** (t - k) * torch.outer(h, h) for k, h in enumerate(gradients[:t], 1))
            axes = torch.linalg.eigh(covariance)[1] if t == SOAP.refresh else torch.linalg.qr(covariance @ axes)[0]
            v = (axes.T @ covariance @ axes).diagonal() / (1 - 0.95**t) * (1 - beta2**t)
    return weights


def test_soap_moves_each_replica_as_its_paper_says():
    torch.manual_seed(0)
    start, gradients = torch.randn(2, 5, dtype=torch.float64), torch.randn(13, 2, 5, dtype=torch.float64)
    weights, alive = start.clone(), torch.ones(2, dtype=torch.bool)
    optimizer = make_optimizer(weights, SOAP)
    for gradient in gradients:
        optimizer.step(gradient, 0.1, alive)
    for i in range(2):
        torch.testing.assert_close(weights[i], soap_by_its_paper(start[i], gradients[:, i], 0.1), rtol=1e-6, atol=1e-6)


def test_soap_does_not_see_how_the_axes_of_the_weights_lie():
    """Turn the space of the weights, and every step turns with it: what Adam cannot."""
    torch.manual_seed(0)
    gradients = torch.randn(11, 1, 6, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]

    def last_step(config, gradients):
        weights, alive = torch.zeros(1, 6, dtype=torch.float64), torch.ones(1, dtype=torch.bool)
        optimizer = make_optimizer(weights, config)
        for gradient in gradients:
            before = weights.clone()
            optimizer.step(gradient, 0.1, alive)
        return weights - before

    soap = replace(SOAP, refresh=8)
    torch.testing.assert_close(last_step(soap, gradients @ turn), last_step(soap, gradients) @ turn, rtol=0, atol=1e-6)
    assert (last_step(CONFIG, gradients @ turn) - last_step(CONFIG, gradients) @ turn).abs().max() > 0.01


def test_soap_falls_down_a_narrow_valley_that_lies_askew_faster_than_adam():
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64))[0]
    curvature = turn @ torch.diag(torch.logspace(0, -5, 20, dtype=torch.float64)) @ turn.T
    loss = {}
    for name in ("adam", "soap"):
        more = {"decay": 0.99, "refresh": 10} if name == "soap" else {}
        config = configure(name, schedule="cosine", **more)
        weights, alive = (turn @ torch.full((20,), 3.0, dtype=torch.float64))[None].clone(), torch.ones(1, dtype=torch.bool)
        optimizer = make_optimizer(weights, config)
        for update in range(1000):
            noise = 0.1 * torch.randn(1, 20, dtype=torch.float64)
            optimizer.step((weights + noise) @ curvature, rate(config, update / 1000), alive)
        loss[name] = ((weights @ curvature) * weights).sum().item()
    assert loss["soap"] < loss["adam"] / 10, loss


def test_soap_goes_on_from_its_state():
    torch.manual_seed(0)
    gradients = torch.randn(14, 2, 5)
    whole, alive = torch.zeros(2, 5), torch.ones(2, dtype=torch.bool)
    optimizer = make_optimizer(whole, SOAP)
    for gradient in gradients[:6]:
        optimizer.step(gradient, 0.1, alive)
    weights, state = whole.clone(), {k: v.clone() if torch.is_tensor(v) else v for k, v in optimizer.state().items()}
    resumed = make_optimizer(weights, SOAP)
    resumed.load(state)
    for gradient in gradients[6:]:
        optimizer.step(gradient, 0.1, alive)
        resumed.step(gradient, 0.1, alive)
    torch.testing.assert_close(weights, whole, rtol=0, atol=0)


def test_soap_freezes_a_replica_whose_covariance_overflows():
    weights, alive = torch.zeros(2, 3), torch.ones(2, dtype=torch.bool)
    optimizer = make_optimizer(weights, SOAP)
    for _ in range(SOAP.refresh):
        optimizer.step(torch.tensor([[1.0, 2.0, 3.0], [1e25, 1.0, 1.0]]), 0.1, alive)
    assert alive.tolist() == [True, False]
    assert weights.isfinite().all()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.3])
def test_the_rates_of_several_updates_are_those_of_each(schedule, warmup):
    config, lr = replace(CONFIG, schedule=schedule, warmup=warmup), np.array([0.1, 0.003])
    progress = [u / 17 for u in range(17)]
    expected = np.stack([rate(config, now, lr) for now in progress])
    assert (rates(config, progress, lr) == expected).all()
    assert expected.shape == (17, 2)
