"""The truncated gradient of LSTM (Hochreiter & Schmidhuber 1997, section 3 and appendix A.1).

Error flows back in time through a unit's own state only (the memory cell's constant error carousel), never through a
recurrent edge; from layer to layer it flows as usual, within one cycle. Neurons have no state, so no error flows back in time
through them: this is Elman's one-step gradient. `update_every` cuts the flow, as it does for `bptt`.
"""

from typing import ClassVar

from learning_to_learn.gradients.gradient import BackwardGradient


class Truncated(BackwardGradient):
    """Sends error back in time through a unit's own state only."""

    name: ClassVar[str] = "truncated"
    fused: ClassVar[bool] = True
    detach_recurrent: ClassVar[bool] = True
