"""Comparing settings pair by pair: the statistics against scipy and hand computation, the pairing against fabricated runs."""

import itertools

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

import learning_to_learn
from learning_to_learn.commands import sweep
from learning_to_learn.errors import UserError
from learning_to_learn.results.paired import compare_settings, least_seeds
from learning_to_learn.results.statistics import holm, paired_interval, paired_p
from tests.helpers import finished_run, job


def test_the_p_value_is_the_part_of_all_swaps_that_differ_as_much():
    """By enumeration: both tails of the differences of medians over the 2^n ways to swap pairs."""
    random = np.random.default_rng(4)
    for n in (2, 5, 8):
        a, b = random.normal(0.3, 1, n), random.normal(size=n)
        differences = []
        for swap in itertools.product([False, True], repeat=n):
            x, y = np.where(swap, b, a), np.where(swap, a, b)
            differences.append(np.median(x) - np.median(y))
        seen, every = np.median(a) - np.median(b), np.array(differences)
        tails = (every >= seen - 1e-12).mean(), (every <= seen + 1e-12).mean()
        assert paired_p(a, b) == pytest.approx(min(1.0, 2 * min(tails)))


def test_the_p_value_of_many_pairs_is_scipys():
    random = np.random.default_rng(5)
    a, b = random.normal(0.4, 1, 40), random.normal(size=40)
    peer = permutation_test(
        (a, b), lambda x, y: np.median(x) - np.median(y), permutation_type="samples", vectorized=False, n_resamples=2000, rng=1
    )
    assert paired_p(a, b) == pytest.approx(peer.pvalue, abs=0.03)


def test_the_interval_is_scipys_paired_bootstrap():
    random = np.random.default_rng(6)
    a, b = random.normal(0.4, 1, 60), random.normal(size=60)
    peer = bootstrap((a, b), lambda x, y, axis: np.median(x, axis) - np.median(y, axis), paired=True, method="percentile",
                     n_resamples=4000, rng=1).confidence_interval  # fmt: skip
    assert paired_interval(a, b) == pytest.approx((peer.low, peer.high), abs=0.05)


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never less than the one before (Holm 1979)."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])


def test_the_least_number_of_seeds_by_hand():
    """Of one comparison 2 / 2^5 = 0.0625 is too much and 2 / 2^6 = 0.03125 enough; of three, 6 / 2^7 = 0.047."""
    assert [least_seeds(1), least_seeds(3)] == [6, 7]


@pytest.fixture
def rates(tmp_path):
    """Three rates on two archs, whose replicas of eight seeds rise with the rate."""
    for i, (arch, lr) in enumerate(itertools.product(("lstm", "elman"), (0.001, 0.01, 0.1))):
        scores = {seed: 0.1 + 0.2 * (i % 3) + 0.01 * seed + 0.02 * (i // 3) for seed in range(8)}
        finished_run(tmp_path / "s" / f"{i}_{arch}", job(f"arch={arch}", f"optimizer.lr={lr}"), scores)
    return tmp_path / "s"


def test_a_setting_is_compared_over_replicas_that_differ_in_nothing_else(rates):
    frame = learning_to_learn.compare(rates, by="lr")
    assert [tuple(row) for row in frame[["a", "b", "settings", "seeds"]].to_numpy()] == [
        ("0.001", "0.01", 2, 8), ("0.001", "0.1", 2, 8), ("0.01", "0.1", 2, 8),
    ]  # fmt: skip
    assert frame["difference"].tolist() == pytest.approx([0.2, 0.4, 0.2])
    assert (frame["low"] <= frame["difference"]).all()
    assert (frame["difference"] <= frame["high"]).all()
    assert frame["p"].tolist() == pytest.approx([2 / 2**8] * 3)
    assert frame["p_holm"].tolist() == pytest.approx([6 / 2**8] * 3)
    assert compare_settings([rates], "optimizer.lr").frame.equals(frame)
    (arch,) = learning_to_learn.compare(str(rates), by="arch").to_dict("records")
    assert (arch["a"], arch["b"], arch["settings"], arch["seeds"]) == ("lstm", "elman", 3, 8)
    assert arch["difference"] == pytest.approx(0.02)


def test_two_folders_are_compared_by_what_makes_them_different(tmp_path):
    finished_run(tmp_path / "a/run", job("optimizer.lr=0.01"), {0: 0.2, 1: 0.4, 2: float("nan")})
    finished_run(tmp_path / "b/run", job("optimizer.lr=0.1", "trainer.epochs=8"), {0: 0.1, 1: 0.5, 2: 0.6, 9: 0.9})
    found = compare_settings([tmp_path / "a", tmp_path / "b"])
    (row,) = found.frame.to_dict("records")
    assert (row["seeds"], row["median_a"], row["median_b"]) == (3, 0.2, 0.5)
    assert found.warning == "with 3 seeds no difference can reach p < 0.05 in 1 comparison: that takes 6 seeds"
    finished_run(tmp_path / "b/more", job("optimizer.lr=0.2", "trainer.epochs=8"), {0: 0.1})
    with pytest.raises(UserError, match="several replicas with seed 0, which differ in what is compared"):
        compare_settings([tmp_path / "a", tmp_path / "b"])


def test_the_command_prints_the_table_and_warns(rates, capsys):
    assert sweep._main(["compare", str(rates), "by=lr"]) == 0
    said = capsys.readouterr()
    headings = ["lr", "against", "seeds", "score", "other", "difference", "95", "%", "interval", "p", "p", "(Holm)"]
    assert said.out.splitlines()[0].split() == headings
    assert said.err == ""
    assert len(said.out.splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["by=pace"], "unknown key 'pace'"),
        (["by=clip"], "clip does not vary"),
        ([], "by=<key> is missing"),
        (["of=lr"], "unknown option 'of'"),
        (["nothing", "by=lr"], "no such folder"),
    ],
)
def test_what_cannot_be_compared_is_one_line(rates, words, says):
    with pytest.raises(UserError, match=says):
        sweep._main(["compare", str(rates), *words])


def test_replicas_that_share_no_seed_are_not_compared(tmp_path):
    finished_run(tmp_path / "s/a", job("optimizer.lr=0.01"), {0: 0.2})
    finished_run(tmp_path / "s/b", job("optimizer.lr=0.1"), {1: 0.2})
    with pytest.raises(UserError, match="no two replicas differ in lr alone"):
        compare_settings([tmp_path / "s"], "lr")
