"""Today's recurrences beside other means of running them: the archs gru, lru and slstm, forward and backward.

JAX has what hears the inputs made in one product before the loop over time, replicas and sequences by `jax.vmap`, and is
jitted. It runs by `jax.lax.scan` with unroll 1, 4 and 8, and the LRU, which is linear, by `jax.lax.associative_scan` too.
torch loops over time with a step that `torch.compile` has compiled, and has a cell of its own for GRU. Of every other arch the
fused engine is timed alone, for docs/archs.md. `python -m benchmarks.recurrences` measures this part of `make bench`.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.fast_weights import UNROLL
from benchmarks.page import put
from benchmarks.turns import rows_of, take_turns, write_rows
from learning_to_learn.composing import compose_config, options
from learning_to_learn.config_check import make_network
from learning_to_learn.topology import Network
from learning_to_learn.topology.module import ModuleNetwork
from learning_to_learn.topology.network import Layer
from learning_to_learn.training.start import initial_weights

CSV = Path("reports/bench_archs.csv")
ARCHS: dict[str, list[dict[str, Any]]] = {
    "gru": [{"gru": 9}],
    "lru": [{"linear_recurrent": 12}, {"neuron": 10, "recurrent": False}],
    "slstm": [{"slstm": 12, "heads": 4}],
}
SHAPES = ((1, 128, 256), (8, 128, 256), (4, 10, 256))
"""Replicas, sequences, cycles. The last is that of training."""
HEADINGS = (
    "arch", "replicas x sequences x cycles", "fused", "ns a cycle and sequence", "torch.nn", "torch, compiled step",
    "JAX, its best", "which",
)  # fmt: skip


def case(arch: str, *, replicas: int, batch: int, length: int) -> tuple[Network, Tensor, Tensor, Tensor]:
    """The network, parameters [R, P], inputs and targets."""
    net = Network.of(ARCHS[arch])
    p = torch.rand(replicas, net.parameters) - 0.5
    return net, p, torch.rand(replicas, batch, length, 3), torch.rand(replicas, batch, length)


def works(arch: str, *, replicas: int, batch: int, length: int, compiled: bool = True) -> dict[str, peers.Work]:
    """What is timed, by name."""
    arguments = case(arch, replicas=replicas, batch=batch, length=length)
    found = {"fused": peers.engine("fused", arguments[0], "bptt", *arguments[1:], update=batch)}
    if arch == "gru":
        found["torch.nn"] = peers.torch_modules([torch.nn.GRU(3, 9, batch_first=True)], *arguments[2:])
    if compiled:
        found["torch, compiled step"] = compiled_step(*arguments)
    if find_spec("jax"):
        found |= {f"JAX, unroll {n}": jax_recurrence(*arguments, unroll=n) for n in UNROLL}
        if arch == "lru":
            found["JAX, associative_scan"] = jax_recurrence(*arguments, unroll=None)
    return found


def compiled_step(net: Network, p: Tensor, x: Tensor, y: Tensor) -> peers.Work:
    """A loop over time in PyTorch whose step is compiled; one network after the other."""
    layer = net.layers[0]

    def cycle(below: Tensor, h: Tensor, s: Tensor, own: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return layer.apply(below + h @ own if layer.own else below, s, numbers)

    step = torch.compile(cycle, dynamic=False)

    def one(parameters: Tensor, x: Tensor, y: Tensor) -> Any:
        leaf = parameters.clone().requires_grad_()
        first, *above = net.split(leaf[None])
        matrix = first.matrix[0]
        below = torch.nn.functional.linear(x, matrix[:, layer.own : -1], matrix[:, -1])
        state = net.initial_state(leaf[None].detach(), len(x))[0]
        h, s, hs = x.new_zeros(len(x), layer.outputs), state[:, layer.own : layer.own + layer.states], []
        for t in range(x.shape[1]):
            h, s = step(below[:, t], h, s, matrix[:, : layer.own].T, first.numbers[0])
            hs.append(h)
        outputs = torch.stack(hs, 1)
        for own in above:
            z = torch.nn.functional.linear(outputs, own.matrix[0, :, :-1], own.matrix[0, :, -1])
            outputs = torch.sigmoid(z) if own is above[-1] else torch.tanh(z)
        (outputs[..., 0] - y).square().mean().backward()

    return lambda: [one(p[r], x[r], y[r]) for r in range(len(p))]


def jax_recurrence(net: Network, p: Tensor, x: Tensor, y: Tensor, *, unroll: int | None) -> peers.Work:
    """The loss and its gradient by `jax.lax.scan`; `unroll=None`: by `jax.lax.associative_scan`, of the LRU."""
    import jax
    import jax.numpy as jnp

    layer = net.layers[0]
    cell = _cells()[layer.blocks[0].unit.name]
    start = jnp.asarray(net.initial_state(p[:1], 1)[0, 0, layer.own : layer.own + layer.states].numpy())

    def first(parameters: Any, x: Any) -> Any:
        """The outputs of the first layer, [T, H]."""
        below, own = _pre_activations(layer, parameters, x)
        numbers = [parameters[layer.weights + i.start : layer.weights + i.stop] for i in layer.blocks[0].numbers()]
        if unroll is None:
            return _associative(layer, below, numbers)

        def cycle(carry: Any, z: Any) -> Any:
            h, s = carry
            h, s = cell(layer, own(z, h), s, numbers)
            return (h, s), h

        return jax.lax.scan(cycle, (jnp.zeros(layer.outputs), start), below, unroll=unroll)[1]

    def sequence(parameters: Any, x: Any) -> Any:
        place, outputs = layer.parameters, first(parameters, x)
        for above in net.all_layers[1:]:
            matrix = parameters[place : place + above.parameters].reshape(above.rows, -1)
            z = outputs @ matrix[:, :-1].T + matrix[:, -1]
            outputs, place = (jax.nn.sigmoid if above is net.output else jnp.tanh)(z), place + above.parameters
        return outputs[:, 0]

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return jnp.mean((jax.vmap(sequence, in_axes=(None, 0))(parameters, x) - y) ** 2)

    work = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    arguments = [jnp.asarray(a.numpy()) for a in (p, x, y)]
    return lambda: jax.block_until_ready(work(*arguments))


def _pre_activations(layer: Layer, parameters: Any, x: Any) -> tuple[Any, Callable]:
    """What the pre-activations hear of the inputs [T, M], and a function that adds what they hear of the outputs."""
    import jax.numpy as jnp

    below, heard = jnp.zeros((len(x), layer.rows)), []
    with_one = jnp.concatenate([x, jnp.ones((len(x), 1))], -1)
    for p in layer.products:
        weights = parameters[p.first : p.first + p.parameters].reshape(p.heads, p.rows, p.terms)
        rows = slice(p.row, p.row + p.heads * p.rows)
        split = max(0, layer.own - p.source)
        if p.heads == 1 and split < p.terms:
            shown = slice(p.source + split - layer.own, p.source + p.terms - layer.own)
            below = below.at[:, rows].add(with_one[:, shown] @ weights[0, :, split:].T)
        if split:
            heard.append((rows, weights if p.heads > 1 else weights[:, :, :split]))

    def own(z: Any, h: Any) -> Any:
        for rows, weights in heard:
            parts = h.reshape(weights.shape[0], -1)
            z = z.at[rows].add(jnp.einsum("hrk,hk->hr", weights, parts).reshape(-1))
        return z

    return below, own


def _cells() -> dict[str, Callable]:
    """One cycle of a layer of units: (layer, pre-activations [M], states [S], numbers) -> (outputs, states)."""
    import jax
    import jax.numpy as jnp

    def parts(layer: Layer, z: Any, s: Any) -> tuple[list[Any], list[Any]]:
        """Of all heads together, in the order of the layer's outputs."""
        count, blocks = layer.blocks[0].count, layer.blocks
        rows = [
            jnp.concatenate([z[b.rows()[n].start : b.rows()[n].start + count] for b in blocks])
            for n in range(len(blocks[0].row))
        ]
        names = range(len(blocks[0].unit.states))
        return rows, [jnp.concatenate([s[b.states()[n].start : b.states()[n].start + count] for b in blocks]) for n in names]

    def joined(layer: Layer, states: list[Any]) -> Any:
        count = layer.blocks[0].count
        return jnp.concatenate([s[i * count : (i + 1) * count] for i in range(len(layer.blocks)) for s in states])

    def gru(layer: Layer, z: Any, s: Any, numbers: list[Any]) -> tuple[Any, Any]:
        del numbers
        (reset, update, candidate, own), (h,) = parts(layer, z, s)
        u = jax.nn.sigmoid(update)
        h = u * h + (1 - u) * jnp.tanh(candidate + jax.nn.sigmoid(reset) * own)
        return h, h

    def linear_recurrent(layer: Layer, z: Any, s: Any, numbers: list[Any]) -> tuple[Any, Any]:
        (drive_re, drive_im), (re, im) = parts(layer, z, s)
        decay, phase = numbers
        radius = jnp.exp(-jnp.exp(decay))
        cos, sin, gamma = radius * jnp.cos(phase), radius * jnp.sin(phase), jnp.sqrt(1 - radius * radius)
        new = jnp.concatenate([cos * re - sin * im + gamma * drive_re, sin * re + cos * im + gamma * drive_im])
        return new, new

    def slstm(layer: Layer, z: Any, s: Any, numbers: list[Any]) -> tuple[Any, Any]:
        del numbers
        (i, f, g, o), (cell, normaliser, stabiliser) = parts(layer, z, s)
        kept = jax.nn.log_sigmoid(f) + stabiliser
        stabiliser = jnp.maximum(kept, i)
        write, keep = jnp.exp(i - stabiliser), jnp.exp(kept - stabiliser)
        cell, normaliser = keep * cell + write * jnp.tanh(g), keep * normaliser + write
        return jax.nn.sigmoid(o) * cell / normaliser, joined(layer, [cell, normaliser, stabiliser])

    return {"gru": gru, "linear_recurrent": linear_recurrent, "slstm": slstm}


