"""Error curves: how large the error of a network is at every cycle of a sequence."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def error_curves(outputs: Float[Tensor, "R N T"], targets: Float[Tensor, "1 N T"], length: int) -> np.ndarray:
    """Return the mean squared error at every cycle, [R, length], of the outputs of R replicas.

    Streams of several mappings are folded to the `length` cycles of one, without their first: what counts is how a network
    copes with the state that the mapping before has left.
    """
    wrong = (outputs - targets).square().mean(1, dtype=torch.float64)
    folded = wrong.unflatten(-1, (-1, length))
    return (folded[:, 1:] if folded.shape[1] > 1 else folded).mean(1).numpy()
