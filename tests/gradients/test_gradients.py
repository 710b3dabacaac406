"""Each learning algorithm against truths that do not share its code: finite differences, equations by hand, torch's own RNN."""

import math

import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.gradients import Carry, make_gradient
from learning_to_learn.losses import loss_of
from learning_to_learn.topology import Network, unit
from tests.helpers import NETWORKS_AND_UNITS, SCALAR_NETWORKS, network, random_case


def sigma(z):
    return 1 / (1 + math.exp(-z))


def loss(net, parameters, x, target, state=None):
    outputs, _ = net.forward(parameters, x, state)
    return loss_of(outputs, target, net.kind, net.loss).mean((1, 2))


@pytest.mark.parametrize("name", NETWORKS_AND_UNITS)
@pytest.mark.parametrize("error_feedback", [False, True])
def test_bptt_against_finite_differences(name, error_feedback):
    net = network(name, error_feedback=error_feedback)
    parameters, x, target = random_case(net, batch=2, length=6)
    gradient = make_gradient("bptt").segment(net, parameters, x, target, None).gradient
    step = 1e-5
    nudges = step * torch.eye(net.parameters, dtype=torch.float64)
    many = [v.expand(net.parameters, *v.shape[1:]) for v in (parameters, x, target)]
    up, down = (loss(net, many[0] + sign * nudges, *many[1:]) for sign in (1, -1))
    torch.testing.assert_close(gradient[0], (up - down) / (2 * step), rtol=0, atol=1e-9)


def test_bptt_against_torchs_own_rnn():
    net = network("neurons")
    parameters, x, target = random_case(net, batch=4, length=9)
    matrix, output = net.matrices(parameters)
    peer = torch.nn.RNN(3, 3, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        peer.weight_hh_l0.copy_(matrix[0, :, :3])
        peer.weight_ih_l0.copy_(matrix[0, :, 3:6])
        peer.bias_ih_l0.copy_(matrix[0, :, 6])
        peer.bias_hh_l0.zero_()
    v, c = output[0, 0, :3], output[0, 0, 3]
    (torch.sigmoid(peer(x[0])[0] @ v + c) - target[0, ..., 0]).square().mean().backward()
    expected = torch.cat([peer.weight_hh_l0.grad, peer.weight_ih_l0.grad, peer.bias_ih_l0.grad[:, None]], 1)
    found = net.matrices(make_gradient("bptt").segment(net, parameters, x, target, None).gradient)[0][0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SCALAR_NETWORKS)
@pytest.mark.parametrize("error_feedback", [False, True])
def test_rtrl_is_bptt_over_a_whole_sequence(name, error_feedback):
    net = network(name, error_feedback=error_feedback)
    case = random_case(net, replicas=2, batch=3, length=12)
    backward = make_gradient("bptt").segment(net, *case, None)
    forward = make_gradient("rtrl").segment(net, *case, None)
    torch.testing.assert_close(forward.gradient, backward.gradient, rtol=0, atol=1e-9)
    torch.testing.assert_close(forward.outputs, backward.outputs, rtol=0, atol=1e-12)


def test_truncated_on_a_neuron_by_hand():
    """Elman's one-step gradient: h[t-1] is an input like any other."""
    net = Network.of([{"neuron": 1}])
    parameters, x, target = random_case(net, batch=1, length=4)
    w, u1, u2, u3, b, v, c = parameters[0].tolist()
    h, expected = 0.0, [0.0] * 7
    for t in range(4):
        source = [h, *x[0, 0, t].tolist(), 1.0]
        h = math.tanh(sum(p * s for p, s in zip((w, u1, u2, u3, b), source, strict=True)))
        y = sigma(v * h + c)
        delta = 2 * (y - target[0, 0, t].item()) / 4 * y * (1 - y)
        for i, s in enumerate(source):
            expected[i] += delta * v * (1 - h * h) * s
        expected[5] += delta * h
        expected[6] += delta
    found = make_gradient("truncated").segment(net, parameters, x, target, None).gradient
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14)


