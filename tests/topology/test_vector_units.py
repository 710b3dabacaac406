"""How vector units are declared, laid out and refused."""

import pytest
import torch

from learning_to_learn.engine import make_engine
from learning_to_learn.errors import UserError
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Below, Network, Option, Trained, Uniform, vector_unit
from learning_to_learn.topology.initial import initial_parameters
from tests.helpers import random_case


def odd(**shapes):
    """A unit with axes of all kinds, numbers, an option and a trained initial state."""

    @vector_unit(states=3, outputs=2, initial={"v": Trained(Uniform(0.2, 0.4)), "m": 0.7}, shapes={
        "gate": "", "s": "d 2", "m": "", "leak": "", "pair": "2"} | shapes)  # fmt: skip
    def odd(z, drive: Below, gate, v, s, m, *, leak=0.5, by=0.1, pair=0.3, twice: Option = False):
        v = torch.sigmoid(leak) * v + torch.tanh(z) * by
        s = torch.sigmoid(gate) * s + torch.outer(drive, torch.tanh(pair) * v.mean() + m * s.amax()) / 8
        told = torch.softmax(s, 1) @ pair + torch.tanh(z) @ s @ pair / z.norm()
        return told * (2 if twice else 1), v, v, s, 0.5 * m + 0.1 * torch.dot(v, z)

    return odd


def test_where_everything_lies():
    odd()
    net = Network.of([{"odd": {"count": 2, "width": 5}, "neuron": 3}])
    layer, (group, neuron) = net.layers[0], net.layers[0].blocks
    # Sums over all sources come first: z of both groups, their gates, the neurons; then drive, which hears the layer below.
    assert [(r.start, r.stop) for r in group.rows()] == [(0, 10), (15, 25), (10, 12)]
    assert [(r.start, r.stop) for r in neuron.rows()] == [(12, 15)]
    assert [(r.start, r.stop) for r in group.outputs()] == [(0, 10), (10, 20)]
    assert [(r.start, r.stop) for r in group.states()] == [(0, 10), (10, 30), (30, 32)]
    assert [(r.start, r.stop) for r in group.numbers()] == [(0, 2), (2, 12), (12, 16), (16, 26)]
    assert (layer.outputs, layer.rows, layer.states, layer.numbers) == (23, 25, 32, 26)
    assert net.state_size == 23 + 32 + 1
    assert net.describe() == "H1: 2 odd of width 5 + 3 neuron"


def test_groups_share_nothing():
    """Two groups with the weights of one each give what two networks of one group give."""
    odd()
    two, one = (Network.of([{"odd": {"count": n, "width": 3}, "recurrent": False}]) for n in (2, 1))
    _, x, _ = random_case(one, length=5)
    draws = initial_parameters(one, [1, 2]).double()
    kept = []
    for row in draws:
        state = one.initial_state(row[None], 3)
        for t in range(5):
            _, state = one.step(one.split(row[None]), state, x[:, :, t])
        kept.append(state[..., :-1])
    both, block, single = draws.new_zeros(1, two.parameters), two.layers[0].blocks[0], one.layers[0].blocks[0]
    for mine, its in zip(block.rows(), single.rows(), strict=True):
        for n in range(2):
            for i in range(its.stop - its.start):
                here = two.layers[0].places[mine.start + n * (its.stop - its.start) + i]
                there = one.layers[0].places[its.start + i]
                both[0, here] = draws[n, there] if max(here) < two.parameters else both[0, here]
    for mine, its in zip(block.numbers(), single.numbers(), strict=True):
        both[0, two.layers[0].weights :][mine] = torch.cat([row[one.layers[0].weights :][its] for row in draws])
    state = two.initial_state(both, 3)
    for t in range(5):
        _, state = two.step(two.split(both), state, x[:, :, t])
    for mine, its in zip(block.states(), single.states(), strict=True):
        torch.testing.assert_close(state[..., mine], torch.cat([k[..., its] for k in kept], -1))


def test_a_pre_activation_can_be_held():
    """A gate that is held is one that hears nothing but its bias."""
    held = Network.of([{"delta_rule": {"count": 2, "width": 3}}], hold={"strength": 1.5})
    free = Network.of([{"delta_rule": {"count": 2, "width": 3}}])
    few, x, _ = random_case(held)
    many = torch.zeros(1, free.parameters, dtype=few.dtype)
    own = held.layers[0].weights
    many[:, :own], many[:, -7:] = few[:, :own], few[:, -7:]
    many[:, [row[-1] for row in free.layers[0].places[free.layers[0].blocks[0].rows()[-1]]]] = 1.5
    torch.testing.assert_close(free.forward(many, x)[0], held.forward(few, x)[0])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (2, "it is a vector unit: give {count: 2, width: 8}"),
        ({"count": 2}, "it is a vector unit"),
        ({"count": 2, "width": 0}, "width: 0; it must be a whole number >= 1"),
        ({"count": 2, "width": 10**9}, "width: 1000000000; a group would have 1e+18 numbers, and the most is 1e+07"),
        ({"count": 0, "width": 3}, "0 units; the count must be"),
        ({"count": 2, "width": 3, "key": 1}, "unknown option of delta_rule 'key': choose one of count, keys, largest, width"),
        ({"count": 2, "width": 3, "keys": 1}, "keys: 1; it is a value such as 'silu_l2'"),
        ({"count": 2, "width": 3, "keys": "x"}, "cannot run: keys: 'x'; choose one of plain"),
    ],
)
def test_what_is_no_group_is_one_line(given, says):
    with pytest.raises(UserError, match="layer 1: ") as error:
        Network.of([{"delta_rule": given}])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda z, s: (z, torch.outer(z, z)), r"its state s has the shape \(3,\), and the step returns \(3, 3\) for it"),
        (lambda z, s: (z.sum(), s), r"its output has the shape \(3,\), and the step returns \(\)"),
        (lambda z, s: (z, 0.5), "returns float for it"),
        (lambda z, s: (z,), "returns 1 values, not a tuple of its 1 outputs and 1 states"),
        (lambda z, s: (z.view(2, -1).sum(0), s), "of width 3 cannot run: shape"),
    ],
)
def test_a_step_that_does_not_fit_is_one_line(step, says):
    step.__name__ = "wrong"
    vector_unit(states=1)(step)
    with pytest.raises(UserError, match=says) as error:
        Network.of([{"wrong": {"count": 1, "width": 3}}])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shapes", [{"nothing": "d"}, {"s": "d d d"}, {"s": "d 0"}, {"s": "e"}])
def test_a_shape_that_does_not_exist_is_refused(shapes):
    with pytest.raises(ValueError, match="unit odd: "):
        odd(**shapes)


def test_rtrl_is_refused_with_what_it_would_cost():
    net = Network.of([{"neuron": 1}, {"delta_rule": {"count": 1, "width": 2}}])
    derivatives = net.state_size * net.parameters
    with pytest.raises(UserError, match=f"= {derivatives} derivatives a sequence"):
        make_engine("reference", net, make_gradient("rtrl"))
