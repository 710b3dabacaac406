"""Published recurrent cells whose step is elementwise. Each docstring names the paper, and where the unit differs from it.

Weights and biases are the network's: a pre-activation is a weighted sum of the layer's own outputs and the layer below, one
that is `Below` or `Own` of one of them only.
"""

from __future__ import annotations

import math

from learning_to_learn.lazy import torch
from learning_to_learn.topology.distributions import LogUniform, Uniform
from learning_to_learn.topology.units import Below, Number, Own, unit


@unit(states=1)
def independent_neuron(z: Below, h: torch.Tensor, *, recurrent: Number = Uniform(0.0, 1.0)) -> tuple[torch.Tensor, ...]:
    """IndRNN (Li et al. 2018), with their ReLU. A neuron hears itself through one weight, its neighbours through none."""
    h = torch.relu(z + recurrent * h)
    return h, h


@unit(states=1)
def leaky_integrator(z: torch.Tensor, h: torch.Tensor, *, leak: Number = Uniform(-2.0, 2.0)) -> tuple[torch.Tensor, ...]:
    """The leaky-integrator neuron of echo-state networks (Jaeger et al. 2007), whose leaking rate sigmoid(leak) is trained."""
    rate = torch.sigmoid(leak)
    h = (1 - rate) * h + rate * torch.tanh(z)
    return h, h


@unit(states=1)
def continuous_time_neuron(z: torch.Tensor, v: torch.Tensor, *, rate: Number = Uniform(-2.0, 2.0)) -> tuple[torch.Tensor, ...]:
    """CTRNN (Funahashi & Nakamura 1993), one Euler step a cycle. The step over the time constant, sigmoid(rate), is trained."""
    v = v + torch.sigmoid(rate) * (z - v)
    return torch.tanh(v), v


