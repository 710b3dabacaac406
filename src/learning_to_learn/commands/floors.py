"""Estimate the no-learning MSE and the Bayes floor of every family, and keep them in the repository: `make floors`."""

import json

from learning_to_learn.commands.cli import command, exit_with, invoke

SEED = 2001


def main() -> None:
    """The command."""
    exit_with(_main)


def _main(arguments: list[str]) -> int:
    return invoke(floors, arguments, name="floors")


@command(name="floors")
def floors() -> int:
    """Estimate the no-learning MSE and the Bayes floor of every family, and keep them in floors.json.

    Families whose floor is exact need no estimate. The rest takes two minutes; the standard errors are those of the Monte Carlo
    averages over mappings and inputs.

    Example:
      python -m src.floors

    """
    from learning_to_learn.families import FAMILIES
    from learning_to_learn.families.family import FLOORS

    table = {}
    for family in (member for owner in FAMILIES.values() for member in owner.estimated()):
        found = family.estimate_variances(SEED)
        table[family.floor_key] = {"variances": found.values, "standard_errors": found.errors}
        for length in family.paper_cycles:
            f = found.floor(length)
            print(
                f"{family.floor_key}, T={length}: no learning {f.no_learning:.6g} +- {f.no_learning_error:.1g}, "
                f"floor {f.floor:.6g} +- {f.floor_error:.1g} ({f.floor_error / f.floor:.2%})"
            )
    FLOORS.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    return 0
