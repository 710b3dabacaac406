"""Learning algorithms form the error gradient of a recurrent network. Each has its own file."""

from dataclasses import fields

from learning_to_learn.errors import UserError, choose
from learning_to_learn.gradients.gradient import GRADIENTS, Carry, Gradient, Segment
from learning_to_learn.registry import import_all

import_all(__name__, __path__)


def make_gradient(name: str, **settings: int | float | None) -> Gradient:
    """Return the algorithm of that name, with those of its settings that are not None: `make_gradient("bptt", window=8)`.

    Raises UserError if the name is unknown, or if the algorithm has no use for a setting.
    """
    algorithm = choose("gradient", name, GRADIENTS)
    given = {key: value for key, value in settings.items() if value is not None}
    for key in given:
        if key not in {field.name for field in fields(algorithm)}:
            owners = [other for other, owner in GRADIENTS.items() if key in {field.name for field in fields(owner)}]
            raise UserError(f"gradient {name} has no {key}: only {' and '.join(owners)} has one")
    return algorithm(**given)  # type: ignore[arg-type]


__all__ = ["GRADIENTS", "Carry", "Gradient", "Segment", "make_gradient"]
