"""Rank statistics against hand-computed values, against scipy, and in the cases where nothing is defined."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rlnas.gap.statistics import (
    KS,
    agreement,
    interval,
    kendall,
    near_pairs,
    regret,
    resamples,
    spearman,
    top_quarter,
)

TRUTH = np.array([1.0, 2.0, 3.0, 4.0])
SCORE = np.array([1.0, 3.0, 2.0, 4.0])
ONCE = np.ones((1, 4))
NAMES = ("tau", "spearman", "top_tau", "top_spearman", "equal_flops_tau", "tau_minus_flops")


def about(score, truth, flops=None, **options):
    flops = list(range(1, len(truth) + 1)) if flops is None else flops
    return agreement(score, truth, flops=flops, seed=0, **options)


def test_tau_and_rho_by_hand() -> None:
    # one of six pairs is in the wrong order: (5 - 1) / 6; rho = 1 - 6 * (1 + 1) / (4 * 15)
    assert kendall(SCORE, TRUTH, ONCE)[0] == pytest.approx(4 / 6)
    assert spearman(SCORE, TRUTH, ONCE)[0] == pytest.approx(0.8)


def test_ties_by_hand() -> None:
    # scores 1 1 2: of three pairs one is tied in the score, two are in order: 2 / sqrt(2 * 3)
    assert kendall(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), np.ones((1, 3)))[0] == pytest.approx(
        2 / np.sqrt(6)
    )


PAIRS_OF_NUMBERS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12)


@given(PAIRS_OF_NUMBERS, st.integers(0, 99))
def test_resamples_are_what_scipy_finds_in_the_repeated_sample(pairs, seed) -> None:
    score, truth = np.array(pairs, dtype=float).T
    counts = np.random.default_rng(seed).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=1)
    repeated = [np.repeat(values, counts[0]) for values in (score, truth)]
    if any((values == values[0]).all() for values in repeated):
        assert np.isnan(kendall(score, truth, counts.astype(float))[0])
        assert np.isnan(spearman(score, truth, counts.astype(float))[0])
        return
    assert kendall(score, truth, counts.astype(float))[0] == pytest.approx(scipy.stats.kendalltau(*repeated).statistic)
    assert spearman(score, truth, counts.astype(float))[0] == pytest.approx(scipy.stats.spearmanr(*repeated).statistic)


def test_the_bootstrap_is_a_function_of_n_and_seed() -> None:
    assert np.array_equal(resamples(5, 1), resamples(5, 1))
    assert not np.array_equal(resamples(5, 1), resamples(5, 2))
    assert (resamples(5, 1).sum(axis=1) == 5).all()
    assert about(SCORE, TRUTH) == about(SCORE, TRUTH)


def test_the_interval_holds_the_middle_and_needs_most_of_the_resamples() -> None:
    low, high = interval(np.arange(1001.0))
    assert (low, high) == pytest.approx((25, 975))
    assert interval(np.array([0.5] * 9 + [np.nan])) == (0.5, 0.5)
    assert interval(np.array([0.5] * 8 + [np.nan] * 2)) == (None, None)


def test_the_interval_lies_around_the_value_and_narrows_with_n() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (20, 200):
        truth = rng.normal(size=n)
        found = about(truth + rng.normal(size=n), truth)["tau"]
        assert found["low"] < found["value"] < found["high"]
        assert found["n"] == n
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0] / 2


def test_the_top_quarter_is_rounded_up_and_keeps_ties() -> None:
    assert top_quarter(np.array([5.0, 1, 4, 2, 3])).tolist() == [0, 2]  # ceil(5 / 4) = 2
    assert top_quarter(np.array([1.0, 3, 3, 3, 2, 0, 0, 0])).tolist() == [1, 2, 3]  # two, and one that equals
    assert top_quarter(np.array([7.0])).tolist() == [0]


def test_within_the_top_quarter() -> None:
    truth = np.arange(12.0)
    score = truth.copy()
    score[[9, 10, 11]] = [11, 10, 9]  # the three best in reverse order
    found = about(score, truth)
    assert found["top_tau"]["value"] == -1
    assert found["top_tau"]["n"] == 3
    assert found["top_spearman"]["value"] == -1
    # 3 of 66 pairs are in the wrong order
    assert found["tau"]["value"] == pytest.approx(60 / 66)


def test_pairs_of_equal_flops_by_hand() -> None:
    flops = np.array([100.0, 110, 121, 200])
    assert {tuple(map(int, pair)) for pair in np.argwhere(near_pairs(flops)) if pair[0] < pair[1]} == {(0, 1), (1, 2)}
    # of the two pairs (0, 1) is in order, (1, 2) is not
    found = about(SCORE, TRUTH, flops)["equal_flops_tau"]
    assert (found["value"], found["pairs"]) == (0, 2)
    only = about([1, 2, 9, 0], TRUTH, [100, 105, 300, 900])["equal_flops_tau"]
    assert (only["value"], only["pairs"]) == (1, 1)


def test_no_pairs_of_equal_flops() -> None:
    found = about(SCORE, TRUTH, [1, 10, 100, 1000])["equal_flops_tau"]
    assert found["value"] is None
    assert "no such pairs" in found["reason"]
    assert about(SCORE, TRUTH, [1, 1, None, 1])["equal_flops_tau"]["reason"]


def test_against_flops_the_same_resamples_are_used() -> None:
    found = about([1, 2, 3, 4], TRUTH, [1, 2, 3, 4])["tau_minus_flops"]
    assert (found["value"], found["low"], found["high"]) == (0, 0, 0)
    # FLOPs in reverse: 1 - -1
    assert about([1, 2, 3, 4], TRUTH, [4, 3, 2, 1])["tau_minus_flops"]["value"] == 2


def test_regret_by_hand() -> None:
    score, truth = np.array([9.0, 8, 7, 6]), np.array([0.5, 0.9, 0.4, 1.0])
    assert [regret(score, truth, k) for k in (1, 2, 3, 4)] == pytest.approx([0.5, 0.1, 0.1, 0.0])
    assert regret(score, truth, 1, best=2.0) == pytest.approx(1.5)
    assert regret(score, truth, 5) is None
    # among equal scores the earlier one
    assert regret(np.array([1.0, 1.0]), np.array([0.2, 0.7]), 1) == pytest.approx(0.5)


def test_regret_to_the_optimum_only_where_it_is_known() -> None:
    assert "regret_to_optimum" not in about(SCORE, TRUTH)
    found = about(SCORE, TRUTH, optimum=10.0)
    assert found["regret_to_optimum"]["1"] == 6
    assert found["regret"] == {"1": 0.0, "3": 0.0, "5": None, "10": None}
    assert [int(k) for k in found["regret"]] == list(KS)


@pytest.mark.parametrize(
    ("score", "truth", "reason"),
    [
        ([], [], "only 0"),
        ([1], [1], "only 1"),
        ([1, 2], [1, 2], "only 2"),
        ([1, 1, 1], [1, 2, 3], "scores all equal"),
        ([1, 2, 3], [1, 1, 1], "truth all equal"),
        ([1, None, 3], [1, 2, 3], "unknown"),
        ([1, float("nan"), 3], [1, 2, 3], "unknown"),
    ],
)
def test_nothing_is_defined_and_the_reason_is_given(score, truth, reason) -> None:
    found = about(score, truth)
    for name in NAMES:
        assert found[name]["value"] is None
        assert reason in found[name]["reason"]
        assert found[name]["n"] == len(truth)


def test_every_value_is_plain() -> None:
    numbers = [about(SCORE, TRUTH)[name] for name in NAMES]
    for value in itertools.chain.from_iterable(estimate.values() for estimate in numbers):
        assert value is None or type(value) in (int, float, str)
