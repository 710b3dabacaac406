"""Backpropagation through time (Werbos 1990; Williams & Peng 1990).

Error flows back along every edge to the start of the segment, or of its window. With `update_every=k` a segment has k cycles.
The state passes on to the next segment, but error does not pass back. RTRL does not have this cut.
"""

from typing import ClassVar

from learning_to_learn.gradients.gradient import BackwardGradient


class Bptt(BackwardGradient):
    """Sends error back along every edge, to the start of the segment or window."""

    name: ClassVar[str] = "bptt"
    fused: ClassVar[bool] = True
    has_window: ClassVar[bool] = True
