"""Output neurons and losses: what a network's outputs f [..., m] are, and what they cost where the targets are y [..., m].

`squared` is the mean over the outputs of (y - f)^2. `log` is nats a cycle: of the class, where the outputs are a softmax and y
is one-hot, or summed over logistic outputs, whose y are between 0 and 1.
"""

from __future__ import annotations

from learning_to_learn.lazy import torch

OUTPUTS = ("logistic", "linear", "softmax")
"""What the output neurons can be."""
LOSSES = ("squared", "log")
SURE = 1e-7
"""In the log loss, probabilities this near to 0 or 1 count as that far away: float32 cannot say more."""


def nothing_known(output: str, size: int) -> float:
    """Return what stands for the target and the output before the first cycle.

    >>> [nothing_known(output, 4) for output in OUTPUTS]
    [0.5, 0.0, 0.25]
    """
    return {"logistic": 0.5, "linear": 0.0, "softmax": 1 / size}[output]


def loss_of(f: torch.Tensor, y: torch.Tensor, output: str, loss: str) -> torch.Tensor:
    """Return the loss at every cycle [...] of outputs f [..., m] where the targets are y [..., m].

    >>> loss_of(torch.tensor([0.25, 0.75]), torch.tensor([0.0, 1.0]), "softmax", "log").exp()
    tensor(1.3333)
    """
    if loss == "squared":
        return (f - y).square().mean(-1)
    f = f.clamp(SURE, 1 - SURE)
    if output == "softmax":
        return -(y * f.log()).sum(-1)
    return -(y * f.log() + (1 - y) * (1 - f).log()).sum(-1)


def divergence(m: torch.Tensor, f: torch.Tensor, output: str, loss: str) -> torch.Tensor:
    """Return the expected loss of outputs f [..., m] above that of m [..., m], where m are the true means: mean squared
    differences, or Kullback and Leibler's KL(m || f).
    """
    return loss_of(f, m, output, loss) - (0.0 if loss == "squared" else loss_of(m, m, output, loss))


def log_loss_of(z: torch.Tensor, y: torch.Tensor, output: str) -> torch.Tensor:
    """Return the log loss [...] of output neurons with the pre-activations z [..., m], whose derivative by z is f - y."""
    if output == "softmax":
        return (y * (z.logsumexp(-1, keepdim=True) - z)).sum(-1)
    return (torch.nn.functional.softplus(z) - y * z).sum(-1)
