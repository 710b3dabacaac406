"""Every vector unit against its paper's recurrence written by hand, or against the closed form of what it computes.

The truths know nothing of units: they work on whole batches of heads, over all cycles at once where the paper has such a form.
"""

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import UNITS, Network
from tests.helpers import random_case

HEADS, WIDTH = 2, 3


class Head:
    """One group's pre-activations over all cycles [B, T, size], its numbers, and the initial states that it trains."""

    def __init__(self, net, leaf, x, head):
        own, (block,) = net.split(leaf)[0], net.layers[0].blocks
        unit = block.unit

        def mine(slice_, name):
            size = unit.size(name)
            return slice(slice_.start + head * size, slice_.start + (head + 1) * size)

        for name, rows in zip(unit.pre_activations, block.rows(), strict=True):
            weights = own.matrix[0, mine(rows, name)]
            setattr(self, name, x @ weights[:, -4:-1].T + weights[:, -1])
        for name, places in zip(unit.trained, block.numbers(), strict=True):
            setattr(self, name, own.numbers[0, mine(places, name)].reshape(unit.shape(name)))


def causal(scores):
    """[B, T, S], with nothing of the cycles after t."""
    return scores.tril()


def elu1(x):
    return torch.where(x > 0, x + 1, torch.exp(x))


def silu_l2(x):
    x = x / (1 + torch.exp(-x))
    return x / torch.sqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def over_time(head, step, *states):
    """[B, T, d] of a recurrence `step(t, *states) -> y, *states`."""
    ys = []
    for t in range(head.query.shape[1]):
        y, *states = step(t, *states)
        ys.append(y)
    return torch.stack(ys, 1)


def memory_of(head):
    return head.query.new_zeros(len(head.query), WIDTH, WIDTH)


def additive_fast_weights(head):
    """The sum over the past of values, weighted by q k."""
    return causal(head.query @ head.key.mT) @ head.value


def linear_attention(head):
    """Katharopoulos et al. 2020, eq. 9: attention with another kernel than the exponential function."""
    scores = causal(elu1(head.query) @ elu1(head.key).mT)
    return scores @ head.value / (scores.sum(-1, keepdim=True) + 1e-6)


def delta_rule(head, feature=silu_l2, largest=1.0):
    """Yang et al. 2024: S_t = S_{t-1} (I - beta k k^T) + beta v k^T."""
    q, k, beta = feature(head.query), feature(head.key), largest * torch.sigmoid(head.strength)

    def step(t, s):
        forget = torch.eye(WIDTH) - beta[:, t, :, None] * torch.einsum("bi,bj->bij", k[:, t], k[:, t])
        s = s @ forget + beta[:, t, :, None] * torch.einsum("bi,bj->bij", head.value[:, t], k[:, t])
        return torch.einsum("bij,bj->bi", s, q[:, t]), s

    return over_time(head, step, memory_of(head))


def gated_delta_rule(head):
    """Yang, Kautz & Hatamizadeh 2024, eq. 10: S_t = S_{t-1} (alpha (I - beta k k^T)) + beta v k^T."""
    q, k, beta = silu_l2(head.query), silu_l2(head.key), torch.sigmoid(head.strength)
    alpha = torch.exp(-torch.exp(head.rate) * torch.log(1 + torch.exp(head.decay)))

    def step(t, s):
        forget = torch.eye(WIDTH) - beta[:, t, :, None] * torch.einsum("bi,bj->bij", k[:, t], k[:, t])
        s = alpha[:, t, :, None] * s @ forget + beta[:, t, :, None] * torch.einsum("bi,bj->bij", head.value[:, t], k[:, t])
        return torch.einsum("bij,bj->bi", s, q[:, t]), s

    return over_time(head, step, memory_of(head))


