"""Coins, dice, chains and switching coins, against integrals, enumerations and scipy's distributions."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import beta
from scipy.stats import dirichlet_multinomial

from learning_to_learn.errors import UserError
from learning_to_learn.families.bernoulli import Bernoulli
from learning_to_learn.families.dirichlet import Dirichlet
from learning_to_learn.families.estimation import draw, estimate
from learning_to_learn.families.markov import Markov
from learning_to_learn.families.switching_bernoulli import SwitchingBernoulli

CYCLES = 8


def some(family, count=5, cycles=CYCLES, seed=0):
    return draw(family, cycles, count, np.random.default_rng(seed))


def all_sequences(length, symbols=2):
    return np.array(list(product(range(symbols), repeat=length)))


def one_hot(symbols, classes):
    return torch.from_numpy(np.eye(classes)[symbols])


def nothing(count, length):
    return torch.zeros(count, length, 0, dtype=torch.float64)


def mean_log_loss(family, probability_of, length, symbols=2):
    """The Bayes predictor's expected loss at every cycle: a sum over all sequences of p(sequence) (-log prediction)."""
    sequences = all_sequences(length, symbols)
    p = np.array([probability_of(s) for s in sequences])
    assert p.sum() == pytest.approx(1, abs=1e-9)
    y = (
        one_hot(sequences, symbols)
        if symbols > 2 or family.output == "softmax"
        else torch.tensor(sequences)[..., None].double()
    )
    said = family.bayes(None, nothing(len(y), length), y)
    if said.shape[-1] == 1:
        said, y = torch.cat([1 - said, said], -1), torch.cat([1 - y, y], -1)
    return p @ -(said * y).sum(-1).log().numpy()


@pytest.mark.parametrize("prior", [(1.0, 1.0), (0.5, 2.0)])
def test_coins_by_an_integral(prior):
    a, b = prior
    family = Bernoulli(prior)
    _, x, y = some(family)
    said = family.bayes(None, x, y).numpy()
    for n, t in product(range(len(y)), range(CYCLES)):
        ones = y[n, :t].sum().item()

        def weight(p, k, ones=ones, t=t):
            return p ** (ones + a - 1 + k) * (1 - p) ** (t - ones + b - 1)

        assert said[n, t, 0] == pytest.approx(quad(weight, 0, 1, args=(1,))[0] / quad(weight, 0, 1, args=(0,))[0], rel=1e-6)


@pytest.mark.parametrize("prior", [(1.0, 1.0), (0.5, 2.0)])
def test_the_floor_of_coins_by_enumeration(prior):
    family = Bernoulli(prior)
    losses = family.losses(CYCLES)
    expected = mean_log_loss(family, lambda s: beta(s.sum() + prior[0], len(s) - s.sum() + prior[1]) / beta(*prior), CYCLES)
    np.testing.assert_allclose(losses.values, expected, rtol=1e-12)

    def entropy(p):
        return -(p * np.log(p) + (1 - p) * np.log1p(-p)) * p ** (prior[0] - 1) * (1 - p) ** (prior[1] - 1)

    assert losses.limit == pytest.approx(quad(entropy, 0, 1)[0] / beta(*prior), rel=1e-6)
    drawn = estimate(family, CYCLES, 4000)
    assert abs(drawn.floor().floor - losses.floor().floor) < 4 * drawn.mean_error


def test_squared_errors_of_coins_are_exact():
    family = Bernoulli()
    family.choose("logistic", "squared")
    losses, drawn = family.losses(CYCLES), estimate(family, CYCLES, 4000)
    assert losses.values[0] == pytest.approx(0.25)
    assert losses.limit == pytest.approx(1 / 6)
    assert abs(drawn.floor().floor - losses.floor().floor) < 4 * drawn.mean_error


@pytest.mark.parametrize(("symbols", "concentration"), [(3, 1.0), (4, 0.3)])
def test_dice_are_scipys(symbols, concentration):
    """p(next | counts) as a ratio of probabilities of sequences, which are those of counts over the number of orders."""
    family = Dirichlet(symbols, concentration)
    _, x, y = some(family)
    said, alpha = family.bayes(None, x, y).numpy(), np.full(symbols, concentration)

    def log_p(counts):
        from scipy.special import gammaln

        if not counts.sum():
            return 0.0
        return dirichlet_multinomial.logpmf(counts, alpha, counts.sum()) - gammaln(counts.sum() + 1) + gammaln(counts + 1).sum()

    for n, t, i in product(range(len(y)), range(CYCLES), range(symbols)):
        counts = y[n, :t].sum(0).numpy().astype(int)
        more = counts + np.eye(symbols, dtype=int)[i]
        assert said[n, t, i] == pytest.approx(np.exp(log_p(more) - log_p(counts)), rel=1e-9)


@pytest.mark.parametrize("concentration", [1.0, 0.3])
def test_the_floor_of_dice_by_enumeration(concentration):
    from scipy.special import gammaln

    family, a = Dirichlet(3, concentration), concentration

    def probability(s):
        counts = np.bincount(s, minlength=3)
        return np.exp(gammaln(3 * a) - gammaln(len(s) + 3 * a) + (gammaln(counts + a) - gammaln(a)).sum())

    losses, drawn = family.losses(6), estimate(family, 6, 4000)
    np.testing.assert_allclose(losses.values, mean_log_loss(family, probability, 6, 3), rtol=1e-10)
    assert abs(drawn.floor().floor - losses.floor().floor) < 4 * drawn.mean_error
    assert abs(drawn.limit - losses.limit) < 0.05


