"""Units, and the networks that are built from them.

>>> Network.of([{"memory_cell": 6, "neuron": 6}]).parameters
397
"""

from learning_to_learn.registry import import_all
from learning_to_learn.topology.distributions import LogUniform, Uniform
from learning_to_learn.topology.network import Block, Layer, Network
from learning_to_learn.topology.units import UNITS, Below, Option, Own, Trained, Unit, unit
from learning_to_learn.topology.vector_units import VectorUnit, vector_unit

import_all(__name__, __path__)

__all__ = [
    "UNITS", "Below", "Block", "Layer", "LogUniform", "Network", "Option", "Own", "Trained", "Uniform", "Unit", "VectorUnit",
    "unit", "vector_unit",
]  # fmt: skip