def mesa(head):
    """The ridge regression of the values on the keys so far, solved anew at every cycle."""
    ys = []
    for t in range(head.query.shape[1]):
        k, v = head.key[:, : t + 1], head.value[:, : t + 1]
        weights = torch.linalg.solve(k.mT @ k + torch.exp(head.ridge) * torch.eye(WIDTH), k.mT @ v)
        ys.append(torch.einsum("bi,bij->bj", head.query[:, t], weights))
    return torch.stack(ys, 1)


def mlstm(head):
    """Beck et al. 2024, the parallel form: what is left at t of the write at s is i_s f_{s+1} ... f_t. Without a stabiliser."""
    log_forget = torch.log(torch.sigmoid(head.forget_gate)).cumsum(1)
    decay = causal(torch.exp(log_forget - log_forget.mT + head.input_gate.mT))
    scores = decay * (head.query @ head.key.mT) / WIDTH**0.5
    scale = torch.maximum(scores.sum(-1, keepdim=True).abs(), torch.ones(()))
    return torch.sigmoid(head.output_gate) * (scores @ head.value) / scale


def self_referential(head):
    """Irie et al. 2022, eqs. 5 to 8, on one matrix whose rows make y, k, q and the four rates."""
    rows = [head.w_y, head.w_k, head.w_q, head.w_rate_y[None], head.w_rate_k[None], head.w_rate_q[None], head.w_rate_rate[None]]
    w = torch.cat(rows).expand(len(head.x), -1, -1)
    d, ys = WIDTH, []
    for t in range(head.x.shape[1]):
        made = torch.einsum("bij,bj->bi", w, head.x[:, t])
        y, k, q, beta = made.split([d, d, d, 4], -1)
        k, q = torch.softmax(k, -1), torch.softmax(q, -1)
        wanted, found = (torch.einsum("bij,bj->bi", w, at) for at in (q, k))
        rate = torch.sigmoid(beta).repeat_interleave(torch.tensor([d, d, d, 4]), -1)
        w = w + torch.einsum("bi,bj->bij", rate * (wanted - found), k)
        ys.append(y)
    return torch.stack(ys, 1)


def mlstm_of_xlstm(head):
    """The authors' own step, NX-AI/xlstm, whose file of steps needs nothing but torch. Their eps is none of the paper's."""
    found = importlib.util.find_spec("xlstm")
    if found is None:
        pytest.skip("xlstm is not installed")
    file = Path(found.submodule_search_locations[0]) / "blocks" / "mlstm" / "backends.py"
    spec = importlib.util.spec_from_file_location("backends", file)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)

    def rows(x, t):
        return x[:, None, t : t + 1].clone()

    def step(t, c, n, m):
        vectors = (rows(x, t) for x in (head.query, head.key, head.value))
        gates = (rows(x, t) for x in (head.input_gate, head.forget_gate))
        h, states = theirs.recurrent_step_stabilized_simple(c, n, m, *vectors, *gates, eps=0.0)
        return torch.sigmoid(head.output_gate[:, t]) * h[:, 0, 0], *states

    c = memory_of(head)[:, None]
    return over_time(head, step, c, c[..., :1], c[..., :1, :1])


def written(scan, head, keep):
    """What queries read of S_t = S_{t-1} keep_t (I - beta k k^T) + beta v k^T. `scan` makes the transposes of S_t."""
    q, k, beta = silu_l2(head.query), silu_l2(head.key), torch.sigmoid(head.strength)
    forget = keep * (torch.eye(WIDTH) - beta[..., None] * k[..., :, None] * k[..., None, :])
    return torch.einsum("btji,btj->bti", scan(forget, beta[..., None] * k[..., :, None] * head.value[..., None, :]), q)


