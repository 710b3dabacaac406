"""Real-time recurrent learning (Williams & Zipser 1989), for any topology.

The sensitivities d state / d parameters are carried forward with the state: for a layer with z = W source + b,

    dz/dp = W dsource/dp + [p is in row m] source,      dh/dp = sum over the unit's inputs of dh/dinput dinput/dp

A number that a unit has of its own is one of its inputs. An initial state that is trained has the sensitivity 1 to itself.
The gradient is therefore complete at every cycle, and the weights may change at any time. An update keeps the sensitivities.
They then belong to weights that have since moved, which is Williams & Zipser's own approximation. Error is never cut. If the
only update comes at the end of the sequence, the gradient equals that of BPTT.
"""

from __future__ import annotations

from typing import ClassVar

from learning_to_learn.errors import UserError
from learning_to_learn.gradients.gradient import Carry, Gradient, Segment
from learning_to_learn.lazy import torch
from learning_to_learn.topology.network import Layer, LayerParameters, Network, linear
from learning_to_learn.topology.norms import change_of_normalised, normalised
from learning_to_learn.topology.vector_units import VectorUnit


class Rtrl(Gradient):
    """Carries the derivatives of the state forward with the state."""

    name: ClassVar[str] = "rtrl"
    fused: ClassVar[bool] = True
    forward_mode: ClassVar[bool] = True

    def check(self, network: Network) -> None:
        """Raise UserError on vector units, whose states are too many to carry the derivatives of."""
        for unit in (block.unit for layer in network.layers for block in layer.blocks):
            if isinstance(unit, VectorUnit):
                d, p = network.state_size, network.parameters
                raise UserError(
                    f"gradient rtrl does not run vector units, such as {unit.name}: it would carry {d} states x {p} parameters "
                    f"= {d * p:,} derivatives a sequence, at some {d * d * p:,} multiplications a cycle; use bptt or truncated"
                )

    def segment(
        self, network: Network, parameters: torch.Tensor, x: torch.Tensor, target: torch.Tensor, carry: Carry | None
    ) -> Segment:
        with torch.no_grad():
            replicas, batch, length, _ = x.shape
            state = network.initial_state(parameters, batch) if carry is None else carry.state
            sensitivities = None if carry is None else carry.sensitivities
            if sensitivities is None:
                sensitivities = x.new_zeros(replicas, batch, network.state_size, network.parameters)
            if carry is None:
                for states, value in network.initial_states():
                    if isinstance(value, slice):
                        sensitivities[:, :, states, value] = torch.eye(states.stop - states.start).to(x)
            layers = network.split(parameters)
            total, outputs = torch.zeros_like(parameters), []
            for t in range(length):
                y, state, sensitivities, d_z = _step(network, layers, state, sensitivities, x[:, :, t])
                error = (y - target[:, :, t]) / (batch * length)
                if network.loss == "log":  # its derivative by the pre-activations is y - target
                    total += torch.einsum("rbm,rbmp->rp", error, d_z)
                else:
                    total += torch.einsum("rbm,rbmp->rp", 2 / network.outputs * error, sensitivities[:, :, -network.outputs :])
                outputs.append(y)
            return Segment(total, torch.stack(outputs, 2), Carry(state, sensitivities))


