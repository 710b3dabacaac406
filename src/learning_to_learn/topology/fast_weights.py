"""Fast weights: cells whose state is a matrix, to which every cycle writes and from which it reads. Each docstring names the
paper, and where the unit differs from it.

A group of width d is a head. Queries, keys and values are d weighted sums each of the layer below. `keys` says what queries and
keys go through before they are used:

    plain      nothing
    elu        elu(x) + 1, which is positive (Katharopoulos et al. 2020)
    elu_sum    the same, divided by its sum (the sum normalisation of Schlag et al. 2021)
    softmax    softmax (Irie et al. 2021, 2022)
    l2         x / sqrt(|x|^2 + 1e-6)
    silu_l2    silu(x), then l2 (Yang et al. 2024)
"""

from __future__ import annotations

from learning_to_learn.lazy import torch
from learning_to_learn.topology.distributions import Uniform
from learning_to_learn.topology.units import Below, Number, Option, Trained
from learning_to_learn.topology.vector_units import vector_unit

MATRIX = {"memory": "d d"}


def _feature(x: torch.Tensor, keys: str) -> torch.Tensor:
    """What queries and keys go through."""
    if keys == "plain":
        return x
    if keys == "softmax":
        return torch.softmax(x, -1)
    if keys in ("elu", "elu_sum"):
        x = torch.nn.functional.elu(x) + 1
        return x / x.sum() if keys == "elu_sum" else x
    if keys in ("l2", "silu_l2"):
        x = torch.nn.functional.silu(x) if keys == "silu_l2" else x
        return x * torch.rsqrt((x * x).sum() + 1e-6)
    raise ValueError(f"keys: {keys!r}; choose one of plain, elu, elu_sum, softmax, l2, silu_l2")


@vector_unit(states=1, shapes=MATRIX)
def additive_fast_weights(
    query: Below, key: Below, value: Below, memory: torch.Tensor, *, keys: Option = "plain"
) -> tuple[torch.Tensor, ...]:
    """Fast weights that are programmed by adding outer products (Schmidhuber 1992), which is linear attention that is not
    normalised. Their FROM is the key, their TO the value; without their squashing of the fast weights.
    """
    memory = memory + torch.outer(value, _feature(key, keys))
    return memory @ _feature(query, keys), memory


@vector_unit(states=2, shapes=MATRIX)
def linear_attention(
    query: Below, key: Below, value: Below, memory: torch.Tensor, normaliser: torch.Tensor, *, keys: Option = "elu"
) -> tuple[torch.Tensor, ...]:
    """Linear attention (Katharopoulos et al. 2020, eqs. 18 to 20), divided by the sum of the keys."""
    q, k = _feature(query, keys), _feature(key, keys)
    memory, normaliser = memory + torch.outer(value, k), normaliser + k
    return memory @ q / (torch.dot(normaliser, q) + 1e-6), memory, normaliser


