"""Learning algorithms: how the error gradient of a recurrent network is formed. One file each."""

from learning_to_learn.errors import choose
from learning_to_learn.gradients.bptt import Bptt
from learning_to_learn.gradients.gradient import Carry, Gradient, Segment
from learning_to_learn.gradients.rtrl import Rtrl
from learning_to_learn.gradients.truncated import Truncated

GRADIENTS: dict[str, type[Gradient]] = {"bptt": Bptt, "truncated": Truncated, "rtrl": Rtrl}


def make_gradient(name: str, *, window: int | None = None) -> Gradient:
    """The algorithm of that name. Raises UserError on an unknown name, or a window that it has no use for."""
    return choose("gradient", name, GRADIENTS)(window)


__all__ = ["GRADIENTS", "Bptt", "Carry", "Gradient", "Rtrl", "Segment", "Truncated", "make_gradient"]
