"""Units and the networks built of them.

>>> Network.of([{"memory_cell": 6, "neuron": 6}]).parameters
397
"""

from src.topology.network import Block, Layer, Network
from src.topology.units import UNITS, Unit, unit

__all__ = ["UNITS", "Block", "Layer", "Network", "Unit", "unit"]