def _step(
    network: Network, parameters: list[LayerParameters], state: torch.Tensor, sensitivities: torch.Tensor, x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run one cycle. Return the outputs [R, B, m], the next states [R, B, D], their sensitivities [R, B, D, P], and those of
    the output neurons' pre-activations [R, B, m, P].
    """
    hs, ss, previous = network.split_state(state)
    sizes = [n for layer in network.layers for n in (layer.own, layer.states)]
    *pieces, d_previous = sensitivities.split([*sizes, network.outputs], dim=2)
    x = network.with_feedback(x, previous)
    d_x = sensitivities.new_zeros(*x.shape, network.parameters)
    if network.fed_back:
        d_x[:, :, -network.outputs :] = network.fed_back * d_previous
    if network.last_layer_feedback:
        x, d_x = torch.cat([hs[-1], x], -1), torch.cat([pieces[-2], d_x], 2)
    new, d_new, first = [], [], 0
    for layer, own, h, s, d_h, d_s in zip(network.layers, parameters, hs, ss, pieces[0::2], pieces[1::2], strict=False):
        z, d_z = _pre_activations(layer, own.matrix, torch.cat([h, x], -1), torch.cat([d_h, d_x], 2), first)
        h, s, d_h, d_s = _apply(layer, own.numbers, z, s, d_z, d_s, first)
        new += [h, s] if layer.recurrent else [s]
        d_new += [d_h, d_s] if layer.recurrent else [d_s]
        heard, d_heard = normalised(layer.norm, h), change_of_normalised(layer.norm, h, d_h)
        x, d_x = (heard + x, d_heard + d_x) if layer.residual else (heard, d_heard)
        first += layer.parameters
    z, d_z = _pre_activations(network.output, parameters[-1].matrix, x, d_x, first)
    y, _, d_y, _ = _apply(network.output, parameters[-1].numbers, z, z[..., :0], d_z, d_z[:, :, :0], first)
    if network.kind == "softmax":
        y = z.softmax(-1)
        d_y = y.unsqueeze(-1) * (d_z - torch.einsum("rbm,rbmp->rbp", y, d_z).unsqueeze(2))
    return y, torch.cat([*new, y], -1), torch.cat([*d_new, d_y], 2), d_z


def _pre_activations(
    layer: Layer, matrix: torch.Tensor, source: torch.Tensor, d_source: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return z [R, B, M] and its sensitivities [R, B, M, P]. The layer's own parameters start at index `first`."""
    d_z = torch.einsum("rmk,rbkp->rbmp", matrix[:, :, :-1], d_source)
    with_one = torch.cat([source, torch.ones_like(source[..., :1])], -1)
    heard = [(m, k, place) for m, row in enumerate(layer.places) for k, place in enumerate(row) if place < layer.parameters]
    rows, sources, places = (list(indices) for indices in zip(*heard, strict=True))
    d_z[:, :, rows, [first + place for place in places]] += with_one[:, :, sources]
    return linear(matrix, source), d_z


def _apply(
    layer: Layer, numbers: torch.Tensor, z: torch.Tensor, s: torch.Tensor, d_z: torch.Tensor, d_s: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the layer's outputs and states, and their sensitivities, which follow from the chain rule through each unit."""
    hs, d_hs, states, d_states = [], [], [], []
    for block in layer.blocks:
        inputs = [z[..., i] for i in block.rows()] + [s[..., i] for i in block.states()]
        d_inputs = [d_z[:, :, i] for i in block.rows()] + [d_s[:, :, i] for i in block.states()]
        results, d_results = [], []
        with torch.enable_grad():
            inputs = [i.detach().requires_grad_() for i in inputs]
            own = {
                # One for every sequence, so that each has its own partial derivative.
                name: numbers[:, None, i].expand_as(inputs[0]).detach().requires_grad_()
                for name, i in zip(block.unit.numbers, block.numbers(), strict=False)
            }
            for result in block.unit.step(*inputs, **own):
                partials = _partials(result, [*inputs, *own.values()])
                terms = [p.unsqueeze(-1) * d for p, d in zip(partials, d_inputs, strict=False) if p is not None]
                d_result = torch.stack(terms).sum(0) if terms else torch.zeros_like(d_inputs[0])
                for p, i in zip(partials[len(inputs) :], block.numbers(), strict=False):
                    if p is not None:
                        places = range(first + layer.weights + i.start, first + layer.weights + i.stop)
                        d_result[:, :, list(range(block.count)), list(places)] += p
                results.append(result.detach())
                d_results.append(d_result)
        outputs = block.unit.outputs
        hs += results[:outputs]
        d_hs += d_results[:outputs]
        states += results[outputs:]
        d_states += d_results[outputs:]
    return (
        torch.cat(hs, -1),
        torch.cat(states, -1) if states else s,
        torch.cat(d_hs, 2),
        torch.cat(d_states, 2) if d_states else d_s,
    )


def _partials(result: torch.Tensor, inputs: list[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    """Return the derivative of a result by each input; None for an input that it does not depend on."""
    if not result.requires_grad:  # a constant
        return (None,) * len(inputs)
    return torch.autograd.grad(result.sum(), inputs, retain_graph=True, allow_unused=True)