def markov_probability(order, symbols=2):
    """The probability of a sequence: for each context an integral over its uniform probabilities, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    p, weights = (nodes + 1) / 2, weights / 2

    def probability(s):
        padded, counts = [0] * order + list(s), {}
        for t in range(len(s)):
            counts.setdefault(tuple(padded[t : t + order]), []).append(s[t])
        return np.prod([(weights * p ** sum(c) * (1 - p) ** (len(c) - sum(c))).sum() for c in counts.values()])

    return probability


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_chains_by_enumeration(order):
    """Predictions as ratios of the probabilities of sequences; the floor as their mean over all sequences."""
    family, probability = Markov(2, order), markov_probability(order)
    sequences = all_sequences(CYCLES)[::17]
    said = family.bayes(None, nothing(len(sequences), CYCLES), one_hot(sequences, 2)).numpy()
    for n, t in product(range(len(sequences)), range(CYCLES)):
        before = list(sequences[n, :t])
        assert said[n, t, 1] == pytest.approx(probability([*before, 1]) / probability(before) if before else 0.5, rel=1e-9)
    drawn = estimate(family, CYCLES, 4000)
    expected = mean_log_loss(family, probability, CYCLES)
    assert (np.abs(np.array(drawn.values) - expected) <= 4 * np.array(drawn.errors) + 1e-12).all()


def test_drawn_chains_follow_their_probabilities():
    """Of one chain of three symbols and order two, the relative frequencies after every context that comes often."""
    family = Markov(3, 2)
    mapping = family.mappings(torch.rand(1, family.dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    count = 2000
    u = torch.rand(count, 60, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = family.targets(mapping.expand(count, -1), nothing(count, 60), u)
    symbols, table = y.argmax(-1).numpy(), mapping.view(9, 3).numpy()
    told = family.known(mapping.expand(count, -1), None, y).numpy()
    seen = np.zeros((9, 3))
    for row in symbols:
        padded = [0, 0, *row]
        for t, now in enumerate(row):
            seen[3 * padded[t] + padded[t + 1], now] += 1
    often = seen.sum(1) > 2000
    assert often.sum() >= 3
    np.testing.assert_allclose((seen / np.maximum(seen.sum(1, keepdims=True), 1))[often], table[often], atol=0.04)
    padded = np.pad(symbols, ((0, 0), (2, 0)))
    np.testing.assert_array_equal(told, table[3 * padded[:, :-2] + padded[:, 1:-1]])


def test_too_many_contexts_are_refused():
    with pytest.raises(UserError, match="4096"):
        Markov(10, 5)


def switching_probability(rate):
    """The probability of tosses: a sum over all sets of switches, each stretch of one coin a Beta integral."""

    def probability(s):
        if not len(s):
            return 1.0
        total = 0.0
        for switches in product((0, 1), repeat=len(s) - 1):
            cuts = [0, *(i + 1 for i, one in enumerate(switches) if one), len(s)]
            stretches = [s[a:b] for a, b in pairwise(cuts)]
            chance = rate ** sum(switches) * (1 - rate) ** (len(s) - 1 - sum(switches))
            total += chance * np.prod([beta(sum(c) + 1, len(c) - sum(c) + 1) for c in stretches])
        return total

    return probability


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.6])
def test_switching_coins_by_enumeration(rate):
    family, probability = SwitchingBernoulli(rate), switching_probability(rate)
    sequences = all_sequences(CYCLES)[::23]
    said = family.bayes(None, nothing(len(sequences), CYCLES), torch.tensor(sequences)[..., None].double()).numpy()
    for n, t in product(range(len(sequences)), range(CYCLES)):
        before = list(sequences[n, :t])
        assert said[n, t, 0] == pytest.approx(probability([*before, 1]) / probability(before), rel=1e-9)
    length = 6
    drawn, expected = estimate(family, length, 4000), mean_log_loss(family, probability, length)
    assert (np.abs(np.array(drawn.values) - expected) <= 4 * np.array(drawn.errors) + 1e-12).all()


def test_coins_are_exchanged_at_the_stated_rate():
    path = some(SwitchingBernoulli(0.2), count=5000, cycles=20)[0].numpy()
    assert np.mean(path[:, 1:] != path[:, :-1]) == pytest.approx(0.2, abs=0.01)
    assert path.mean(0) == pytest.approx(0.5, abs=0.03)
    assert path.std(0) == pytest.approx(12**-0.5, abs=0.02)


def test_of_discounted_counts_the_best_discount_is_taken():
    family = SwitchingBernoulli(0.1)
    _, x, y = some(family, count=400, cycles=60)
    losses = {}
    for name, learner in family.learners(x.numpy(), y.numpy()).items():
        p = learner(x.numpy(), y.numpy())
        losses[name.split(" with ")[0]] = -np.log(np.where(y.numpy() > 0.5, p, 1 - p)).mean()
    best = family.bayes(None, x, y)
    floor = -torch.where(y > 0.5, best, 1 - best).log().mean().item()
    assert floor < losses["counts"] < losses["counts of all tosses"]
