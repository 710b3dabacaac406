"""Error curves: how large the loss of a network is at every cycle of a sequence."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learning_to_learn.families import Family
from learning_to_learn.losses import loss_of


def error_curves(
    family: Family, outputs: Float[Tensor, "R N T m"], targets: Float[Tensor, "1 N T m"], length: int
) -> np.ndarray:
    """Return the mean loss at every cycle, [R, length], of the outputs of R replicas.

    Streams of several mappings are folded to the `length` cycles of one, without their first: what counts is how a network
    copes with the state that the mapping before has left.
    """
    wrong = loss_of(outputs, targets, family.output, family.loss).mean(1, dtype=torch.float64)
    folded = wrong.unflatten(-1, (-1, length))
    return (folded[:, 1:] if folded.shape[1] > 1 else folded).mean(1).numpy()
