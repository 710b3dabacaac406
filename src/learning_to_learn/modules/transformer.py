"""A small causal transformer: the yardstick that is no recurrence."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class CausalTransformer(nn.Module):
    """A transformer that hears all cycles so far (Vaswani et al. 2017), with torch's own attention.

    Normalisation comes before attention and before the two feed-forward layers (Xiong et al. 2020), positions are sinusoids,
    and nothing is dropped out. It has the signature of torch's recurrent layers, but it has no state of a fixed size: what it
    would have to carry, keys and values, grows with every cycle. So it hears the sequence from its beginning, and returns None.
    """

    def __init__(self, input_size: int, hidden_size: int, *, num_layers: int = 2, num_heads: int = 1) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"hidden_size {hidden_size} is no multiple of num_heads {num_heads}")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.embed = nn.Linear(input_size, hidden_size)
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, x: Float[torch.Tensor, "T B I"], state: None = None) -> tuple[Float[torch.Tensor, "T B H"], None]:
        """Return the outputs, and no state. Raises ValueError if a state is given."""
        if state is not None:
            raise ValueError("a causal transformer has no state to go on from")
        h = self.embed(x.transpose(0, 1))
        h = h + positions(h.shape[1], self.hidden_size).to(h)
        for block in self.blocks:
            h = block(h)
        return self.norm(h).transpose(0, 1), None


class Block(nn.Module):
    """Attention and two feed-forward layers, each added to what it hears."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.attend, self.mix = nn.LayerNorm(size), nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.feed = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, h: Float[torch.Tensor, "B T H"]) -> Float[torch.Tensor, "B T H"]:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in self.attend(self.norm(h)).chunk(3, -1)
        )
        with sdpa_kernel(SDPBackend.MATH):  # the only one that torch.func.vmap knows; at this size none is faster
            heard = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        h = h + self.mix(heard.transpose(-2, -3).flatten(-2))
        return h + self.feed(h)


def positions(length: int, size: int) -> Float[torch.Tensor, "T H"]:
    """Return sinusoids of wavelengths from 2 pi to 20000 pi (Vaswani et al. 2017, section 3.5)."""
    rates = 10_000 ** (-torch.arange(0, size, 2) / size)
    angles = torch.arange(length).unsqueeze(-1) * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[:, :size]
