"""What `shift: k` puts below a layer: each source as a weighted sum of its last k values, a causal convolution of its own.

It is a layer of units that each hear one source. They start with the weight 1 for this cycle and 0 for those before, so a layer
starts as it would without. (Gu & Dao 2023 and Yang et al. 2024 have such short convolutions before their recurrences.)
"""

from __future__ import annotations

from learning_to_learn.lazy import torch
from learning_to_learn.topology.units import Sources, Unit

NAME = "delay_line"


def delay_line(k: int) -> Unit:
    """Return the unit that gives z[t] + tap1 z[t-1] + ... + tap(k-1) z[t-k+1], z being its weighted source."""
    pasts = tuple(f"past{n}" for n in range(1, k))
    taps = tuple(f"tap{n}" for n in range(1, k))

    def step(z: torch.Tensor, *past: torch.Tensor, **own: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = z
        for before, name in zip(past, taps, strict=True):
            y = y + own[name] * before
        return (y, z.clone(), *(before.clone() for before in past[:-1]))

    return Unit(f"{NAME}{k}", step, ("z",), pasts, sources={"z": Sources.BELOW}, numbers=dict.fromkeys(taps, 0.0))
