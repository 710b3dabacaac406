"""The truncated gradient of LSTM (Hochreiter & Schmidhuber 1997, section 3 and appendix A.1).

Error flows back in time through a unit's own state only (the memory cell's constant error carousel), never through a
recurrent edge; from layer to layer it flows as usual, at the cycle where it is. For neurons, which have no state, nothing
flows back in time at all: that is Elman's one-step gradient. It is cut at `update_every` as `bptt` is.
"""

from typing import ClassVar

from learning_to_learn.gradients.gradient import BackwardGradient


class Truncated(BackwardGradient):
    name: ClassVar[str] = "truncated"
    fused: ClassVar[bool] = True
    detach_recurrent: ClassVar[bool] = True
