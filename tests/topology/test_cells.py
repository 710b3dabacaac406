"""Cells against code that shares nothing with theirs: torch.nn, torchrecurrent, and published equations, in float64.

A peer computes the hidden sequence from the network's own parameters, so that its outputs and, by autograd, its gradient are
those that the network must have.
"""

import importlib
import inspect

import pytest
import torch
from torch.func import functional_call

from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import UNITS, Below, Network, Own, Trained, Uniform, unit
from learning_to_learn.topology.initial import initial_parameters
from tests.helpers import random_case

UNITS_OF_A_LAYER = 4


class Weights:
    """The weights, biases and numbers of a layer of one kind of unit, by name."""

    def __init__(self, net, leaf):
        own = net.split(leaf)[0]
        (block,), layer = net.layers[0].blocks, net.layers[0]
        rows = dict(zip(block.unit.pre_activations, block.rows(), strict=True))
        self.own = {name: own.matrix[0, at, : layer.own] for name, at in rows.items()}
        self.below = {name: own.matrix[0, at, layer.own : -1] for name, at in rows.items()}
        self.bias = {name: own.matrix[0, at, -1] for name, at in rows.items()}
        self.number = {name: own.numbers[0, at] for name, at in zip(block.unit.trained, block.numbers(), strict=True)}

    def drive(self, name, x):
        """The part of a pre-activation that comes from below, over all cycles."""
        return x @ self.below[name].T + self.bias[name]

    def stacked(self, *names):
        """The weights and biases of several pre-activations, as torch has them."""
        below, own, bias = (torch.cat([part[n] for n in names]) for part in (self.below, self.own, self.bias))
        return {"weight_ih": below, "weight_hh": own, "bias_ih": bias, "bias_hh": torch.zeros_like(bias)}


def torch_layer(module, weights, x):
    """The outputs of a torch.nn layer that has these weights."""
    return functional_call(module.double(), {f"{k}_l0": v for k, v in weights.items()}, (x,))[0]


def torchrecurrent_cell(name, weights, x, **options):
    """The outputs of a cell of torchrecurrent, an optional test dependency, that has these weights."""
    peers = pytest.importorskip("torchrecurrent", reason="torchrecurrent, an independent oracle, is not installed")
    cell = getattr(peers, name)(x.shape[-1], UNITS_OF_A_LAYER, **options).double()
    state, outputs = None, []
    for t in range(x.shape[1]):
        state = functional_call(cell, weights, (x[:, t], state))
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs, 1)


def over_time(x, step, *states):
    """Run equations from states that begin with zeros: step(t, *states) -> (output, *states)."""
    outputs = []
    kept = [x.new_zeros(len(x), UNITS_OF_A_LAYER, dtype=s) for s in states]
    for t in range(x.shape[1]):
        h, *kept = step(t, *kept)
        outputs.append(h)
    return torch.stack(outputs, 1)


REAL, COMPLEX = torch.float64, torch.complex128


def gru(w, x):
    both = w.stacked("reset", "update")
    weights = {
        "weight_ih": torch.cat([both["weight_ih"], w.below["candidate"]]),
        "weight_hh": torch.cat([both["weight_hh"], w.own["own_candidate"]]),
        "bias_ih": torch.cat([both["bias_ih"], w.bias["candidate"]]),
        "bias_hh": torch.cat([both["bias_hh"], w.bias["own_candidate"]]),
    }
    return torch_layer(torch.nn.GRU(3, UNITS_OF_A_LAYER, batch_first=True), weights, x)


def forget_cell(w, x):
    """4 sigmoid(z) - 2 = 2 tanh(z / 2): torch's cell has half the state, and half the weights of the cell input."""
    weights = w.stacked("input_gate", "forget_gate", "cell_input", "output_gate")
    half = torch.tensor([1.0, 1.0, 0.5, 1.0], dtype=x.dtype).repeat_interleave(UNITS_OF_A_LAYER)
    weights = {name: half.view(-1, *[1] * (v.ndim - 1)) * v for name, v in weights.items()}
    return torch_layer(torch.nn.LSTM(3, UNITS_OF_A_LAYER, batch_first=True), weights, x)


def neuron(w, x):
    return torch_layer(torch.nn.RNN(3, UNITS_OF_A_LAYER, batch_first=True), w.stacked("z"), x)


