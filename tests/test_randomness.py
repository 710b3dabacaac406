import numpy as np
import pytest

from learning_to_learn.randomness import Stream, mix, uniform

GOLDEN = 0x9E3779B97F4A7C15


def test_mix_is_splitmix64():
    # The published outputs of splitmix64 (Vigna) from the seed 1234567; `mix` adds the golden ratio first.
    published = [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip
    states = [(1234567 + i * GOLDEN) % 2**64 for i in range(5)]
    assert [int(mix(np.uint64(s))) for s in states] == published


def test_numbers_depend_on_seed_stream_and_counter_alone():
    whole = uniform([5, 6], Stream.TRAIN, 3, 1000)
    np.testing.assert_array_equal(uniform([6], Stream.TRAIN, 3, 1000)[0], whole[1])
    others = [uniform([5], Stream.TEST, 3, 1000), uniform([5], Stream.TRAIN, 4, 1000), uniform([7], Stream.TRAIN, 3, 1000)]
    for other in others:
        assert abs(np.corrcoef(other[0], whole[0])[0, 1]) < 0.1


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_numbers_are_uniform(seed):
    u = uniform([seed], Stream.TRAIN, 0, 100_000)[0]
    assert 0 <= u.min() < 1e-3
    assert 0.999 < u.max() < 1
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 50  # chi-square of 19 degrees of freedom: one in ten thousand
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.015
