from itertools import product

import numpy as np
import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.families.boolean import Boolean


def test_numbers_are_truth_tables():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    truth = {8: [0, 0, 0, 1], 14: [0, 1, 1, 1], 6: [0, 1, 1, 0], 9: [1, 0, 0, 1], 0: [0] * 4, 15: [1] * 4}
    for number, outputs in truth.items():
        family = Boolean([number])
        mapping = family.mappings(torch.zeros(1, dtype=torch.float64))
        assert family.evaluate(mapping, x)[..., 0].tolist() == outputs


@pytest.mark.parametrize("cycles", [1, 2, 10, 256])
def test_the_floor_is_the_closed_form(cycles):
    floor = Boolean().floor(cycles)
    assert floor.no_learning == pytest.approx(0.25, abs=1e-15)
    assert floor.floor == pytest.approx((1 - 0.75**cycles) / cycles, rel=1e-6)


@pytest.mark.parametrize("functions", [None, [6, 9], [1, 2, 4, 7, 11], [3]])
def test_the_floor_of_some_functions_by_enumeration(functions):
    """Every function and every input sequence of three cycles, with the posterior mean by counting."""
    family, length = Boolean(functions), 3
    tables = [[(f >> k) & 1 for k in range(4)] for f in family.functions]
    errors = []
    for table, seen in product(tables, product(range(4), repeat=length)):
        for t in range(length):
            agree = [g for g in tables if all(g[i] == table[i] for i in seen[:t])]
            errors.append((np.mean([g[seen[t]] for g in agree]) - table[seen[t]]) ** 2)
    assert family.floor(length).floor == pytest.approx(np.mean(errors), abs=1e-12)


def test_bayes_predictions_reach_the_floor():
    family = Boolean()
    torch.manual_seed(0)
    mapping = family.mappings(torch.rand(20000, 1, dtype=torch.float64))
    x = family.inputs(torch.rand(20000, 12, 2, dtype=torch.float64))
    y = family.evaluate(mapping, x)
    mse = (family.bayes(mapping, x, y) - y).square().mean().item()
    assert mse == pytest.approx((1 - 0.75**12) / 12, rel=0.02)


@pytest.mark.parametrize("functions", [[], [16], [-1, 3]])
def test_other_numbers_are_refused(functions):
    with pytest.raises(UserError, match="0 to 15"):
        Boolean(functions)
