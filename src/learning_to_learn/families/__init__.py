"""Families: distributions over mappings of two inputs to one output. One file each."""

from learning_to_learn.families.boolean import Boolean
from learning_to_learn.families.family import Family, Floor
from learning_to_learn.families.quadratic import Quadratic
from learning_to_learn.families.semilinear import SemiLinear

__all__ = ["Boolean", "Family", "Floor", "Quadratic", "SemiLinear"]
