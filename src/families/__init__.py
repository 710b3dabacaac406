"""Families: distributions over mappings of two inputs to one output. One file each."""

from src.families.boolean import Boolean
from src.families.family import Family, Floor
from src.families.quadratic import Quadratic
from src.families.semilinear import SemiLinear

__all__ = ["Boolean", "Family", "Floor", "Quadratic", "SemiLinear"]