def independent_neuron(w, x):
    weights = {"weight_ih": w.below["z"], "vector_u": w.number["recurrent"], "bias_ih": w.bias["z"]}
    weights["bias_hh"] = torch.zeros_like(w.bias["z"])
    return torchrecurrent_cell("IndRNNCell", weights, x, nonlinearity="relu")


def janet(w, x):
    weights = w.stacked("forget_gate", "cell_input")
    return torchrecurrent_cell("JANETCell", weights, x)


def peephole_cell(w, x):
    peeps = torch.cat([w.number[name] for name in ("peep_in", "peep_forget", "peep_out")])
    weights = w.stacked("input_gate", "forget_gate", "cell_input", "output_gate") | {"weight_ph": peeps}
    return torchrecurrent_cell("PeepholeLSTMCell", weights, x)


def linear_recurrent(w, x):
    """Orvieto et al. (2023), in complex numbers: x_k = Lambda x_{k-1} + gamma B u_k, of which the layer above reads a part."""
    eigenvalue = torch.exp(torch.complex(-torch.exp(w.number["decay"]), w.number["phase"]))
    drive = torch.complex(w.drive("drive_re", x), w.drive("drive_im", x))
    gamma = (1 - eigenvalue.abs() ** 2).sqrt()

    def step(t, z):
        z = eigenvalue * z + gamma * drive[:, t]
        return torch.cat([z.real, z.imag], -1), z

    return over_time(x, step, COMPLEX)


def slstm(w, x):
    """Beck et al. (2024), eqs. 8-14, before they introduce the stabiliser, which changes no output."""

    def step(t, h, c, n):
        i, f, z, o = (
            w.drive(name, x)[:, t] + h @ w.own[name].T for name in ("input_gate", "forget_gate", "cell_input", "output_gate")
        )
        c = f.sigmoid() * c + i.exp() * z.tanh()
        n = f.sigmoid() * n + i.exp()
        h = o.sigmoid() * c / n
        return h, h, c, n

    return over_time(x, step, REAL, REAL, REAL)


def elementwise_lstm(w, x):
    """Irie et al. (2023), with a diagonal matrix from the cells to the output gates."""

    def step(t, c):
        f, z, o = (w.drive(name, x)[:, t] for name in ("forget_gate", "cell_input", "output_gate"))
        f = torch.sigmoid(f + w.number["own_forget"] * c)
        z = torch.tanh(z + w.number["own_input"] * c)
        c = f * c + (1 - f) * z
        return torch.sigmoid(o + c @ torch.diag(w.number["own_output"])) * c, c

    return over_time(x, step, REAL)


def min_gru(w, x):
    """Feng et al. (2024) as a closed form: h[t] = sum over s of prod over r > s of (1 - z[r]) times z[s] candidate[s]."""
    z, candidate = torch.sigmoid(w.drive("update", x)), w.drive("candidate", x)
    products = torch.cumprod(1 - z, 1)
    return products * torch.cumsum(z * candidate / products, 1)


def min_lstm(w, x):
    """The same with the forget gate's share in the sum of both gates."""
    f, i = torch.sigmoid(w.drive("forget_gate", x)), torch.sigmoid(w.drive("input_gate", x))
    products = torch.cumprod(f / (f + i), 1)
    return products * torch.cumsum(i / (f + i) * w.drive("candidate", x) / products, 1)


def coupled_cell(w, x):
    def step(t, h, c):
        i, o, g = (w.drive(n, x)[:, t] + h @ w.own[n].T for n in ("input_gate", "output_gate", "cell_input"))
        c = c + torch.sigmoid(i) * (torch.tanh(g) - c)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, h, c

    return over_time(x, step, REAL, REAL)


def selective_state(w, x):
    """Gu & Dao (2023), algorithm 2 with one state a channel: A = -exp(rate), B and C by the channel's own weights."""
    delta = torch.log(1 + torch.exp(w.drive("step", x)))
    kept = torch.exp(-delta * torch.exp(w.number["rate"]))
    u = w.drive("drive", x)

    def step(t, h):
        h = kept[:, t] * h + delta[:, t] * w.drive("write", x)[:, t] * u[:, t]
        return w.drive("read", x)[:, t] * h + w.number["skip"] * u[:, t], h

    return over_time(x, step, REAL)


