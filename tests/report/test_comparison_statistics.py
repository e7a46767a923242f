"""The statistics of the comparison against numbers computed by hand, and against scipy where it has its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlnas.report.comparison import statistics
from rlnas.seeding import numpy_stream

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)
DIFFERENCES = st.lists(st.integers(-5, 5), min_size=1, max_size=12).map(lambda values: np.array(values, dtype=float))


def test_interquartile_mean_is_of_the_middle_half():
    assert statistics.interquartile_mean(np.array([100.0, 3, 4, 5, 6, 2, 7, -90])) == 4.5  # of 3, 4, 5, 6
    assert statistics.interquartile_mean(np.array([1.0, 2, 6])) == 3  # a quarter of three is none


def test_standard_error():
    assert statistics.standard_error(np.array([1.0, 3.0])) == pytest.approx(1)  # sqrt(2) / sqrt(2)
    assert np.isnan(statistics.standard_error(np.array([1.0])))


def test_signed_rank_of_pairs_that_are_all_better():
    assert statistics.signed_rank(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(2 / 2**6)
    assert statistics.signed_rank(np.array([1.0, 2, -3])) == pytest.approx(1)  # R+ = R- = 3


def test_signed_rank_of_equal_pairs_is_one():
    assert statistics.signed_rank(np.zeros(7)) == 1
    assert statistics.signed_rank(np.full(7, 1e-12)) == 1  # rounding is no difference


def test_signed_rank_drops_zeros_and_counts_ties_exactly():
    # |d| = 1, 1, 2: of the 8 sign patterns R+ is 0 or 6 in two, so p is 2/8
    assert statistics.signed_rank(np.array([1.0, 1, 2, 0, 0])) == pytest.approx(2 / 8)


def test_signed_rank_with_ties_is_scipys():
    difference = np.array([1.0, 1, 2, -2, 3, 5, -1])
    assert statistics.signed_rank(difference) == pytest.approx(stats.wilcoxon(difference).pvalue)
    many = np.repeat([1.0, 2.0, -1.0], 7)  # too many for every pattern of signs
    assert statistics.signed_rank(many) == pytest.approx(stats.wilcoxon(many).pvalue)


@settings(max_examples=40)
@given(DIFFERENCES)
def test_swapping_the_two_keeps_p(difference):
    assert statistics.signed_rank(-difference) == pytest.approx(statistics.signed_rank(difference))


def test_rank_sum_by_hand():
    # 3 against 3, all better: 2 of the 20 ways to deal them
    assert statistics.rank_sum(np.array([4.0, 5, 6]), np.array([1.0, 2, 3])) == pytest.approx(2 / 20)
    assert statistics.rank_sum(np.ones(3), np.ones(4)) == 1
    assert statistics.rank_sum(np.ones(3), np.ones(4) + 1e-12) == 1  # rounding is no difference


def test_welch_by_hand():
    # means 2 and 5, variances 1 and 4: squared errors 1/3 and 4/3
    found = statistics.welch(np.array([1.0, 2, 3]), np.array([3.0, 5, 7]))
    assert found.mean == -3
    assert found.t == pytest.approx(-3 / np.sqrt(5 / 3))
    assert found.dof == pytest.approx((5 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2))
    reach = stats.t.ppf(0.975, found.dof) * np.sqrt(5 / 3)
    assert (found.low, found.high) == pytest.approx((-3 - reach, -3 + reach))


@settings(max_examples=40)
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=9), st.integers(2, 9), st.integers(0, 99))
def test_welch_is_scipys(ours, count, seed):
    one, other = (
        np.array(ours) + numpy_stream(seed, "a").normal(size=len(ours)),
        numpy_stream(seed, "b").normal(size=count),
    )
    found, theirs = statistics.welch(one, other), stats.ttest_ind(one, other, equal_var=False)
    assert (found.t, found.dof, found.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_paired_t_is_scipys():
    one, other = np.array([1.0, 2, 4, 3]), np.array([0.5, 2.5, 1, 2])
    found, theirs = statistics.paired_t(one, other), stats.ttest_rel(one, other)
    assert (found.t, found.dof, found.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


@pytest.mark.parametrize("unit", [1.0, 1e-12, 1e12])
def test_where_nothing_varies_the_difference_is_certain(unit):
    same, other = np.full(3, 0.3) * unit, np.full(4, 0.1 + 0.2) * unit  # 0.30000000000000004
    equal, unequal = statistics.welch(same, other), statistics.welch(same, 2 * other)
    assert (equal.t, equal.p) == (0, 1)
    assert (unequal.t, unequal.p) == (-np.inf, 0)
    assert unequal.low == unequal.high == pytest.approx(-0.3 * unit)


def test_probability_of_improvement_by_hand():
    # 2 > 1, 2 < 3, 3 > 1, 3 = 3
    assert statistics.probability_of_improvement(np.array([2.0, 3]), np.array([1.0, 3])) == pytest.approx(2.5 / 4)


@settings(max_examples=40)
@given(DIFFERENCES, DIFFERENCES)
def test_probabilities_of_improvement_add_up(one, other):
    there = statistics.probability_of_improvement(one, other)
    assert there + statistics.probability_of_improvement(other, one) == pytest.approx(1)


def test_holm_by_hand():
    assert statistics.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm(np.array([0.5, 0.6])) == pytest.approx([1, 1])
    assert statistics.holm(np.array([0.2])) == pytest.approx([0.2])
    assert len(statistics.holm(np.array([]))) == 0


@settings(max_examples=40)
@given(PROBABILITIES)
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    adjusted = statistics.holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(len(p) * p, 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_bootstrap_of_two_values_reaches_both():
    """Each of the four resamples is as likely, so 2.5% and 97.5% lie in the outer quarters."""
    low, high = statistics.bootstrap_band(np.array([[1.0, 5.0], [3.0, 5.0]]), numpy_stream(0, "test"))
    assert low.tolist() == [1, 5]
    assert high.tolist() == [3, 5]


def test_bootstrap_agrees_with_scipy_and_repeats():
    values = numpy_stream(1, "values").normal(size=20)
    low, high = statistics.bootstrap_band(values[:, None], numpy_stream(0, "test"))
    again = statistics.bootstrap_band(values[:, None], numpy_stream(0, "test"))
    assert (low[0], high[0]) == (again[0][0], again[1][0])
    rng = numpy_stream(2, "scipy")
    theirs = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=rng).confidence_interval
    width = theirs.high - theirs.low
    assert low[0] == pytest.approx(theirs.low, abs=0.05 * width)
    assert high[0] == pytest.approx(theirs.high, abs=0.05 * width)
