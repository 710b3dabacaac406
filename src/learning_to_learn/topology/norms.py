"""What a layer's outputs are made into before the layer above hears them: `norm: rms` or `norm: layer`.

Neither has a gain or a shift of its own. Those would be linear, and the weights and biases of what lies above are that already.
"""

from __future__ import annotations

from jaxtyping import Float

from learning_to_learn.lazy import torch

NORMS = ("rms", "layer")
"""Divided by their root mean square (Zhang & Sennrich 2019); less their mean, divided by their deviation (Ba et al. 2016)."""
EPSILON = 1e-5
"""Added to the mean square, so that outputs that are all zero stay zero."""


def normalised(norm: str | None, h: Float[torch.Tensor, "... H"]) -> Float[torch.Tensor, "... H"]:
    """Return the outputs as the layer above hears them. None: as they are."""
    if norm is None:
        return h
    centred = h - h.mean(-1, keepdim=True) if norm == "layer" else h
    return centred / (centred.square().mean(-1, keepdim=True) + EPSILON).sqrt()


def change_of_normalised(
    norm: str | None, h: Float[torch.Tensor, "... H"], change: Float[torch.Tensor, "... H P"]
) -> Float[torch.Tensor, "... H P"]:
    """Return how the normalised outputs change where the outputs do."""
    if norm is None:
        return change
    if norm == "layer":
        h, change = h - h.mean(-1, keepdim=True), change - change.mean(-2, keepdim=True)
    size = (h.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    n = (h / size).unsqueeze(-1)
    return (change - n * (n * change).mean(-2, keepdim=True)) / size.unsqueeze(-1)
