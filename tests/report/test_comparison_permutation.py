"""The tests that decide: by hand, exact against scipy, their level under the hypothesis, and what ranks get wrong."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from rlnas.report.comparison.permutation import (
    EXACT,
    RESAMPLES,
    permutation_test,
    runs_needed,
    sign_flip_test,
    smallest_p,
)
from rlnas.report.comparison.statistics import rank_sum, signed_rank
from rlnas.seeding import numpy_stream

Floats = NDArray[np.float64]
SAMPLE = st.lists(st.integers(-5, 5), min_size=2, max_size=6).map(lambda values: np.array(values, dtype=float))


def column(*values: float) -> Floats:
    return np.array(values, dtype=float)[:, None]


def failing(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Regrets of a controller that is good but fails badly in 12% of its runs: mean 0.2."""
    return np.where(rng.random(shape) < 0.12, 1.3, 0.05) + 0.01 * rng.random(shape)


# -- by hand -------------------------------------------------------------------------------------------


def test_all_better_by_hand():
    assert permutation_test(column(4, 5, 6), column(1, 2, 3)) == pytest.approx([2 / math.comb(6, 3)])
    assert permutation_test(column(5, 5.5), column(1, 2, 3)) == pytest.approx([1 / math.comb(5, 2)])
    assert sign_flip_test(column(4, 5, 7), column(1, 1, 1)) == pytest.approx([2 / 2**3])
    # sums of signs times 3, 2, 1: as far off as 3 + 2 - 1 are +-6 and +-4
    assert sign_flip_test(column(3, 2, 0), column(0, 0, 1)) == pytest.approx([4 / 8])


def test_equal_means_and_equal_values_give_one():
    assert permutation_test(column(1, 3), column(2, 2)) == pytest.approx([1])
    for test in (permutation_test, sign_flip_test):
        assert test(column(0.3, 0.3, 0.3), column(0.1 + 0.2, 0.3, 0.3)).tolist() == [1]  # rounding is no difference


def test_constants_that_differ_are_as_far_apart_as_can_be():
    assert permutation_test(column(1, 1, 1), column(2, 2, 2)) == pytest.approx([2 / 20])


def test_exact_p_is_scipys():
    rng = numpy_stream(0, "test")
    ours, theirs = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)) + np.arange(5)

    def welch(x: Floats, y: Floats, axis: int) -> Floats:
        return stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic

    options = {"axis": 0, "vectorized": True, "n_resamples": np.inf}
    expected = stats.permutation_test((ours, theirs), welch, **options).pvalue
    assert permutation_test(ours, theirs) == pytest.approx(expected)
    pairs = stats.permutation_test((ours - theirs,), np.mean, permutation_type="samples", **options).pvalue
    assert sign_flip_test(ours, theirs) == pytest.approx(pairs)


@settings(max_examples=40)
@given(SAMPLE, SAMPLE, st.sampled_from([1.0, -2.0, 1e-11, 1e9]))
def test_neither_unit_nor_side_changes_p(ours, theirs, unit):
    p = permutation_test(ours[:, None], theirs[:, None])
    assert permutation_test(unit * theirs[:, None], unit * ours[:, None]) == pytest.approx(p)
    assert 0 < p[0] <= 1


def test_each_checkpoint_is_tested_alone_and_again_the_same():
    rng = numpy_stream(0, "test")
    ours, theirs = rng.normal(size=(12, 3)), 1 + rng.normal(size=(13, 3))  # too many for every arrangement
    together = permutation_test(ours, theirs)
    assert [float(permutation_test(ours[:, [k]], theirs[:, [k]])[0]) for k in range(3)] == together.tolist()
    assert permutation_test(ours, theirs).tolist() == together.tolist()
    assert together == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False).pvalue, rel=0.3)


# -- level and power -----------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["normal", "failing"])
def test_equal_samples_are_told_apart_about_one_time_in_twenty(law):
    rng = numpy_stream(1, law)
    draw = failing if law == "failing" else lambda rng, shape: rng.normal(size=shape)
    ours, theirs = draw(rng, (7, 600)), draw(rng, (7, 600))
    assert 0.02 < (permutation_test(ours, theirs) < 0.05).mean() < 0.08
    assert 0.02 < (sign_flip_test(ours, theirs) < 0.05).mean() < 0.08


def test_equal_means_of_unequal_spread_are_told_apart_by_ranks_but_not_by_the_mean():
    rng = numpy_stream(2, "spread")
    ours, theirs = rng.exponential(size=(40, 200)), 1 + 0.1 * rng.normal(size=(25, 200))  # means 1
    assert (permutation_test(ours, theirs) < 0.05).mean() < 0.12
    ranks = [rank_sum(one, other) for one, other in zip(ours.T, theirs.T, strict=True)]
    assert np.mean(np.array(ranks) < 0.05) > 0.2


def test_a_controller_that_sometimes_fails_badly_is_not_better():
    """Three hundred runs with twice the mean regret: ranks call it better, the test of the mean calls it worse."""
    rng = numpy_stream(3, "failing")
    ours, theirs = failing(rng, (300, 1)), 0.1 + 0.02 * rng.random((300, 1))
    assert ours.mean() > 1.7 * theirs.mean()
    assert np.median(ours) < np.median(theirs)
    assert signed_rank((theirs - ours)[:, 0]) < 0.001  # and the rank sums are in its favour
    assert permutation_test(ours, theirs)[0] < 0.01
    assert sign_flip_test(ours, theirs)[0] < 0.01


def test_a_real_lead_is_found():
    rng = numpy_stream(4, "lead")
    ours, theirs = 1 + rng.normal(size=(30, 50)), rng.normal(size=(30, 50))
    assert (permutation_test(ours, theirs) < 0.05).mean() > 0.9


# -- how many runs it takes ----------------------------------------------------------------------------


def test_smallest_p():
    assert smallest_p(4, 4, paired=False) == 2 / math.comb(8, 4)
    assert smallest_p(3, 4, paired=False) == 1 / math.comb(7, 3)
    assert smallest_p(6, 6, paired=True) == 2 / 2**6
    assert smallest_p(300, 300, paired=False) == 1 / (RESAMPLES + 1)
    assert math.comb(20, 10) <= EXACT < 2**18


def test_runs_needed():
    assert runs_needed(1, 0.05, paired=False) == 4  # 2 of 70; 2 of 20 is 0.1
    assert runs_needed(1, 0.05, paired=True) == 6  # 2 of 64; 2 of 32 is 0.0625
    assert runs_needed(66, 0.05, paired=True) == 12
    assert runs_needed(10**6, 0.05, paired=False) is None