def leaky_integrator(w, x):
    """Jaeger et al. (2007), eq. 2 with step 1 and time constant 1."""
    a = 1 / (1 + torch.exp(-w.number["leak"]))

    def step(t, h):
        h = h + a * (torch.tanh(w.drive("z", x)[:, t] + h @ w.own["z"].T) - h)
        return h, h

    return over_time(x, step, REAL)


def continuous_time_neuron(w, x):
    """tau dv/dt = -v + W tanh(v) + U x + b, by Euler's method with step over tau = sigmoid(rate)."""
    ratio = 1 / (1 + torch.exp(-w.number["rate"]))

    def step(t, v):
        v = (1 - ratio) * v + ratio * (torch.tanh(v) @ w.own["z"].T + w.drive("z", x)[:, t])
        return torch.tanh(v), v

    return over_time(x, step, REAL)


PEERS = (
    gru, forget_cell, neuron, independent_neuron, janet, peephole_cell, linear_recurrent, slstm, elementwise_lstm, min_gru,
    min_lstm, coupled_cell, selective_state, leaky_integrator, continuous_time_neuron,
)  # fmt: skip


def test_every_published_cell_has_a_peer():
    """Besides the paper's own units, which tests by hand hold to its equations."""
    cells = importlib.import_module("learning_to_learn.topology.cells")
    published = {name for name, member in UNITS.items() if inspect.getmodule(member.step) is cells}
    assert published <= {peer.__name__ for peer in PEERS}


def errors_of(peer):
    """The largest differences of outputs and gradient between a peer and its unit. `make archs` writes them down."""
    net = Network.of([{peer.__name__: UNITS_OF_A_LAYER}])
    parameters, x, target = random_case(net, batch=5, length=11, seed=3)
    leaf = parameters.clone().requires_grad_()
    hidden = peer(Weights(net, leaf), x[0])
    readout = net.matrices(leaf)[-1][0, 0]
    expected = torch.sigmoid(hidden @ readout[:-1] + readout[-1]).unsqueeze(-1)
    (expected - target[0]).square().mean().backward()
    found = make_gradient("bptt").segment(net, parameters, x, target, None)
    return float((found.outputs[0] - expected.detach()).abs().max()), float((found.gradient - leaf.grad).abs().max())


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.__name__)
def test_a_cell_equals_its_peer_in_outputs_and_gradient(peer):
    assert all(error < 1e-10 for error in errors_of(peer))


def test_weights_that_do_not_exist_have_no_place():
    """GRU: two sums over both, one over what is below, one over its own outputs; every one with a bias."""
    net = Network.of([{"gru": 4}])
    assert net.parameters == 2 * 4 * (4 + 3 + 1) + 4 * (3 + 1) + 4 * (4 + 1) + 5
    assert Network.of([{"min_gru": 4}]).parameters == 2 * 4 * (3 + 1) + 5
    assert Network.of([{"linear_recurrent": 4}]).parameters == 2 * 4 * (3 + 1) + 2 * 4 + (2 * 4 + 1)
    assert Network.of([{"gru": 4, "heads": 2}]).parameters == net.parameters - 3 * 4 * 2
    assert Network.of([{"neuron": 4, "recurrent": False}]).parameters == 4 * (3 + 1) + 5


def test_a_layer_that_does_not_hear_itself_keeps_no_outputs():
    assert Network.of([{"min_gru": 4}]).state_size == 4 + 1
    assert Network.of([{"neuron": 4, "recurrent": False}]).state_size == 1
    assert Network.of([{"neuron": 4}]).state_size == 4 + 1