@vector_unit(states=1, shapes={**MATRIX, "strength": ""})
def delta_rule(
    query: Below, key: Below, value: Below, strength: Below, memory: torch.Tensor, *,
    keys: Option = "silu_l2", largest: Option = 1.0,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """DeltaNet (Schlag, Irie & Schmidhuber 2021, eq. 24): what the memory answers to a key is moved towards the value.

    The write strength is in (0, largest): 1 as they have it, 2 for the negative eigenvalues of Grazzi et al. (2024). Queries
    and keys are those of Yang et al. (2024); Schlag et al. divide by a sum, as `keys: elu_sum` does.
    """
    k = _feature(key, keys)
    memory = memory + torch.outer(largest * torch.sigmoid(strength) * (value - memory @ k), k)
    return memory @ _feature(query, keys), memory


@vector_unit(states=1, shapes={**MATRIX, "strength": "", "decay": "", "rate": ""}, bias={"decay": -2.0})
def gated_delta_rule(
    query: Below, key: Below, value: Below, strength: Below, decay: Below, memory: torch.Tensor, *,
    rate: Number = Uniform(0.0, 2.0), keys: Option = "silu_l2", largest: Option = 1.0,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """Gated DeltaNet (Yang, Kautz & Hatamizadeh 2024, eq. 10): before it is written to, the memory decays by one gate.

    The gate is exp(-exp(rate) softplus(decay)), as in Mamba 2. Without their output gate and their short convolution.
    """
    k = _feature(key, keys)
    memory = torch.exp(-torch.exp(rate) * torch.nn.functional.softplus(decay)) * memory
    memory = memory + torch.outer(largest * torch.sigmoid(strength) * (value - memory @ k), k)
    return memory @ _feature(query, keys), memory


@vector_unit(states=2, shapes={**MATRIX, "inverse": "d d", "ridge": ""})
def mesa(
    query: Below, key: Below, value: Below, memory: torch.Tensor, inverse: torch.Tensor, *,
    ridge: Number = 0.0, keys: Option = "plain",
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """The mesa layer (von Oswald et al. 2023, eq. 8): ridge regression of the values on the keys so far, at the query.

    The inverse of sum k k^T + exp(ridge) I follows every key by Sherman & Morrison. Its state is that inverse's difference from
    where it began, so that it begins with 0, with keys and queries scaled to a ridge of 1. Without forgetting.
    """
    scale = torch.exp(-0.5 * ridge)
    k, q = scale * _feature(key, keys), scale * _feature(query, keys)
    gain = k + inverse @ k
    inverse = inverse - torch.outer(gain / (1 + torch.dot(k, gain)), gain)
    memory = memory + torch.outer(value, k)
    return memory @ (q + inverse @ q), memory, inverse


@vector_unit(
    states=3, shapes={**MATRIX, "input_gate": "", "forget_gate": "", "stabiliser": ""}, bias={"forget_gate": 3.0},
    initial={"stabiliser": -1e30},
)  # fmt: skip
def mlstm(
    query: Below, key: Below, value: Below, input_gate: Below, forget_gate: Below, output_gate: Below, memory: torch.Tensor,
    normaliser: torch.Tensor, stabiliser: torch.Tensor,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """mLSTM (xLSTM, Beck et al. 2024, eqs. 19 to 27), with a logistic forget gate and their stabiliser.

    The stabiliser begins so low that the first cycle needs no branch: max(log f + m, i) is i. The output does not depend on it.
    Without their block around it: up-projection, convolution, and the norm of each head.
    """
    key = key * key.shape[-1] ** -0.5
    kept = torch.nn.functional.logsigmoid(forget_gate) + stabiliser
    stabiliser = torch.maximum(kept, input_gate)
    keep, write = torch.exp(kept - stabiliser), torch.exp(input_gate - stabiliser)
    memory = keep * memory + torch.outer(write * value, key)
    normaliser = keep * normaliser + write * key
    scale = torch.maximum(torch.abs(torch.dot(normaliser, query)), torch.exp(-stabiliser))
    return torch.sigmoid(output_gate) * (memory @ query) / scale, memory, normaliser, stabiliser


_START = Trained(Uniform(-0.5, 0.5))


@vector_unit(
    states=7,
    shapes={"w_y": "d d", "w_k": "d d", "w_q": "d d"},
    initial=dict.fromkeys(("w_y", "w_k", "w_q", "w_rate_y", "w_rate_k", "w_rate_q", "w_rate_rate"), _START),
)
def self_referential(
    x: Below, w_y: torch.Tensor, w_k: torch.Tensor, w_q: torch.Tensor, w_rate_y: torch.Tensor, w_rate_k: torch.Tensor,
    w_rate_q: torch.Tensor, w_rate_rate: torch.Tensor, *, keys: Option = "softmax",
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """The self-referential weight matrix (Schmidhuber 1993; Irie et al. 2022, eqs. 5 to 8): it modifies itself, also the part
    that decides how. What it begins with is trained.

    The matrix makes of x an output, a key, a query and four rates, one for each of its parts, which are the states here: W_y,
    W_k, W_q and the four rows that make the rates. x is a weighted sum of the layer below.
    """
    k, q = _feature(w_k @ x, keys), _feature(w_q @ x, keys)
    y, read = w_y @ x, q - k
    at_y, at_k = torch.sigmoid(torch.dot(w_rate_y, x)), torch.sigmoid(torch.dot(w_rate_k, x))
    at_q, at_rate = torch.sigmoid(torch.dot(w_rate_q, x)), torch.sigmoid(torch.dot(w_rate_rate, x))
    w_y = w_y + torch.outer(at_y * (w_y @ read), k)
    w_k = w_k + torch.outer(at_k * (w_k @ read), k)
    w_q = w_q + torch.outer(at_q * (w_q @ read), k)
    rates = (w_rate_y, w_rate_k, w_rate_q, w_rate_rate)
    return y, w_y, w_k, w_q, *(w + at_rate * torch.dot(w, read) * k for w in rates)
