"""The statistics of the comparison, each a function of plain arrays that a hand can check.

Letters: n and m runs, p points of a curve. Values are such that higher is better. The tests that decide are in
permutation.py, Student's and Welch's t in rlnas.statistics.
"""

import numpy as np
from scipy import stats

from rlnas.statistics import CONFIDENCE, ROUNDING, Difference, Floats, paired_t, standard_error, welch

__all__ = [
    "ROUNDING",
    "Difference",
    "Floats",
    "bootstrap_band",
    "holm",
    "interquartile_mean",
    "paired_t",
    "probability_of_improvement",
    "rank_sum",
    "signed_rank",
    "standard_error",
    "welch",
]

RESAMPLES = 5000  # of the bootstrap: the ends of a 95% band then move by a few percent of its width
MOST_EXACT_TIES = 13  # pairs: 2^13 patterns of signs
SETTLED = 9  # decimals; differences below are rounding, and would break ties


def interquartile_mean(values: Floats) -> float:
    """Mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264): a quarter is cut at each end, rounded down."""
    return float(stats.trim_mean(values, 0.25))


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
