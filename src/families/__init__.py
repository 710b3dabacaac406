"""Families: distributions over mappings of two inputs to one output. One file each."""

from src.families.boolean import Boolean
from src.families.family import Family, Floor
from src.families.quadratic import Quadratic
from src.families.semilinear import SemiLinear

FAMILIES: dict[str, type[Family]] = {"boolean": Boolean, "semilinear": SemiLinear, "quadratic": Quadratic}

__all__ = ["FAMILIES", "Boolean", "Family", "Floor", "Quadratic", "SemiLinear"]
