"""Differences of means with 95% intervals, by Student's and Welch's t.

Values are such that higher is better; n and m are numbers of runs or trainings.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
ROUNDING = 1e-12  # of the largest value: what is smaller is rounding


def standard_error(values: Floats) -> float:
    """Of the mean, from the sample's deviation (n - 1); NaN of one value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


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
    from scipy import stats  # takes a second to import

    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, dof)) * error
    return Difference(difference, difference - reach, difference + reach, t, dof, float(2 * stats.t.sf(abs(t), dof)))