@pytest.mark.parametrize("name", ["gru", "memory_cell", "peephole_cell"])
def test_heads_are_layers_side_by_side(name):
    """With heads, a layer is a dense layer whose weights from one head to another are zero."""
    net, dense = Network.of([{name: 6, "neuron": 3, "heads": 3}]), Network.of([{name: 6, "neuron": 3}])
    parameters, x, _ = random_case(net)
    (own, output), (unit_, plain) = net.split(parameters), dense.layers[0].blocks
    full = torch.zeros(dense.parameters, dtype=torch.float64)
    heads = net.layers[0].blocks
    for place, block in enumerate((unit_, plain)):
        for i, head in enumerate(heads[place::2]):
            for there, here in zip(block.rows(), head.rows(), strict=True):
                for j in range(head.count):
                    row = own.matrix[0, here.start + j]
                    places = dense.layers[0].places[there.start + i * head.count + j]
                    # Sources: head after head in `net`, kind after kind in `dense`.
                    order = [*(3 * h + u for h in range(3) for u in (0, 1)), *(3 * h + 2 for h in range(3)), *range(9, 13)]
                    for k, source in zip(places, order, strict=True):
                        if k < dense.layers[0].parameters:
                            full[k] = row[source]
                        else:
                            assert row[source] == 0
            for there, here in zip(block.numbers(), head.numbers(), strict=True):
                start = dense.layers[0].weights + there.start + i * head.count
                full[start : start + head.count] = own.numbers[0, here]
    order = [*(3 * h + u for h in range(3) for u in (0, 1)), *(3 * h + 2 for h in range(3)), 9]
    full[dense.layers[0].parameters :] = output.matrix[0, 0, order]
    torch.testing.assert_close(net.forward(parameters, x)[0], dense.forward(full[None], x)[0], rtol=0, atol=1e-12)


def test_as_many_heads_as_units_is_a_diagonal_matrix():
    net = Network.of([{"neuron": 4, "heads": 4}])
    matrix = net.matrices(random_case(net)[0])[0][0]
    assert (matrix[:, :4] - torch.diag(matrix.diagonal())).abs().max() == 0
    assert (matrix.diagonal() != 0).all()


def test_numbers_begin_as_the_unit_says():
    @unit(states=1, initial={"v": Trained(Uniform(2.0, 3.0))})
    def own_numbers(z, v, *, fixed=0.25, drawn=Uniform(-5.0, -4.0)):
        return fixed * z + drawn * v, v

    net = Network.of([{"own_numbers": 3}])
    parameters = initial_parameters(net, [1, 2], scale=0.1)
    own = net.split(parameters)[0]
    fixed, drawn, start = (own.numbers[:, i] for i in net.layers[0].blocks[0].numbers())
    assert (fixed == 0.25).all()
    assert ((drawn >= -5) & (drawn < -4)).all()
    assert len(drawn.unique()) == 6
    assert ((start >= 2) & (start < 3)).all()
    torch.testing.assert_close(net.initial_state(parameters, 2)[:, 0, 3:6], start)
    assert own.matrix.abs().max() <= 0.1


def test_a_given_initial_state_is_where_a_sequence_begins():
    net = Network.of([{"slstm": 2}])
    state = net.initial_state(torch.zeros(1, net.parameters), 3)
    assert state[0, 0].tolist() == pytest.approx([0, 0, 0, 0, 0, 0, -1e30, -1e30, 0.5])


@pytest.mark.parametrize(
    ("define", "says"),
    [
        (lambda: unit(states=1)(_below_state), "cannot be Below or Own"),
        (lambda: unit()(_no_number), "needs a number or a distribution"),
        (lambda: unit(outputs=0)(_plain), "it has 0 outputs"),
        (lambda: unit(states=1, initial={"w": 1.0})(_plain_state), "initial names"),
        (lambda: unit()(_star), "name every argument"),
    ],
)
def test_a_signature_that_does_not_fit_is_refused(define, says):
    with pytest.raises(ValueError, match=says):
        define()


def _below_state(z, v: Below):
    return z, v


def _no_number(z, *, decay):
    return (decay * z,)


def _plain(z):
    return (z,)


def _plain_state(z, v):
    return z, v


def _star(*z):
    return z


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ({"gru": 6, "heads": 4}, "layer 1: 6 units of gru cannot be divided into 4 equal heads"),
        ({"gru": 6, "heads": 0}, "heads: 0"),
        ({"gru": 6, "heads": True}, "heads: True"),
        ({"gru": 6, "recurrent": 1}, "recurrent: 1; it is true or false"),
        ({"gru": 6, "feedback": "yes"}, "feedback: 'yes'; it is true or false"),
        ({"neuron": 6, "fixed": 1}, "fixed: 1; it is true or false"),
        ({"neuron": 6, "radius": 0}, "radius: 0; it must be a number > 0"),
        ({"gru": 6, "radius": 0.9}, "radius: only the recurrent weights of units with one pre-activation"),
        ({"neuron": 6, "recurrent": False, "radius": 0.9}, "radius: only"),
        ({"heads": 2}, "layer 1 is empty"),
    ],
)
def test_layer_options_that_do_not_fit_are_refused(layer, says):
    with pytest.raises(UserError, match=says):
        Network.of([layer])


