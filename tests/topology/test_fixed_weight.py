"""The network of constant weights against the ordinary learner, whose weights autograd and a plain loop change."""

import numpy as np
import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network
from learning_to_learn.topology.fixed_weight import CHALMERS, chalmers, check_rule, delta, fixed_weight, learner, widrow_hoff
from learning_to_learn.topology.multiplier import factor_ranges, fit_multiplier, plain_neurons

SEQUENCES, CYCLES = 100, 40


def draw(network, *, seed=0, scale=1.0):
    """Initial weights [N, p], one sequence for each: inputs [N, T, 2] and targets [N, T]."""
    generator = torch.Generator().manual_seed(seed)
    initial = scale * torch.randn(SEQUENCES, network.parameters, generator=generator, dtype=torch.float64)
    x = 2 * torch.rand(SEQUENCES, CYCLES, 2, generator=generator, dtype=torch.float64) - 1
    return initial, x, torch.rand(SEQUENCES, CYCLES, generator=generator, dtype=torch.float64)


def shown(x, target):
    """What the recurrent network is shown: x[t] and the target of the cycle before; a replica has one sequence."""
    previous = torch.cat([torch.full_like(target[:, :1], 0.5), target[:, :-1]], 1)
    return torch.cat([x, previous.unsqueeze(-1)], -1).unsqueeze(1)


def learn_online(network, rate, initial, x, target):
    """What the learner answers, which after every cycle takes a step down the gradient of (t - y)^2 / 2, by autograd."""
    weights, outputs = initial.clone(), []
    for t in range(x.shape[1]):
        leaf = weights.clone().requires_grad_()
        y = network.forward(leaf, x[:, None, t : t + 1])[0][:, 0, 0, 0]
        (gradient,) = torch.autograd.grad(((target[:, t] - y) ** 2 / 2).sum(), leaf)
        weights -= rate * gradient
        outputs.append(y.detach())
    return torch.stack(outputs, 1)


LEARNERS = {"one neuron": learner(), "two hidden": learner(hidden=2), "three tanh": learner(hidden=3, unit="neuron")}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("rate", [0.3, 3.0])
def test_the_network_answers_as_the_learner_that_changes_its_weights(name, rate):
    network = LEARNERS[name]
    initial, x, target = draw(network)
    made = fixed_weight(network, delta(rate))
    found, _ = made.network.forward(made.parameters(initial), shown(x, target))
    expected = learn_online(network, rate, initial, x, target)
    torch.testing.assert_close(found[:, 0, :, 0], expected, rtol=0, atol=1e-12)
    frozen = network.forward(initial, x.unsqueeze(1))[0][:, 0, :, 0]
    assert (found[:, 0, :, 0] - frozen).abs().max() > 0.1  # it has learnt something


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one neuron", "two hidden"])
def test_the_fused_engine_is_as_exact_in_float64_and_says_what_float32_loses(name):
    network = LEARNERS[name]
    initial, x, target = draw(network)
    made, expected = fixed_weight(network, delta(1.0)), learn_online(network, 1.0, initial, x, target)
    parameters, inputs = made.parameters(initial), shown(x, target)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        engine = make_engine("fused", made.network, make_gradient("bptt"), dtype=dtype)
        found, _ = engine.outputs(parameters.to(dtype), inputs.to(dtype))
        torch.testing.assert_close(found[:, 0, :, 0].double(), expected, rtol=0, atol=tolerance)


def test_widrow_and_hoff_leave_the_neurons_derivative_out():
    network = learner()
    initial, x, target = draw(network)
    made = fixed_weight(network, widrow_hoff(0.7))
    found = made.network.forward(made.parameters(initial), shown(x, target))[0][:, 0, :, 0].numpy()
    w, source = initial.numpy().copy(), np.concatenate([x.numpy(), np.ones((SEQUENCES, CYCLES, 1))], -1)
    for t in range(CYCLES):
        y = 1 / (1 + np.exp(-(w * source[:, t]).sum(1)))
        np.testing.assert_allclose(found[:, t], y, rtol=0, atol=1e-12)
        w += 0.7 * (target[:, t].numpy() - y)[:, None] * source[:, t]


def test_the_rule_of_chalmers_with_any_coefficients():
    """In the first cycle the previous answer and target are 0.5, and the synapses but the bias have carried 0."""
    network, coefficients = learner(), np.random.default_rng(0).normal(size=len(CHALMERS)) / 50
    initial, x, target = draw(network)
    made = fixed_weight(network, chalmers(coefficients))
    found = made.network.forward(made.parameters(initial), shown(x, target))[0][:, 0, :, 0].numpy()
    w, source = initial.numpy().copy(), np.concatenate([x.numpy(), np.ones((SEQUENCES, CYCLES, 1))], -1)
    y, t, a = np.full((SEQUENCES, 1), 0.5), np.full((SEQUENCES, 1), 0.5), np.array([[0.0, 0.0, 1.0]])
    for cycle in range(CYCLES):
        terms = (w, a, y, t, w * a, w * y, w * t, a * y, a * t, y * t)
        w = w + sum(c * term for c, term in zip(coefficients, terms, strict=True))
        a, t = source[:, cycle], target[:, cycle : cycle + 1].numpy()
        y = 1 / (1 + np.exp(-(w * a).sum(1, keepdims=True)))
        np.testing.assert_allclose(found[:, cycle], y[:, 0], rtol=0, atol=1e-12)


