"""Who runs the time loop: the reference (plain torch, any device) or the fused kernels printed from the units (CPU).

Both give the same numbers; tests hold every kernel to the reference.
"""

from __future__ import annotations

import warnings

from learning_to_learn.engine.elementwise_check import check_elementwise
from learning_to_learn.engine.engine import Engine
from learning_to_learn.engine.forward_only import ForwardOnlyEngine
from learning_to_learn.engine.reference import Reference
from learning_to_learn.errors import unknown
from learning_to_learn.gradients import Gradient, make_gradient
from learning_to_learn.gradients.es import ForwardOnly
from learning_to_learn.lazy import torch
from learning_to_learn.topology import Network
from learning_to_learn.topology.module import ModuleNetwork

ENGINES = ("auto", "fused", "reference")


def make_engine(
    name: str, network: Network, gradient: Gradient, *, dtype: torch.dtype | None = None, keep: bool = False,
    batch: int | None = None,
) -> Engine:  # fmt: skip
    """The engine of that name; `auto` is the fused one, or with one warning the reference where a unit cannot be fused.

    `keep`: sensitivities must survive from segment to segment (weights change within a sequence, or state is carried).
    `batch`: the sequences of an update, where it is known, so that small ones of several replicas can share lanes.
    Raises UserError on an unknown name, where a unit is not elementwise, and where the gradient cannot run the network.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if isinstance(network, ModuleNetwork):
        network.check_gradient(gradient.name)
        network.check_engine(name)
        return Reference(network, gradient)
    if isinstance(gradient, ForwardOnly):
        return ForwardOnlyEngine(make_engine(name, network, make_gradient("bptt"), dtype=dtype, batch=batch), gradient)
    check_elementwise(network)
    gradient.check(network)
    if name == "reference":
        return Reference(network, gradient)
    # Imported here: the reference must work where numba does not.
    from learning_to_learn.engine.fused.fused import Fused
    from learning_to_learn.engine.fused.trace import UnsupportedOperation

    try:
        return Fused(network, gradient, dtype=torch.float32 if dtype is None else dtype, keep=keep, batch=batch)
    except UnsupportedOperation as error:
        if name == "fused":
            raise
        warnings.warn(f"{error}: the reference engine runs instead, about fifty times as slow", stacklevel=2)
        return Reference(network, gradient)


__all__ = ["ENGINES", "Engine", "Reference", "make_engine"]
