"""The same networks, forward and backward, by other means. Each maker returns a function of no arguments to be timed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from learning_to_learn.engine import make_engine
from learning_to_learn.gradients import make_gradient
from learning_to_learn.topology import Network

Work = Callable[[], Any]


def engine(name: str, network: Network, gradient: str, p: Tensor, x: Tensor, y: Tensor, *, update: int | None = None) -> Work:
    """One of our own engines. `update`: the sequences that it is told an update has."""
    made = make_engine(name, network, make_gradient(gradient), batch=update)
    targets = y.view(*x.shape[:3], network.outputs)
    return lambda: made.segment(p, x, targets)


def plain_loop(network: Network, p: Tensor, x: Tensor, y: Tensor) -> Work:
    """A loop over time in PyTorch as one writes it for a single network; one network after the other."""

    def one(parameters: Tensor, x: Tensor, y: Tensor) -> Any:
        leaf = parameters.clone().requires_grad_()
        layers = network.split(leaf[None])
        matrices = [own.matrix[0] for own in layers]
        hs = [x.new_zeros(len(x), layer.outputs) for layer in network.layers]
        ss = [x.new_zeros(len(x), layer.states) for layer in network.layers]
        outputs = []
        for t in range(x.shape[1]):
            below = x[:, t]
            for i, layer in enumerate(network.layers):
                z = torch.nn.functional.linear(torch.cat([hs[i], below], -1), matrices[i][:, :-1], matrices[i][:, -1])
                hs[i], ss[i] = layer.apply(z, ss[i], layers[i].numbers[0])
                below = hs[i]
            outputs.append(torch.sigmoid(torch.nn.functional.linear(below, matrices[-1][:, :-1], matrices[-1][:, -1])))
        (torch.cat(outputs, -1) - y).square().mean().backward()

    return lambda: [one(p[r], x[r], y[r]) for r in range(len(p))]


def torch_modules(layers: list[torch.nn.Module], x: Tensor, y: Tensor) -> Work:
    """torch.nn.LSTM and torch.nn.RNN of the same sizes (another cell: with forget gate, of tanh and logistic)."""
    readout = torch.nn.Linear(layers[-1].hidden_size, 1)  # type: ignore[arg-type]

    def one(x: Tensor, y: Tensor) -> Any:
        for layer in layers:
            x, _ = layer(x)
        (torch.sigmoid(readout(x))[..., 0] - y).square().mean().backward()

    return lambda: [one(x[r], y[r]) for r in range(len(x))]


def jax_scan(network: Network, p: Tensor, x: Tensor, y: Tensor) -> Work:
    """`jax.lax.scan` of the same cells, jitted, with `jax.value_and_grad`, replicas by `jax.vmap`."""
    import jax
    import jax.numpy as jnp

    step, start = _jax_step(network)

    def loss(parameters, x, y):  # noqa: ANN001, ANN202
        first = jnp.broadcast_to(start, (x.shape[0], start.shape[0]))
        batched = jax.vmap(step, in_axes=(None, 0, 0))
        _, outputs = jax.lax.scan(lambda s, xt: batched(parameters, s, xt), first, jnp.swapaxes(x, 0, 1))
        return jnp.mean((outputs.T - y) ** 2)

    work = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    arguments = [jnp.asarray(a.numpy()) for a in (p, x, y)]
    return lambda: jax.block_until_ready(work(*arguments))


def jax_rtrl(network: Network, p: Tensor, x: Tensor, y: Tensor) -> Work:
    """RTRL in JAX: the Jacobians of a cycle by `jax.jacfwd`, sensitivities carried through `jax.lax.scan`, jitted."""
    import jax
    import jax.numpy as jnp

    step, start = _jax_step(network)

    def sequence(parameters, x, y):  # noqa: ANN001, ANN202
        def cycle(carry, now):  # noqa: ANN001, ANN202
            state, sensitivity, total = carry
            xt, yt = now

            def both(q, s):  # noqa: ANN001, ANN202
                new, output = step(q, s, xt)
                return jnp.append(new, output), (new, output)

            (by_parameters, by_state), (new, output) = jax.jacfwd(both, argnums=(0, 1), has_aux=True)(parameters, state)
            all_of_it = by_parameters + by_state @ sensitivity
            return (new, all_of_it[:-1], total + 2 * (output - yt) * all_of_it[-1] / len(y)), output

        first = (start, jnp.zeros((len(start), len(parameters))), jnp.zeros_like(parameters))
        return jax.lax.scan(cycle, first, (x, y))[0][2]

    batch = jax.vmap(sequence, in_axes=(None, 0, 0))
    work = jax.jit(jax.vmap(lambda q, x, y: batch(q, x, y).mean(0)))
    arguments = [jnp.asarray(a.numpy()) for a in (p, x, y)]
    return lambda: jax.block_until_ready(work(*arguments))


def _jax_step(network: Network) -> tuple[Callable, Any]:
    """One cycle of one sequence: (parameters [P], state [D], x [3]) -> (state, output); and the first state."""
    import jax
    import jax.numpy as jnp

    sizes = [(layer.outputs, layer.states) for layer in network.layers]

    def cell(i, o, g, c):  # noqa: ANN001, ANN202
        c = c + jax.nn.sigmoid(i) * (4 * jax.nn.sigmoid(g) - 2)
        return jax.nn.sigmoid(o) * (2 * jax.nn.sigmoid(c) - 1), c

    def step(parameters, state, x):  # noqa: ANN001, ANN202
        place, at, new = 0, 0, []
        for layer, (outputs, states) in zip(network.layers, sizes, strict=True):
            h, s = state[at : at + outputs], state[at + outputs : at + outputs + states]
            at += outputs + states
            matrix = parameters[place : place + layer.parameters].reshape(layer.rows, -1)
            place += layer.parameters
            z = matrix[:, :-1] @ jnp.concatenate([h, x]) + matrix[:, -1]
            hs, ss = [], []
            for block in layer.blocks:
                rows = [z[r] for r in block.rows()]
                if block.unit.name == "memory_cell":
                    i, o, g = rows
                    h, c = cell(i, o, g, s[block.states()[0]])
                    ss.append(c)
                else:
                    h = jnp.tanh(rows[0])
                hs.append(h)
            x = jnp.concatenate(hs)
            new += [x, *ss]
        matrix = parameters[place:]
        return jnp.concatenate(new), jax.nn.sigmoid(matrix[:-1] @ x + matrix[-1])

    return step, jnp.zeros(sum(a + b for a, b in sizes))
