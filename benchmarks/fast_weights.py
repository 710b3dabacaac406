"""Vector units beside other means of running them: two heads of eight over an output neuron, forward and backward.

JAX has all pre-activations made in one product before the loop over time, replicas and sequences by `jax.vmap`, and is jitted.
It runs by `jax.lax.scan` with unroll 1, 4 and 8, and where the recurrence allows by `jax.lax.associative_scan`. torch loops
over time with a step that `torch.compile` has compiled.
"""

from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks import peers
from learning_to_learn.topology import Network

UNITS = ("linear_attention", "delta_rule", "mlstm")
HEADS, WIDTH = 2, 8
UNROLL = (1, 4, 8)


def network(unit: str) -> Network:
    return Network.of([{unit: {"count": HEADS, "width": WIDTH}}])


def case(unit: str, *, replicas: int, batch: int, length: int) -> tuple[Network, Tensor, Tensor, Tensor]:
    """The network, parameters [R, P], inputs and targets."""
    net = network(unit)
    p = torch.rand(replicas, net.parameters) - 0.5
    return net, p, torch.rand(replicas, batch, length, 3), torch.rand(replicas, batch, length)


def works(unit: str, *, replicas: int, batch: int = 128, length: int = 256, compiled: bool = True) -> dict[str, peers.Work]:
    """What is timed, by name."""
    arguments = case(unit, replicas=replicas, batch=batch, length=length)
    found = {"fused": peers.engine("fused", arguments[0], "bptt", *arguments[1:])}
    if compiled:
        found["torch, compiled step"] = compiled_step(*arguments)
    if find_spec("jax"):
        found |= {f"JAX, unroll {n}": jax_scan(*arguments, unroll=n) for n in UNROLL}
        if unit == "linear_attention":
            found["JAX, associative_scan"] = jax_associative(*arguments)
    return found


def compiled_step(net: Network, p: Tensor, x: Tensor, y: Tensor) -> peers.Work:
    """A loop over time in PyTorch whose step is compiled; one network after the other."""
    layer = net.layers[0]
    step = torch.compile(layer.apply, dynamic=False)

    def one(parameters: Tensor, x: Tensor, y: Tensor) -> Any:
        leaf = parameters.clone().requires_grad_()
        own, readout = net.split(leaf[None])
        z = torch.nn.functional.linear(x, own.matrix[0, :, :-1], own.matrix[0, :, -1])
        state, hs = net.initial_state(leaf[None].detach(), len(x))[0, :, : layer.states], []
        for t in range(x.shape[1]):
            h, state = step(z[:, t], state, own.numbers[0])
            hs.append(h)
        outputs = torch.sigmoid(torch.stack(hs, 1) @ readout.matrix[0, 0, :-1] + readout.matrix[0, 0, -1])
        (outputs - y).square().mean().backward()

    return lambda: [one(p[r], x[r], y[r]) for r in range(len(p))]


def jax_scan(net: Network, p: Tensor, x: Tensor, y: Tensor, *, unroll: int = 1) -> peers.Work:
    """`jax.lax.scan` of the same cell."""
    import jax

    cell, start = _cell(net)

    def heads(rows: dict[str, Any]) -> Any:  # of one sequence: [T, ...] -> [T, d]
        return jax.lax.scan(lambda s, now: cell(s, **now), start, rows, unroll=unroll)[1]

    return _jitted(net, heads, p, x, y)


def jax_associative(net: Network, p: Tensor, x: Tensor, y: Tensor) -> peers.Work:
    """Linear attention, whose memory is a running sum."""
    import jax
    import jax.numpy as jnp

    def heads(rows: dict[str, Any]) -> Any:
        q, k = (jax.nn.elu(rows[name]) + 1 for name in ("query", "key"))
        written = jnp.einsum("ti,tj->tij", rows["value"], k)
        memory, normaliser = jax.lax.associative_scan(lambda a, b: (a[0] + b[0], a[1] + b[1]), (written, k))
        return jnp.einsum("tij,tj->ti", memory, q) / (jnp.sum(normaliser * q, -1, keepdims=True) + 1e-6)

    return _jitted(net, heads, p, x, y)


