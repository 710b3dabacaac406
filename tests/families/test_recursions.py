"""What families draw cycle by cycle, beside the same written out in torch."""

import torch

from learning_to_learn.families.drifting_regression import DriftingRegression
from learning_to_learn.families.linear_gaussian import LinearGaussian
from learning_to_learn.families.markov import Markov
from learning_to_learn.families.random_network import RandomNetwork


def test_a_chain_throws_the_die_of_its_context():
    family = Markov(symbols=3, order=2)
    u = torch.rand(2, 5, 9, generator=torch.Generator().manual_seed(1)).unsqueeze(-1)
    tables = family.mappings(torch.rand(2, 5, family.dimensions, generator=torch.Generator().manual_seed(2)))
    y = family.targets(tables, torch.zeros(2, 5, 9, 0), u)
    for r in range(2):
        for n in range(5):
            before = [0, 0]
            for t in range(9):
                p = tables[r, n].view(3, 3, 3)[before[0], before[1]]
                symbol = int((u[r, n, t, 0] >= p.cumsum(0)[:-1]).sum())
                assert y[r, n, t].tolist() == [float(i == symbol) for i in range(3)]
                before = [before[1], symbol]


def test_weights_drift_from_each_cycle_to_the_next():
    family = DriftingRegression()
    d = family.input_size
    u = torch.rand(3, 4, 7 * d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    steps = torch.distributions.Normal(0, 1).icdf(u).view(3, 4, 7, d) / d**0.5
    path = family.mappings(u).view(3, 4, 7, d)
    torch.testing.assert_close(path[..., 0, :], steps[..., 0, :], rtol=1e-5, atol=1e-5)
    after = (1 - family.drift) ** 0.5 * path[..., :-1, :] + family.drift**0.5 * steps[..., 1:, :]
    torch.testing.assert_close(path[..., 1:, :], after, rtol=1e-5, atol=1e-5)


def test_an_oscillation_turns_and_is_damped():
    family = LinearGaussian()
    family.noise = 0.0
    u = torch.rand(3, 50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mapping = torch.tensor([[0.9, 0.5], [0.99, 1.0], [0.8, 2.0]], dtype=torch.float64)
    y = family.targets(mapping, torch.zeros(3, 50, 0), u)[..., 0]
    e = torch.distributions.Normal(0, 1).icdf(u)
    for n, (damping, angle) in enumerate(mapping.tolist()):
        point = complex(e[n, 0, 0], e[n, 0, 1])
        turn = damping * complex(torch.tensor(angle).cos(), torch.tensor(angle).sin())
        for t in range(1, 50):
            point = point * turn + (1 - damping**2) ** 0.5 * complex(e[n, t, 0], e[n, t, 1])
            assert abs(float(y[n, t]) - point.real) < 1e-4


def test_many_hidden_units_are_summed_as_matrix_products_are():
    family = RandomNetwork(inputs=3, hidden=20)
    generator = torch.Generator().manual_seed(1)
    mapping, x = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((2, 1, 80), (2, 5, 11, 3)))
    weights = mapping.view(2, 1, 20, 4)
    expected = (x @ weights[..., :3].mT).clamp_min(0) @ weights[..., 3:] * (2 / 60) ** 0.5
    torch.testing.assert_close(family.evaluate(mapping, x), expected, rtol=1e-12, atol=1e-12)
