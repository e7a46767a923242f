"""The statistics of the comparison, each a function of plain arrays that a hand can check.

Letters: n and m runs, p points of a curve. Values are such that higher is better. The tests that decide are in
permutation.py.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

RESAMPLES = 5000  # of the bootstrap: the ends of a 95% band then move by a few percent of its width
CONFIDENCE = 0.95
MOST_EXACT_TIES = 13  # pairs: 2^13 patterns of signs
ROUNDING = 1e-12  # of the largest value: what is smaller is rounding
SETTLED = 9  # decimals; differences below are rounding, and would break ties


def interquartile_mean(values: Floats) -> float:
    """Mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264): a quarter is cut at each end, rounded down."""
    return float(stats.trim_mean(values, 0.25))


def standard_error(values: Floats) -> float:
    """Of the mean, from the sample's deviation (n - 1); NaN of one value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def bootstrap_band(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Ends of the 95% percentile bootstrap interval of the mean over seeds, at each point: (n, p) to two (p,).

    Whole curves are drawn, so one resample has the same seeds at all points. n >= 2. rng is advanced.
    """
    n = len(values)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)  # (resamples, n): how often each seed is drawn
    means = counts @ values / n  # (resamples, p)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def signed_rank(difference: Floats) -> float:
    """The two-sided p of Wilcoxon's signed-rank test of paired differences (n,); 1 if all are zero.

    Zeros are dropped. Exact up to 13 pairs, and without ties up to 50; a normal approximation beyond.
    """
    kept = _settled(difference)
    if len(kept) == 0:
        return 1.0
    sizes = np.abs(kept)
    if len(np.unique(sizes)) == len(kept) or len(kept) > MOST_EXACT_TIES:
        return float(stats.wilcoxon(kept).pvalue)
    # what scipy's wilcoxon does with ties, but in whole arrays: a hundred times faster
    ranks = stats.rankdata(sizes) * np.sign(kept)
    every_sign = stats.permutation_test(
        (ranks,), np.sum, permutation_type="samples", vectorized=True, n_resamples=2**MOST_EXACT_TIES
    )
    return float(every_sign.pvalue)


def rank_sum(ours: Floats, theirs: Floats) -> float:
    """The two-sided p of the Mann-Whitney rank-sum test of independent samples (n,) and (m,); 1 if all are equal.

    Exact for up to 8 runs a side without ties; a normal approximation, with ties corrected, beyond.
    """
    ours, theirs = np.round(ours, SETTLED), np.round(theirs, SETTLED)
    if np.ptp(np.concatenate([ours, theirs])) == 0:
        return 1.0
    return float(stats.mannwhitneyu(ours, theirs, alternative="two-sided").pvalue)


@dataclass(frozen=True)
class Difference:
    """A difference of two means. low, high: its 95% interval. t, dof, p: of the t test, two-sided."""

    mean: float
    low: float
    high: float
    t: float
    dof: float
    p: float


def welch(ours: Floats, theirs: Floats) -> Difference:
    """Mean of ours minus mean of theirs, by Welch's t: independent samples (n,) and (m,), n, m >= 2.

    scipy's `ttest_ind(equal_var=False)`, but with an answer where nothing varies: p is then 1 or 0.
    """
    n, m = len(ours), len(theirs)
    own, other = float(np.var(ours, ddof=1)) / n, float(np.var(theirs, ddof=1)) / m
    difference = float(np.mean(ours) - np.mean(theirs))
    rounding = ROUNDING * float(np.abs(np.concatenate([ours, theirs])).max())
    if math.sqrt(own + other) <= rounding:
        return _student(difference, 0.0, n + m - 2, rounding)
    dof = (own + other) ** 2 / (own**2 / (n - 1) + other**2 / (m - 1))
    return _student(difference, math.sqrt(own + other), dof, rounding)


def paired_t(ours: Floats, theirs: Floats) -> Difference:
    """Mean of ours minus mean of theirs, by Student's t of the pairs: (n,) and (n,), n >= 2."""
    rounding = ROUNDING * float(np.abs(np.concatenate([ours, theirs])).max())
    difference = ours - theirs
    return _student(float(np.mean(difference)), standard_error(difference), len(difference) - 1, rounding)


def _student(difference: float, error: float, dof: float, rounding: float) -> Difference:
    if error <= rounding:
        equal = abs(difference) <= rounding
        t = 0.0 if equal else math.copysign(math.inf, difference)
        return Difference(difference, difference, difference, t, dof, float(equal))
    t = difference / error
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, dof)) * error
    return Difference(difference, difference - reach, difference + reach, t, dof, float(2 * stats.t.sf(abs(t), dof)))


def probability_of_improvement(better: Floats, than: Floats) -> float:
    """P(a run of the one is better than a run of the other) over all pairs of their seeds, ties half.

    Values where higher is better: (n,) and (m,). Agarwal et al. 2021, section 4.3.
    """
    difference: Floats = np.round(better[:, None] - than[None, :], SETTLED)
    return float((np.sign(difference) + 1).mean() / 2)


def holm(values: Floats) -> Floats:
    """Holm's step-down adjustment of the p of one family (m,): adjusted p, in the same order.

    The i-th smallest of m (from 0) is multiplied by m - i, never falls below the one before, and ends at 1.
    """
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    adjusted: Floats = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def _settled(difference: Floats) -> Floats:
    rounded: Floats = np.round(difference, SETTLED)
    kept: Floats = rounded[rounded != 0]
    return kept