@unit(states=1)
def gru(
    reset: torch.Tensor, update: torch.Tensor, candidate: Below, own_candidate: Own, h: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """GRU with the reset gate after the recurrent product, as torch.nn.GRU and cuDNN have it.

    Cho et al. (2014) have it before the product, which no unit can have: its gate would act on its neighbours' outputs.
    """
    u = torch.sigmoid(update)
    h = u * h + (1 - u) * torch.tanh(candidate + torch.sigmoid(reset) * own_candidate)
    return h, h


@unit(states=1)
def min_gru(update: Below, candidate: Below, h: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The minGRU of Feng et al. (2024), section 3.1: without the log space and the positive candidate of their appendix."""
    u = torch.sigmoid(update)
    h = (1 - u) * h + u * candidate
    return h, h


@unit(states=1)
def min_lstm(forget_gate: Below, input_gate: Below, candidate: Below, h: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The minLSTM of Feng et al. (2024), section 3.2: gates divided by their sum; without the log space of their appendix."""
    forget, write = torch.sigmoid(forget_gate), torch.sigmoid(input_gate)
    h = (forget * h + write * candidate) / (forget + write)
    return h, h


@unit(states=1, bias={"forget_gate": 1.0})
def peephole_cell(
    input_gate: torch.Tensor, forget_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor,
    cell: torch.Tensor, *, peep_in: Number = Uniform(-0.5, 0.5), peep_forget: Number = Uniform(-0.5, 0.5),
    peep_out: Number = Uniform(-0.5, 0.5),
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """LSTM with forget gate and peepholes (Gers & Schmidhuber 2000), a number each, with tanh as Graves (2013) has it."""
    write = torch.sigmoid(input_gate + peep_in * cell) * torch.tanh(cell_input)
    cell = torch.sigmoid(forget_gate + peep_forget * cell) * cell + write
    return torch.sigmoid(output_gate + peep_out * cell) * torch.tanh(cell), cell


@unit(states=1, bias={"input_gate": -1.0})
def coupled_cell(
    input_gate: torch.Tensor, output_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """CIFG (Greff et al. 2017), LSTM whose forget gate is 1 - input gate; without peepholes."""
    write = torch.sigmoid(input_gate)
    cell = (1 - write) * cell + write * torch.tanh(cell_input)
    return torch.sigmoid(output_gate) * torch.tanh(cell), cell


@unit(states=1, bias={"forget_gate": 1.0})
def janet(forget_gate: torch.Tensor, cell_input: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """JANET (van der Westhuizen & Lasenby 2018), with their beta = 1. A forget gate is its only gate."""
    cell = torch.sigmoid(forget_gate) * cell + (1 - torch.sigmoid(forget_gate - 1)) * torch.tanh(cell_input)
    return cell, cell


@unit(states=1, bias={"forget_gate": 1.0})
def elementwise_lstm(
    forget_gate: Below, cell_input: Below, output_gate: Below, cell: torch.Tensor, *,
    own_forget: Number = Uniform(-0.5, 0.5), own_input: Number = Uniform(-0.5, 0.5),
    own_output: Number = Uniform(-0.5, 0.5),
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """eLSTM (Irie, Gopalakrishnan & Schmidhuber 2023), except that the output gate hears its own cell only, not all cells."""
    forget = torch.sigmoid(forget_gate + own_forget * cell)
    cell = forget * cell + (1 - forget) * torch.tanh(cell_input + own_input * cell)
    return torch.sigmoid(output_gate + own_output * cell) * cell, cell


def _ring(u: torch.Tensor) -> torch.Tensor:
    """log(-log r) of a radius r whose square is uniform in [0.5^2, 0.99^2]: uniform on a ring, Orvieto et al., lemma 3.2."""
    return torch.log(-0.5 * torch.log(0.25 + (0.99**2 - 0.25) * u))


@unit(states=2, outputs=2)
def linear_recurrent(
    drive_re: Below, drive_im: Below, re: torch.Tensor, im: torch.Tensor, *,
    decay: Number = _ring, phase: Number = LogUniform(0.01, math.pi),
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """LRU (Orvieto et al. 2023): x = lambda x + gamma B u with lambda = exp(-exp(decay) + i phase), real and imaginary part.

    gamma = sqrt(1 - |lambda|^2), to which they only initialise it. The layer above reads both parts, which is their Re(C x).
    Its bias, nonlinearity and skip connection are those that the layers have.
    """
    radius = torch.exp(-torch.exp(decay))
    cos, sin, gamma = radius * torch.cos(phase), radius * torch.sin(phase), torch.sqrt(1 - radius * radius)
    re, im = cos * re - sin * im + gamma * drive_re, sin * re + cos * im + gamma * drive_im
    return re, im, re, im


@unit(states=1, bias={"step": -2.0})
def selective_state(
    step: Below, write: Below, drive: Below, read: Below, h: torch.Tensor, *,
    rate: Number = Uniform(math.log(0.5), math.log(8)), skip: Number = 1.0,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """A selective diagonal state space, in the spirit of S6 (Mamba, Gu & Dao 2023).

    It shares with S6 a step size softplus(step), an input and an output matrix that depend on the input, a diagonal transition
    exp(-step exp(rate)), and the skip connection. It does not have several states a channel, matrices that channels share, the
    short convolution, or the gated branch.
    """
    delta = torch.nn.functional.softplus(step)
    h = torch.exp(-delta * torch.exp(rate)) * h + delta * write * drive
    return read * h + skip * drive, h


@unit(states=3, bias={"forget_gate": 1.0}, initial={"stabiliser": -1e30})
def slstm(
    input_gate: torch.Tensor, forget_gate: torch.Tensor, cell_input: torch.Tensor, output_gate: torch.Tensor,
    cell: torch.Tensor, normaliser: torch.Tensor, stabiliser: torch.Tensor,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """sLSTM (xLSTM, Beck et al. 2024): an exponential input gate, a logistic forget gate, a normaliser and a stabiliser.

    The stabiliser begins so low that the first cycle needs no branch: max(log f + m, i) is i.
    """
    kept = torch.nn.functional.logsigmoid(forget_gate) + stabiliser
    stabiliser = torch.maximum(kept, input_gate)
    write, keep = torch.exp(input_gate - stabiliser), torch.exp(kept - stabiliser)
    cell = keep * cell + write * torch.tanh(cell_input)
    normaliser = keep * normaliser + write
    return torch.sigmoid(output_gate) * cell / normaliser, cell, normaliser, stabiliser