def _jitted(net: Network, heads: Callable, p: Tensor, x: Tensor, y: Tensor) -> peers.Work:
    """The loss and its gradient, when `heads` runs one head over one sequence."""
    import jax
    import jax.numpy as jnp

    layer, (block,) = net.layers[0], net.layers[0].blocks
    places = dict(zip(block.unit.pre_activations, block.rows(), strict=True))

    def sequence(parameters, x):  # noqa: ANN001, ANN202
        matrix = parameters[: layer.weights].reshape(layer.rows, -1)
        z = x @ matrix[:, :-1].T + matrix[:, -1]
        shapes = {name: (len(x), HEADS, *block.unit.shape(name)) for name in places}
        rows = {name: jnp.moveaxis(z[:, at].reshape(shapes[name]), 1, 0) for name, at in places.items()}
        h = jnp.moveaxis(jax.vmap(heads)(rows), 0, 1).reshape(len(x), -1)
        readout = parameters[layer.parameters :]
        return jax.nn.sigmoid(h @ readout[:-1] + readout[-1])

    def loss(parameters, x, y):  # noqa: ANN001, ANN202
        return jnp.mean((jax.vmap(sequence, in_axes=(None, 0))(parameters, x) - y) ** 2)

    work = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    arguments = [jnp.asarray(a.numpy()) for a in (p, x, y)]
    return lambda: jax.block_until_ready(work(*arguments))


def _cell(net: Network) -> tuple[Callable, Any]:
    """One cycle of one head of one sequence: (states, pre-activations by name) -> (states, y); and the first states."""
    import jax
    import jax.numpy as jnp

    memory, vector = jnp.zeros((WIDTH, WIDTH)), jnp.zeros(WIDTH)

    def linear_attention(s, query, key, value):  # noqa: ANN001, ANN202
        m, n = s
        q, k = jax.nn.elu(query) + 1, jax.nn.elu(key) + 1
        m, n = m + jnp.outer(value, k), n + k
        return (m, n), m @ q / (n @ q + 1e-6)

    def unit_length(x):  # noqa: ANN001, ANN202
        x = jax.nn.silu(x)
        return x * jax.lax.rsqrt(x @ x + 1e-6)

    def delta_rule(m, query, key, value, strength):  # noqa: ANN001, ANN202
        q, k = unit_length(query), unit_length(key)
        m = m + jnp.outer(jax.nn.sigmoid(strength) * (value - m @ k), k)
        return m, m @ q

    def mlstm(s, query, key, value, input_gate, forget_gate, output_gate):  # noqa: ANN001, ANN202
        c, n, m = s
        k, kept = key / WIDTH**0.5, jax.nn.log_sigmoid(forget_gate) + m
        m = jnp.maximum(kept, input_gate)
        keep, write = jnp.exp(kept - m), jnp.exp(input_gate - m)
        c, n = keep * c + write * jnp.outer(value, k), keep * n + write * k
        return (c, n, m), jax.nn.sigmoid(output_gate) * (c @ query) / jnp.maximum(jnp.abs(n @ query), jnp.exp(-m))

    cells: dict[str, tuple[Callable, Any]] = {
        "linear_attention": (linear_attention, (memory, vector)),
        "delta_rule": (delta_rule, memory),
        "mlstm": (mlstm, (memory, vector, jnp.array(-1e30))),
    }
    return cells[net.layers[0].blocks[0].unit.name.split()[0]]


def table(times: dict[tuple[str, int], dict[str, list[float]]]) -> list[str]:
    """The section of docs/benchmarks.md: the best of JAX, and how many times the fused engine's time it takes."""
    lines = [
        "## Fast weights", "",
        "Two heads of eight, bptt, 128 sequences of 256 cycles. Medians in milliseconds; in brackets, times the fused engine.",
        "",
        "| unit | replicas | fused | ns a cycle and sequence | torch, compiled step | JAX, its best | which |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]  # fmt: skip
    for (unit, replicas), found in times.items():
        ms = {name: 1e3 * median(t) for name, t in found.items()}
        fused, best = ms["fused"], min((n for n in ms if n.startswith("JAX")), key=lambda n: ms[n], default=None)
        cells = [unit, str(replicas), f"{fused:.2f}", f"{1e6 * fused / (replicas * 128 * 256):.0f}"]
        cells += [f"{ms[n]:.0f} ({ms[n] / fused:.1f})" if n in ms else "" for n in ("torch, compiled step", best)]
        lines.append("| " + " | ".join([*cells, str(best or "").removeprefix("JAX, ")]) + " |")
    return [*lines, ""]
