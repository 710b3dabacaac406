"""Backpropagation through time (Werbos 1990; Williams & Peng 1990).

Error flows back along every edge to the start of the segment, or of its window. With `update_every=k` the segment is k
cycles long: the state passes on to the next segment, error does not pass back. That is the cut that RTRL has not.
"""

from typing import ClassVar

from learning_to_learn.gradients.gradient import BackwardGradient


class Bptt(BackwardGradient):
    name: ClassVar[str] = "bptt"
    fused: ClassVar[bool] = True
    has_window: ClassVar[bool] = True