def test_gradients_of_a_network_whose_last_layer_is_fed_back():
    """Finite differences for the reference, which the kernel is held to; rtrl is bptt."""
    net = Network.of([{"neuron": 2, "linear_neuron": 1, "feedback": "last_layer"}, {"pi_neuron": 2}, {"neuron": 2}])
    generator = torch.Generator().manual_seed(1)
    parameters = torch.rand(2, net.parameters, generator=generator, dtype=torch.float64) - 0.5
    x, target = (torch.rand(2, 3, 9, *more, generator=generator, dtype=torch.float64) for more in ((3,), (1,)))
    found = make_gradient("bptt").segment(net, parameters, x, target, None)
    step = 1e-5
    for p in range(net.parameters):
        up, down = parameters.clone(), parameters.clone()
        up[:, p] += step
        down[:, p] -= step
        losses = [(net.forward(w, x)[0] - target).square().mean((1, 2, 3)) for w in (up, down)]
        torch.testing.assert_close(found.gradient[:, p], (losses[0] - losses[1]) / (2 * step), rtol=0, atol=1e-9)
    rtrl = make_gradient("rtrl").segment(net, parameters, x, target, None)
    torch.testing.assert_close(rtrl.gradient, found.gradient, rtol=0, atol=1e-12)
    for name in ("bptt", "truncated"):
        gradient = make_gradient(name)
        expected = gradient.segment(net, parameters, x, target, None)
        fused = make_engine("fused", net, gradient, dtype=torch.float64).segment(parameters, x, target)
        torch.testing.assert_close(fused.gradient, expected.gradient, rtol=0, atol=1e-12)
        torch.testing.assert_close(fused.outputs, expected.outputs, rtol=0, atol=1e-12)
    with pytest.warns(UserWarning, match="no forward-mode kernel"):
        assert make_engine("auto", net, make_gradient("rtrl")).name == "reference"


@pytest.mark.parametrize(
    ("network", "rule", "says"),
    [
        (Network.of([{"neuron": 2}], inputs=2), delta(1.0), "feedforward"),
        (Network.of([{"memory_cell": 2, "recurrent": False}], inputs=2), delta(1.0), "feedforward"),
        (Network.of([{"neuron": 2, "recurrent": False}] * 2, inputs=2), delta(1.0), "2 hidden layers"),
        (learner(hidden=2), widrow_hoff(1.0), "hidden neurons have not"),
    ],
)
def test_a_learner_that_cannot_be_wired_is_refused(network, rule, says):
    with pytest.raises(UserError, match=says):
        fixed_weight(network, rule)


@pytest.mark.parametrize(("rule", "hidden"), [("hebb", 0), ("delta", 2)])
def test_a_rule_that_does_not_exist_or_fit_is_refused(rule, hidden):
    with pytest.raises(UserError, match=r"arch\.rule"):
        check_rule(rule, hidden)


@pytest.mark.parametrize("layers", [[{"neuron": 2, "feedback": "last_layer"}],
                                    [{"neuron": 2, "feedback": "last_layer"}, {"neuron": 2, "recurrent": False}],
                                    [{"neuron": 2, "feedback": "above"}]])  # fmt: skip
def test_feedback_that_no_layer_can_have_is_refused(layers):
    with pytest.raises(UserError, match="layer 1: feedback"):
        Network.of(layers)


def test_plain_neurons_multiply_the_better_the_more_there_are():
    """Step (4) of the figure: the recurrent network without a Π unit answers nearly as the learner does."""
    network = learner()
    initial, x, target = (v[:20] for v in draw(network))
    made, expected = fixed_weight(network, delta(1.0)), learn_online(network, 1.0, initial, x, target)
    ranges = factor_ranges(made, initial, shown(x, target))
    errors = {}
    for neurons in (4, 16):
        multiplier = fit_multiplier(neurons)
        plain = fixed_weight(network, delta(1.0), product=plain_neurons(multiplier, ranges))
        assert not any(block.unit.name == "pi_neuron" for layer in plain.network.layers for block in layer.blocks)
        found = plain.network.forward(plain.parameters(initial), shown(x, target))[0][:, 0, :, 0]
        errors[neurons] = (multiplier.error, (found - expected).abs().max().item())
    assert errors[4][0] < 0.1
    assert errors[16][0] < errors[4][0] / 4
    assert errors[16][1] < min(0.01, errors[4][1])