def test_truncated_on_a_memory_cell_by_hand():
    """Appendix A.1 of the 1997 paper: the cell's state remembers how its own past inputs depended on its weights."""
    net = Network.of([{"memory_cell": 1}])
    parameters, x, target = random_case(net, batch=1, length=5, seed=2)
    rows, (v, c) = parameters[0, :-2].view(3, 5).tolist(), parameters[0, -2:].tolist()
    h = s = 0.0
    ds_in, ds_cell = [0.0] * 5, [0.0] * 5  # d state / d weights of the input gate and of the cell input
    expected = [[0.0] * 5 for _ in range(3)]
    last = [0.0, 0.0]
    for t in range(5):
        source = [h, *x[0, 0, t].tolist(), 1.0]
        zi, zo, zc = (sum(p * q for p, q in zip(row, source, strict=True)) for row in rows)
        gate, out, g = sigma(zi), sigma(zo), 4 * sigma(zc) - 2
        ds_in = [d + g * gate * (1 - gate) * q for d, q in zip(ds_in, source, strict=True)]
        ds_cell = [d + gate * 4 * sigma(zc) * (1 - sigma(zc)) * q for d, q in zip(ds_cell, source, strict=True)]
        s += gate * g
        squashed = 2 * sigma(s) - 1
        h = out * squashed
        y = sigma(v * h + c)
        delta = 2 * (y - target[0, 0, t].item()) / 5 * y * (1 - y)
        slope = out * 2 * sigma(s) * (1 - sigma(s))
        for k in range(5):
            expected[0][k] += delta * v * slope * ds_in[k]
            expected[1][k] += delta * v * squashed * out * (1 - out) * source[k]
            expected[2][k] += delta * v * slope * ds_cell[k]
        last[0] += delta * h
        last[1] += delta
    found = make_gradient("truncated").segment(net, parameters, x, target, None).gradient
    flat = torch.tensor([*(value for row in expected for value in row), *last], dtype=torch.float64)
    torch.testing.assert_close(found[0], flat, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", NETWORKS_AND_UNITS)
def test_truncated_is_autograd_with_detached_recurrent_edges(name):
    """The outputs of the cycle before enter as constants, which a first run without gradients has recorded."""
    net = network(name)
    parameters, x, target = random_case(net, replicas=2)
    states, state = [], net.initial_state(parameters, 3)
    for t in range(x.shape[2]):
        states.append(state)
        _, state = net.step(net.split(parameters), state, x[:, :, t])
    leaf = parameters.clone().requires_grad_()
    total, carried = torch.zeros(2, dtype=torch.float64), net.split_state(net.initial_state(leaf, 3))[1]
    for t in range(x.shape[2]):
        hs, _, y = net.split_state(states[t])
        pieces = [p for h, s in zip(hs, carried, strict=True) for p in (h, s)]
        out, new = net.step(net.split(leaf), torch.cat([*pieces, y], -1), x[:, :, t])
        carried = net.split_state(new)[1]
        total = total + (out - target[:, :, t]).square().mean((1, 2)) / x.shape[2]
    total.sum().backward()
    found = make_gradient("truncated").segment(net, parameters, x, target, None).gradient
    torch.testing.assert_close(found, leaf.grad, rtol=0, atol=1e-13)


def test_truncated_on_neurons_is_one_step_bptt():
    net = network("neurons")
    case = random_case(net, replicas=2)
    one_step = make_gradient("bptt", window=1).segment(net, *case, None).gradient
    torch.testing.assert_close(make_gradient("truncated").segment(net, *case, None).gradient, one_step, rtol=0, atol=1e-14)


def test_a_window_cuts_the_flow_of_error():
    """Windows of 3 in 7 cycles are three separate runs whose states pass on as constants."""
    net = network("cells")
    parameters, x, target = random_case(net)
    total, state = torch.zeros_like(parameters), net.initial_state(parameters, 3)
    for start in (0, 3, 6):
        piece = slice(start, start + 3)
        leaf = parameters.clone().requires_grad_()
        outputs, state = net.forward(leaf, x[:, :, piece], state.detach())
        ((outputs - target[:, :, piece]).square().sum() / (3 * 7)).backward()
        total += leaf.grad
    found = make_gradient("bptt", window=3).segment(net, parameters, x, target, None).gradient
    torch.testing.assert_close(found, total, rtol=0, atol=1e-14)
    assert not torch.allclose(found, make_gradient("bptt").segment(net, parameters, x, target, None).gradient)


def in_segments(name, net, parameters, x, target, k):
    """The mean of the gradients of segments of k cycles, weights kept, and what was carried."""
    total, carry = torch.zeros_like(parameters), None
    length = x.shape[2]
    for start in range(0, length, k):
        piece = slice(start, start + k)
        segment = make_gradient(name).segment(net, parameters, x[:, :, piece], target[:, :, piece], carry)
        total += segment.gradient * segment.outputs.shape[2] / length
        carry = segment.carry
    return total


@pytest.mark.parametrize("name", SCALAR_NETWORKS)
def test_rtrl_sees_past_the_cut_that_bptt_makes(name):
    """With update_every=k and weights that do not move, rtrl's segments add up to the whole gradient; bptt's do not."""
    net = network(name)
    case = random_case(net, length=12)
    whole = make_gradient("bptt").segment(net, *case, None).gradient
    torch.testing.assert_close(in_segments("rtrl", net, *case, 4), whole, rtol=0, atol=1e-12)
    remembers = any(layer.recurrent or layer.states for layer in net.layers)
    cut = in_segments("bptt", net, *case, 4)
    assert ((cut - whole).abs().max() > 1e-4 * whole.abs().max()) == remembers


def test_the_sensitivities_survive_a_change_of_weights():
    """After an update rtrl goes on with sensitivities taken at the old weights (Williams & Zipser 1989), bptt with none."""
    net = network("cells")
    parameters, x, target = random_case(net, length=8)
    rtrl, bptt = make_gradient("rtrl"), make_gradient("bptt")
    first = rtrl.segment(net, parameters, x[:, :, :4], target[:, :, :4], None)
    moved = parameters - 0.1 * first.gradient
    second = rtrl.segment(net, moved, x[:, :, 4:], target[:, :, 4:], first.carry)
    cut = bptt.segment(net, moved, x[:, :, 4:], target[:, :, 4:], Carry(first.carry.state))
    torch.testing.assert_close(second.outputs, cut.outputs, rtol=0, atol=1e-14)
    assert (second.gradient - cut.gradient).abs().max() > 1e-6
    forgetful = rtrl.segment(net, moved, x[:, :, 4:], target[:, :, 4:], Carry(first.carry.state))
    torch.testing.assert_close(forgetful.gradient, cut.gradient, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("name", "window"), [("rtrl", 3), ("truncated", 3), ("bptt", 0), ("backprop", None)])
def test_what_does_not_exist_is_refused(name, window):
    with pytest.raises(UserError):
        make_gradient(name, window=window)


def test_rtrl_where_an_output_and_a_state_are_constants():
    @unit(states=1)
    def constant_unit(z, v):
        return torch.full_like(z, 0.3), torch.zeros_like(v)

    net = Network.of([{"constant_unit": 2, "neuron": 2}])
    case = random_case(net, replicas=2, batch=3, length=5)
    forward, backward = (make_gradient(name).segment(net, *case, None).gradient for name in ("rtrl", "bptt"))
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-12)
