"""Boolean functions of n arguments: against the family of two, and by enumeration of all functions of three."""

from itertools import product

import numpy as np
import pytest
import torch

from learning_to_learn.errors import UserError
from learning_to_learn.families.boolean import Boolean
from learning_to_learn.families.boolean_n import BooleanN
from learning_to_learn.families.estimation import draw


def some(family, count=40, cycles=12, seed=0):
    return draw(family, cycles, count, np.random.default_rng(seed))


@pytest.mark.parametrize("functions", [None, [6, 9], [1, 2, 4, 7, 11]])
def test_two_arguments_are_the_papers_family(functions):
    two, paper = BooleanN(2, functions), Boolean(functions)
    mapping, x, y = some(paper)
    torch.testing.assert_close(two.evaluate(mapping, x), y, rtol=0, atol=0)
    torch.testing.assert_close(two.bayes(None, x, y), paper.bayes(mapping, x, y), rtol=0, atol=1e-12)
    if functions is None:
        np.testing.assert_allclose(two.losses(12).values, paper.variances().losses(12).values, atol=1e-12)


def test_the_parity_of_three():
    family = BooleanN(3, [150])
    x = torch.tensor(list(product((0.0, 1.0), repeat=3)), dtype=torch.float64)
    assert family.evaluate(family.mappings(torch.zeros(1, dtype=torch.float64)), x)[:, 0].tolist() == (x.sum(1) % 2).tolist()


def test_three_arguments_by_counting_all_functions():
    family = BooleanN(3)
    _, x, y = some(family, count=6)
    tables = (np.arange(256)[:, None] >> np.arange(8)) & 1
    said = family.bayes(None, x, y)
    listed = BooleanN(3, range(256)).bayes(None, x, y)
    for n in range(6):
        row = (x[n].numpy() @ [4, 2, 1]).astype(int)
        for t in range(12):
            agree = [f for f in tables if all(f[row[s]] == y[n, s, 0] for s in range(t))]
            expected = np.mean([f[row[t]] for f in agree])
            assert said[n, t, 0] == listed[n, t, 0] == expected


@pytest.mark.parametrize("loss", ["squared", "log"])
@pytest.mark.parametrize("arguments", [2, 3, 4])
def test_the_floor_is_the_loss_of_the_bayes_predictor(arguments, loss):
    from learning_to_learn.families.estimation import estimate

    family = BooleanN(arguments)
    family.choose("logistic", loss)
    drawn, exact = estimate(family, 10, 2000), family.losses(10)
    assert (np.abs(np.subtract(drawn.values, exact.values)) <= 4 * np.array(drawn.errors) + 1e-6).all()


@pytest.mark.parametrize("functions", [[], [256], [-1]])
def test_other_numbers_are_refused(functions):
    with pytest.raises(UserError, match="0 to 255"):
        BooleanN(3, functions)
