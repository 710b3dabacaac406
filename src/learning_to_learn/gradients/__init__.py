"""Learning algorithms form the error gradient of a recurrent network. Each has its own file."""

from learning_to_learn.errors import choose
from learning_to_learn.gradients.gradient import GRADIENTS, Carry, Gradient, Segment
from learning_to_learn.registry import import_all

import_all(__name__, __path__)


def make_gradient(name: str, *, window: int | None = None) -> Gradient:
    """Return the algorithm of that name. Raises UserError if the name is unknown, or if the algorithm has no use for a
    window.
    """
    return choose("gradient", name, GRADIENTS)(window)


__all__ = ["GRADIENTS", "Carry", "Gradient", "Segment", "make_gradient"]
