"""Learning algorithms: how the error gradient of a recurrent network is formed. One file each."""

from learning_to_learn.errors import choose
from learning_to_learn.gradients.gradient import GRADIENTS, Carry, Gradient, Segment
from learning_to_learn.registry import import_all

import_all(__name__, __path__)


def make_gradient(name: str, *, window: int | None = None) -> Gradient:
    """Return the algorithm of that name. Raises UserError on an unknown name, or a window that it has no use for."""
    return choose("gradient", name, GRADIENTS)(window)


__all__ = ["GRADIENTS", "Carry", "Gradient", "Segment", "make_gradient"]
