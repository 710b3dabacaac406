import math

import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.randomness import Stream, uniform
from learning_to_learn.topology import Network
from learning_to_learn.topology.initial import initial_parameters
from tests.helpers import NETWORKS, network, random_case


def sigma(z):
    return 1 / (1 + math.exp(-z))


def test_the_papers_networks_have_the_expected_number_of_weights():
    # Sources of a layer: its own outputs, what is below, the bias. lstm: 3 rows a cell, 1 a neuron.
    assert Network.of([{"memory_cell": 6, "neuron": 6}]).parameters == (6 * 3 + 6) * (12 + 3 + 1) + 13
    two = Network.of([{"memory_cell": 12, "neuron": 6}, {"neuron": 40}])
    assert two.parameters == (36 + 6) * (18 + 3 + 1) + 40 * (40 + 18 + 1) + 41


def test_one_step_by_hand():
    """A cell and a neuron, every weight different, against the equations written out with floats."""
    net = Network.of([{"memory_cell": 1, "neuron": 1}])
    parameters, x, _ = random_case(net, batch=1, length=3, seed=4)
    rows = parameters[0, :-3].view(4, 6).tolist()
    v1, v2, c = parameters[0, -3:].tolist()
    h1 = h2 = s = 0.0
    expected = []
    for t in range(3):
        source = [h1, h2, *x[0, 0, t].tolist(), 1.0]
        i, o, g, n = (sum(w * a for w, a in zip(row, source, strict=True)) for row in rows)
        s += sigma(i) * (4 * sigma(g) - 2)
        h1, h2 = sigma(o) * (2 * sigma(s) - 1), math.tanh(n)
        expected.append(sigma(v1 * h1 + v2 * h2 + c))
    outputs, _ = net.forward(parameters, x)
    torch.testing.assert_close(outputs[0, 0, :, 0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14)


def test_neurons_are_torchs_rnn():
    net = network("neurons")
    parameters, x, _ = random_case(net, batch=4, length=9)
    matrix, output = net.matrices(parameters)
    peer = torch.nn.RNN(3, 3, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        peer.weight_hh_l0.copy_(matrix[0, :, :3])
        peer.weight_ih_l0.copy_(matrix[0, :, 3:6])
        peer.bias_ih_l0.copy_(matrix[0, :, 6])
        peer.bias_hh_l0.zero_()
        hidden, _ = peer(x[0])
        expected = torch.sigmoid(hidden @ output[0, 0, :3] + output[0, 0, 3])
    torch.testing.assert_close(net.forward(parameters, x)[0][0, ..., 0], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("error_feedback", [False, True])
def test_running_on_from_a_state_is_running_through(name, error_feedback):
    net = network(name, error_feedback=error_feedback)
    parameters, x, _ = random_case(net, replicas=2, length=8)
    whole, end = net.forward(parameters, x)
    first, state = net.forward(parameters, x[:, :, :3])
    second, last = net.forward(parameters, x[:, :, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], 2), whole, rtol=0, atol=0)
    torch.testing.assert_close(last, end, rtol=0, atol=0)


def test_error_feedback_shows_the_error_of_the_output_before():
    plain, with_error = network("cells"), network("cells", error_feedback=True)
    parameters, x, _ = random_case(plain, length=5)
    outputs, _ = with_error.forward(parameters, x)
    previous = torch.cat([torch.full_like(outputs[:, :, :1], 0.5), outputs[:, :, :-1]], 2)
    shown = x.clone()
    shown[..., 2:] -= previous
    torch.testing.assert_close(plain.forward(parameters, shown)[0], outputs, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([], "at least one layer"),
        ([{}], "layer 1 is empty"),
        ([{"lstm": 3}], "unit .* 'lstm': choose one of .*continuous_time_neuron, .*forget_cell, .*memory_cell, .*neuron"),
        ([{"neuron": 0}], "count must be"),
        ([{"neuron": True}], "count must be"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(layers, says):
    with pytest.raises(UserError, match=says) as error:
        Network.of(layers)
    assert "\n" not in str(error.value)


def test_initial_weights_are_a_replicas_own():
    net = network("cells")
    together, alone = initial_parameters(net, [3, 4, 5]), initial_parameters(net, [4])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=0)
    assert not torch.equal(together[0], together[1])


def test_initial_weights_are_uniform_around_the_units_bias():
    net = Network.of([{"memory_cell": 20}])
    parameters = initial_parameters(net, list(range(50)), scale=0.3, bias={"output_gate": 2.0})
    matrix = net.matrices(parameters)[0]
    weights = matrix[..., :-1]
    assert weights.abs().max() <= 0.3
    assert weights.std() == pytest.approx(0.3 / 3**0.5, rel=0.02)
    biases = {"input_gate": -1.0, "output_gate": 2.0, "cell_input": 0.0}
    for (name, centre), rows in zip(biases.items(), net.layers[0].blocks[0].rows(), strict=True):
        assert matrix[:, rows, -1].mean().item() == pytest.approx(centre, abs=0.03), name
    draws = torch.from_numpy(uniform([0], Stream.WEIGHTS, 0, net.parameters))
    torch.testing.assert_close(parameters[0, 0].item(), (0.6 * draws[0, 0] - 0.3).item())


def test_a_bias_of_nothing_is_refused():
    with pytest.raises(UserError, match="choose one of"):
        initial_parameters(network("neurons"), [0], bias={"input_gate": -1.0})
