"""Families: distributions over mappings of two inputs to one output. One file each, with its configuration.

>>> FAMILIES["boolean"].config().make().floor(256).no_learning
0.25
"""

from learning_to_learn.families.family import FAMILIES, Family, FamilyConfig, Floor, LinearForm, Variances
from learning_to_learn.registry import import_all

import_all(__name__, __path__)

__all__ = ["FAMILIES", "Family", "FamilyConfig", "Floor", "LinearForm", "Variances"]