def test_annotations_may_be_text():
    """As they are under `from __future__ import annotations`."""

    def heard(a: "Below", b: "Own", c: "torch.Tensor"):
        return (a + b + c,)

    assert {name: s.name for name, s in unit()(heard).sources.items()} == {"a": "BELOW", "b": "OWN"}
    assert unit()(_below_state_free).sources == {}
    assert Own is not Below


def _below_state_free(z):
    return (z,)


def test_a_jordan_network_hears_its_own_output():
    """It is a network with one more input, which is shown what it has answered the cycle before."""
    net = Network.of([{"neuron": 3, "recurrent": False, "feedback": True}])
    shown = Network.of([{"neuron": 3, "recurrent": False}], inputs=4)
    assert net.parameters == shown.parameters
    parameters, x, target = random_case(net, length=6)
    outputs, _ = net.forward(parameters, x)
    before = torch.cat([torch.full_like(outputs[:, :, :1], 0.5), outputs[:, :, :-1]], 2)
    expected, _ = shown.forward(parameters, torch.cat([x, before], -1))
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-14)
    backward, forward, cut = (
        make_gradient(name).segment(net, parameters, x, target, None).gradient for name in ("bptt", "rtrl", "truncated")
    )
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-12)
    assert (cut - backward).abs().max() > 1e-4  # the output that is fed back is a recurrent edge


@pytest.mark.parametrize(
    ("layers", "options", "says"),
    [
        ([{"neuron": 2}, {"neuron": 2, "feedback": True}], {}, "layer 2: feedback: only the first layer"),
        ([{"neuron": 3, "residual": True}], {}, "layer 1: residual: 3 outputs cannot be added to the 3 inputs"),
        ([{"neuron": 2}, {"neuron": 3, "residual": True}], {}, "layer 2: residual: 3 outputs cannot be added to the 2 of the"),
        ([{"neuron": 2, "feedback": True}], {"error_feedback": True}, "family.feedback=error"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, options, says):
    with pytest.raises(UserError, match=says):
        Network.of(layers, **options)


@pytest.mark.parametrize("heads", [1, 4])
def test_a_layer_begins_with_its_spectral_radius(heads):
    net = Network.of(
        [{"leaky_integrator": 6, "neuron": 2, "radius": 0.8}] if heads == 1 else [{"neuron": 8, "radius": 0.8, "heads": 4}]
    )
    for matrix in net.matrices(initial_parameters(net, [3, 4]))[0][..., :8]:
        assert torch.linalg.eigvals(matrix.double()).abs().max().item() == pytest.approx(0.8, abs=1e-6)


def test_the_parameters_of_a_fixed_layer_are_named():
    net = Network.of([{"neuron": 2}, {"neuron": 3, "fixed": True}])
    first, second, _ = (layer.parameters for layer in net.all_layers)
    assert net.fixed == list(range(first, first + second))


def test_a_residual_layer_by_hand():
    """Its recurrent weights hear its own outputs; the output neuron hears them plus those of the layer below."""
    net = Network.of([{"neuron": 2}, {"neuron": 2, "residual": True}])
    parameters, x, target = random_case(net, length=6)
    leaf = parameters.clone().requires_grad_()
    first, second, readout = (matrix[0] for matrix in net.matrices(leaf))
    one = two = x.new_zeros(3, 2)
    outputs = []
    for t in range(6):
        one = torch.tanh(one @ first[:, :2].T + x[0, :, t] @ first[:, 2:5].T + first[:, 5])
        two = torch.tanh(two @ second[:, :2].T + one @ second[:, 2:4].T + second[:, 4])
        outputs.append(torch.sigmoid((one + two) @ readout[0, :2] + readout[0, 2]))
    expected = torch.stack(outputs, 1).unsqueeze(-1)
    (expected - target[0]).square().mean().backward()
    for name in ("bptt", "rtrl"):
        found = make_gradient(name).segment(net, parameters, x, target, None)
        torch.testing.assert_close(found.outputs[0], expected.detach(), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.gradient, leaf.grad, rtol=0, atol=1e-12)