def _associative(layer: Layer, below: Any, numbers: list[Any]) -> Any:
    """The LRU, whose states are a sum that may be taken in any order."""
    import jax
    import jax.numpy as jnp

    decay, phase = numbers
    radius, n = jnp.exp(-jnp.exp(decay)), layer.blocks[0].count
    pole = radius * jnp.exp(1j * phase)
    drive = jnp.sqrt(1 - radius * radius) * (below[:, :n] + 1j * below[:, n:])
    poles = jnp.broadcast_to(pole, drive.shape)
    states = jax.lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (poles, drive))[1]
    return jnp.concatenate([states.real, states.imag], -1)


def table(times: dict[tuple[str, tuple[int, int, int]], dict[str, list[float]]]) -> list[str]:
    """The section of docs/benchmarks.md: the best of JAX, and how many times the fused engine's time it takes."""
    lines = [
        "## Today's recurrences", "",
        "bptt, of the archs as they come. Medians in milliseconds; in brackets, times the fused engine.", "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]  # fmt: skip
    for (arch, shape), found in times.items():
        ms = {name: 1e3 * median(t) for name, t in found.items()}
        fused, best = ms["fused"], min((n for n in ms if n.startswith("JAX")), key=lambda n: ms[n], default=None)
        cells = [arch, " x ".join(map(str, shape)), f"{fused:.2f}", f"{1e6 * fused / (shape[0] * shape[1] * shape[2]):.0f}"]
        cells += [f"{ms[n]:.1f} ({ms[n] / fused:.1f})" if n in ms else "" for n in ("torch.nn", "torch, compiled step", best)]
        lines.append("| " + " | ".join([*cells, str(best or "").removeprefix("JAX, ")]) + " |")
    return [*lines, ""]


def measure_and_write(seconds: float = 4.0) -> list[str]:
    """Measure all, write reports/bench_archs.csv, and return the section of docs/benchmarks.md."""
    times, rows = {}, []
    for arch in ARCHS:
        for replicas, batch, length in SHAPES:
            found = take_turns(works(arch, replicas=replicas, batch=batch, length=length), seconds)
            times[arch, (replicas, batch, length)] = found
            rows += rows_of(arch, "bptt", length, batch, replicas, found)
    for arch in options("arch"):
        config = compose_config(f"arch={arch}")
        network = make_network(config)
        if isinstance(network, ModuleNetwork) or arch in ARCHS:
            continue
        x, y = torch.rand(1, 128, 256, network.inputs), torch.rand(1, 128, 256, network.outputs)
        work = peers.engine("fused", network, config.arch.gradient, initial_weights(config, network)[:1].float(), x, y)
        rows += rows_of(arch, config.arch.gradient, 256, 128, 1, take_turns({"fused": work}, seconds / 4))
    write_rows(rows, CSV)
    return table(times)


if __name__ == "__main__":
    torch.manual_seed(0)
    section = measure_and_write()
    print("\n".join(section))
    put(section)