def memax_scan(module, name):
    """[B, T, d, d], [B, T, d, d] -> [B, T, d, d]: S_t = M_t S_{t-1} + X_t by memax's associative scan and JAX's derivatives.

    What is not taken from memax 0.1.1, because it is none of the papers': its layers write v k^T where a memory that is
    multiplied from the left needs k v^T, double the write strength, and normalise relu(k) (DeltaNet) by |k| + 1e-6. Its linear
    attention forgets its sum of keys, and its additive fast weights read along the values; neither is used here.
    """
    if importlib.util.find_spec("memax") is None:
        pytest.skip("memax is not installed")
    import jax
    from memax.equinox import scans

    jax.config.update("jax_enable_x64", True)
    semigroup = getattr(importlib.import_module(f"memax.equinox.semigroups.{module}"), name)(WIDTH)

    def memories(m, x):
        return jax.vmap(lambda *sequence: scans.semigroup_scan(semigroup, semigroup.initialize_carry(), sequence)[1])(m, x)

    class Scan(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            made, ctx.pull_back = jax.vjp(memories, *(jax.numpy.asarray(i.numpy()) for i in inputs))
            return torch.from_numpy(np.array(made))

        @staticmethod
        def backward(ctx, errors):
            return tuple(torch.from_numpy(np.array(e)) for e in ctx.pull_back(jax.numpy.asarray(errors.numpy())))

    return Scan.apply


def delta_rule_of_memax(head):
    return written(memax_scan("delta", "DeltaNetSemigroup"), head, 1.0)


def gated_delta_rule_of_memax(head):
    decay = torch.exp(-torch.exp(head.rate) * torch.log(1 + torch.exp(head.decay)))
    return written(memax_scan("gdn", "GDNSemigroup"), head, decay[..., None])


PEERS = (additive_fast_weights, linear_attention, delta_rule, gated_delta_rule, mesa, mlstm, self_referential)
VARIANTS = {
    "mlstm, of xlstm": ({}, mlstm_of_xlstm),
    "delta_rule, of memax": ({}, delta_rule_of_memax),
    "gated_delta_rule, of memax": ({}, gated_delta_rule_of_memax),
    "delta_rule, largest=2": ({"largest": 2.0}, lambda head: delta_rule(head, largest=2.0)),
    "delta_rule, keys=plain": ({"keys": "plain"}, lambda head: delta_rule(head, lambda x: x)),
    "delta_rule, keys=softmax": ({"keys": "softmax"}, lambda head: delta_rule(head, lambda x: x.softmax(-1))),
    "delta_rule, keys=elu_sum": (
        {"keys": "elu_sum"},
        lambda head: delta_rule(head, lambda x: elu1(x) / elu1(x).sum(-1, keepdim=True)),
    ),
    "delta_rule, keys=l2": (
        {"keys": "l2"},
        lambda head: delta_rule(head, lambda x: x / torch.sqrt(x.square().sum(-1, keepdim=True) + 1e-6)),
    ),
}
CASES = {peer.__name__: ({}, peer) for peer in PEERS} | VARIANTS


def test_every_unit_has_a_peer():
    module = importlib.import_module("learning_to_learn.topology.fast_weights")
    assert {name for name, member in UNITS.items() if inspect.getmodule(member.step) is module} == {p.__name__ for p in PEERS}


@pytest.mark.parametrize("case", CASES)
def test_a_unit_equals_its_paper_in_outputs_and_gradient(case):
    torch.set_default_dtype(torch.float64)
    try:
        options, peer = CASES[case]
        net = Network.of([{case.partition(",")[0]: {"count": HEADS, "width": WIDTH, **options}}])
        parameters, x, target = random_case(net, batch=4, length=11, seed=3, scale=1.5)
        leaf = parameters.clone().requires_grad_()
        hidden = torch.cat([peer(Head(net, leaf, x[0], head)) for head in range(HEADS)], -1)
        readout = net.matrices(leaf)[-1][0, 0]
        expected = torch.sigmoid(hidden @ readout[:-1] + readout[-1]).unsqueeze(-1)
        (expected - target[0]).square().mean().backward()
        found = make_gradient("bptt").segment(net, parameters, x, target, None)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found.outputs[0], expected.detach(), rtol=0, atol=1e-10)
    torch.testing.assert_close(found.gradient, leaf.grad, rtol=0, atol=1e-10)
