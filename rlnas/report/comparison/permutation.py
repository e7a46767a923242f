"""Permutation tests of means: of two independent samples, and of pairs.

Letters: n and m runs of the two sides, p checkpoints, r arrangements. All checkpoints are tested with the same
arrangements. Every arrangement is computed where there are at most EXACT of them; else RESAMPLES are drawn from
a random stream that depends on n and m only, so that the p of a test does not depend on the other tests.
"""

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rlnas.report.comparison.statistics import ROUNDING
from rlnas.seeding import numpy_stream

Floats = NDArray[np.float64]

EXACT = 200_000  # arrangements: all of 10 against 10 runs, all signs of 17 pairs
RESAMPLES = 99_999  # of more: the smallest p is then 0.00001
CHUNK = 2_000_000  # numbers of an intermediate array
DECIMALS = 9  # of values scaled to 1
TINY = 1e-12  # squared standard errors below it, of values scaled to 1, are rounding
TIE = 1e-9  # relative; statistics this close count as equal


def permutation_test(ours: Floats, theirs: Floats) -> Floats:
    """Two-sided p that the means of independent samples are equal: (n, p) and (m, p) to (p,); n, m >= 2.

    The runs are assigned anew to the two sides, and the statistic is Welch's t. Dividing by the standard error keeps
    the level, for many runs, also where the two spreads differ (Janssen 1997), which a test of ranks does not.
    """
    n = len(ours)
    raw = np.concatenate([ours, theirs])  # (n + m, p)
    values = _scaled(raw - raw.mean(axis=0), raw)
    observed = _welch_t(values[None, :n].sum(axis=1), (values[None, :n] ** 2).sum(axis=1), values, n)  # (1, p)
    sides, exact = _sides(n, len(theirs))
    hits = np.zeros(values.shape[1])
    for part in _chunks(sides, values):
        t = _welch_t(part @ values, part @ values**2, values, n)
        hits += (np.abs(t) >= np.abs(observed) * (1 - TIE)).sum(axis=0)
    return _share(hits, len(sides), exact)


def sign_flip_test(ours: Floats, theirs: Floats) -> Floats:
    """Two-sided p that the mean difference of pairs is zero: (n, p) and (n, p) to (p,); n >= 2.

    Under the hypothesis each difference may as well have the other sign.
    """
    values = _scaled(ours - theirs, np.concatenate([ours, theirs]))
    observed = np.abs(values.sum(axis=0))
    signs, exact = _signs(len(values))
    hits = np.zeros(values.shape[1])
    for part in _chunks(signs, values):
        hits += (np.abs(part @ values) >= observed - TIE).sum(axis=0)
    return _share(hits, len(signs), exact)


def smallest_p(n: int, m: int, *, paired: bool) -> float:
    """The smallest two-sided p that the test of n and m runs, or of n pairs, can give."""
    count = 2**n if paired else math.comb(n + m, n)
    if count > EXACT:
        return 1 / (RESAMPLES + 1)
    mirrored = 2 if paired or n == m else 1  # of equal sides the opposite arrangement is as far off
    return min(1.0, mirrored / count)


def runs_needed(tests: int, level: float, *, paired: bool) -> int | None:
    """The fewest runs on each side with which a p can be below the level after Holm's adjustment for so many tests.

    None if no number suffices.
    """
    enough = (runs for runs in range(2, 100) if tests * smallest_p(runs, runs, paired=paired) < level)
    return next(enough, None)


@lru_cache(maxsize=4)
def _sides(n: int, m: int) -> tuple[NDArray[np.bool_], bool]:
    """(r, n + m): which runs are assigned to the first side; and whether these are all arrangements."""
    count = math.comb(n + m, n)
    if count <= EXACT:
        chosen = np.array(list(itertools.combinations(range(n + m), n)))
        sides = np.zeros((count, n + m), dtype=bool)
        sides[np.arange(count)[:, None], chosen] = True
        return sides, True
    rng = numpy_stream(0, f"comparison/permutation/{n}/{m}")
    first = np.arange(n + m) < n
    return rng.permuted(np.broadcast_to(first, (RESAMPLES, n + m)), axis=1), False


@lru_cache(maxsize=4)
def _signs(n: int) -> tuple[NDArray[np.int8], bool]:
    """(r, n) of -1 and 1; and whether these are all."""
    if 2**n <= EXACT:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return (2 * bits - 1).astype(np.int8), True
    rng = numpy_stream(0, f"comparison/signs/{n}")
    return (2 * rng.integers(0, 2, size=(RESAMPLES, n), dtype=np.int8) - 1).astype(np.int8), False


def _welch_t(total: Floats, squares: Floats, values: Floats, n: int) -> Floats:
    """Welch's t of sides with these sums and sums of squares, (r, p) each; infinite where nothing varies."""
    m = len(values) - n
    mean, other = total / n, (values.sum(axis=0) - total) / m
    spread = np.maximum(squares - n * mean**2, 0) / (n - 1)
    other_spread = np.maximum((values**2).sum(axis=0) - squares - m * other**2, 0) / (m - 1)
    variance = spread / n + other_spread / m
    difference = mean - other
    difference[np.abs(difference) < TIE] = 0
    still = variance < TINY
    t: Floats = difference / np.sqrt(np.where(still, 1, variance))
    t[still] = np.where(difference[still] == 0, 0, np.copysign(np.inf, difference[still]))
    return t


def _scaled(moved: Floats, raw: Floats) -> Floats:
    """Each column with 1 as its largest size; rounding, as compared with the raw values, becomes 0."""
    size = np.abs(moved).max(axis=0)
    varies = size > ROUNDING * np.abs(raw).max(axis=0)
    return np.round(np.where(varies, moved / np.where(varies, size, 1), 0.0), DECIMALS).astype(np.float64)


def _chunks(arrangements: NDArray[np.generic], values: Floats) -> Iterator[Floats]:
    length = max(1, CHUNK // max(arrangements.shape[1], values.shape[1]))
    for start in range(0, len(arrangements), length):
        yield arrangements[start : start + length].astype(np.float64)


def _share(hits: Floats, count: int, exact: bool) -> Floats:
    """p: the observed arrangement is one of all; of a draw it is counted besides (Phipson & Smyth 2010)."""
    p: Floats = hits / count if exact else (hits + 1) / (count + 1)
    return p
