"""Families: distributions over mappings, or processes. One file each, with its configuration.

>>> FAMILIES["boolean"].config().make().floor(256).no_learning
0.25
"""

from learning_to_learn.families.family import FAMILIES, AtTest, Family, FamilyConfig, Floor, LinearForm, Losses, Variances
from learning_to_learn.registry import import_all

import_all(__name__, __path__)

__all__ = ["FAMILIES", "AtTest", "Family", "FamilyConfig", "Floor", "LinearForm", "Losses", "Variances"]
