"""Backpropagation through time (Werbos 1990; Williams & Peng 1990).

Error flows back along every edge to the start of the segment, or of its window. With `update_every=k` the segment is k
cycles long: the state passes on to the next segment, error does not pass back. That is the cut that RTRL has not.
"""

from typing import ClassVar

from torch import Tensor

from learning_to_learn.gradients.gradient import Carry, Gradient, Segment, backward_segment
from learning_to_learn.topology.network import Network


class Bptt(Gradient):
    name: ClassVar[str] = "bptt"
    fused: ClassVar[bool] = True
    has_window: ClassVar[bool] = True

    def segment(self, network: Network, parameters: Tensor, x: Tensor, target: Tensor, carry: Carry | None) -> Segment:
        return backward_segment(self, network, parameters, x, target, carry)
