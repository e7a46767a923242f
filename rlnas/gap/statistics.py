"""How well a score ranks architectures, against their true values: rank correlations, regret, bootstrap intervals.

n architectures; `score` and `truth` are (n,) float arrays, higher is better. A resample of the bootstrap is a row of
counts (n,): how often each architecture was drawn. Both correlations are computed from such counts, the sample itself
being the row of ones. Two draws of one architecture are a pair that is tied in both, which tau-b leaves out.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.seeding import numpy_stream

RESAMPLES = 2000
LEVEL = 0.95  # of the intervals
KNOWN = 0.9  # share of the resamples in which a statistic must be defined for it to have an interval
LEAST = 3  # architectures, below which no correlation is computed
NEAR = 0.10  # FLOPs of a pair count as equal if the higher exceeds the lower by at most this share
KS = (1, 3, 5, 10)

Floats = NDArray[np.float64]
Pairs = NDArray[np.bool_]  # (n, n), symmetric: the pairs that count


@dataclass(frozen=True)
class Estimate:
    """A statistic with the percentile bootstrap interval of LEVEL.

    n: architectures. pairs: pairs of them, where not all count. value, low, high: None with a `reason`.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    pairs: int | None = None
    reason: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def resamples(n: int, seed: int, count: int = RESAMPLES) -> Floats:
    """Return the counts (count, n) of `count` bootstrap resamples of n architectures; a function of its arguments."""
    stream = numpy_stream(seed, f"gap/bootstrap/{n}")
    return stream.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64)


def kendall(score: Floats, truth: Floats, counts: Floats, pairs: Pairs | None = None) -> Floats:
    """Return Kendall's tau-b of each resample: (resamples, n) counts to (resamples,); NaN where it is not defined.

    pairs: only these pairs count; None: all.
    """
    a, b = (np.sign(values[:, None] - values[None, :]) for values in (score, truth))  # (n, n)
    mask = np.ones_like(a) if pairs is None else pairs.astype(np.float64)

    def total(matrix: Floats) -> Floats:  # over the pairs of a resample, each counted twice
        found: Floats = np.einsum("ri,ri->r", counts @ (mask * matrix), counts)
        return found

    scale = np.sqrt(total(np.abs(a)) * total(np.abs(b)))
    return _ratio(total(a * b), scale)


def spearman(score: Floats, truth: Floats, counts: Floats) -> Floats:
    """Return Spearman's rho of each resample: (resamples, n) counts to (resamples,); NaN where it is not defined."""
    x, y = (_centred_ranks(values, counts) for values in (score, truth))

    def total(values: Floats) -> Floats:
        found: Floats = np.einsum("ri,ri->r", values, counts)
        return found

    return _ratio(total(x * y), np.sqrt(total(x * x) * total(y * y)))


def _centred_ranks(values: Floats, counts: Floats) -> Floats:
    """Return the mid-rank of each value within each resample, minus their mean: (resamples, n)."""
    below = counts @ (values[:, None] < values[None, :]).astype(np.float64)
    equal = counts @ (values[:, None] == values[None, :]).astype(np.float64)
    drawn = counts.sum(axis=1, keepdims=True)
    ranks: Floats = below + (equal - drawn) / 2  # below + (equal + 1) / 2 - (drawn + 1) / 2
    return ranks


def _ratio(above: Floats, below: Floats) -> Floats:
    result: Floats = np.full(len(above), np.nan)
    # the sums are exact (halves of whole numbers); only the square root of their product is rounded
    np.divide(above, below, out=result, where=below > 1e-9)
    return result


def _estimate(values: Floats, n: int, pairs: int | None = None) -> Estimate:
    """Return the estimate of a sample (first value) and its resamples (the others)."""
    low, high = interval(values[1:])
    value = float(values[0])
    return Estimate(value if math.isfinite(value) else None, low, high, n, pairs)


def interval(values: Floats) -> tuple[float | None, float | None]:
    """Return the percentile interval of a resampled statistic; None for both where over 10 % of resamples lack it."""
    known = values[np.isfinite(values)]
    if len(known) < KNOWN * len(values):
        return None, None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


# -- which architectures and pairs --------------------------------------------------------------------------


def top_quarter(truth: Floats) -> NDArray[np.int64]:
    """Return the positions of the ceil(n / 4) best by truth, and of those that equal the last of them."""
    least = np.sort(truth)[::-1][math.ceil(len(truth) / 4) - 1]
    found: NDArray[np.int64] = np.flatnonzero(truth >= least)
    return found


def near_pairs(costs: Floats, share: float = NEAR) -> Pairs:
    """Return which pairs have equal costs: the higher is at most (1 + share) times the lower. (n, n)."""
    low, high = np.minimum.outer(costs, costs), np.maximum.outer(costs, costs)
    near: Pairs = high <= low * (1 + share)
    return near & ~np.eye(len(costs), dtype=bool)


def regret(score: Floats, truth: Floats, k: int, best: float | None = None) -> float | None:
    """Return `best` minus the best truth among the k architectures with the highest score; None for k > n.

    best: by default the best truth of the sample. Among equal scores the earlier architectures are taken.
    """
    if k > len(score):
        return None
    chosen = np.argsort(-score, kind="stable")[:k]
    return float((truth.max() if best is None else best) - truth[chosen].max())


# -- everything about one score -----------------------------------------------------------------------------


def agreement(
    score: Sequence[float | None],
    truth: Sequence[float],
    *,
    flops: Sequence[float | None],
    seed: int,
    optimum: float | None = None,
    ks: Sequence[int] = KS,
) -> dict[str, Any]:
    """Return how a score ranks architectures, as plain data.

    flops: of the networks; a score is compared with them, and pairs of equal FLOPs are counted apart. optimum: the best
    truth of the whole space, where it is known. seed: of the bootstrap.

    Keys: `tau`, `spearman`, `top_tau`, `top_spearman` (within the top quarter by truth), `equal_flops_tau` (pairs of
    equal FLOPs), `tau_minus_flops` (the same resamples for both): an Estimate each. `regret` and, with an optimum,
    `regret_to_optimum`: by k as text.
    """
    n = len(truth)
    x, y = _floats(score), _floats(truth)
    costs = _floats(flops)
    problem = _problem(x, y)
    if problem:
        nothing = Estimate(None, None, None, n, reason=problem)
        names = ("tau", "spearman", "top_tau", "top_spearman", "equal_flops_tau", "tau_minus_flops")
        found = {name: nothing.plain() for name in names}
    else:
        counts = np.vstack([np.ones((1, n)), resamples(n, seed)])
        taus = kendall(x, y, counts)
        found = {"tau": _estimate(taus, n).plain(), "spearman": _estimate(spearman(x, y, counts), n).plain()}
        found |= {f"top_{name}": value.plain() for name, value in _within_top(x, y, seed).items()}
        found["equal_flops_tau"] = _equal_flops(x, y, costs, counts).plain()
        found["tau_minus_flops"] = _against_flops(taus, y, costs, counts).plain()
    known = bool(n) and not _unknown(x)
    found["regret"] = {str(k): regret(x, y, k) if known else None for k in ks}
    if optimum is not None:
        found["regret_to_optimum"] = {str(k): regret(x, y, k, optimum) if known else None for k in ks}
    return found


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _unknown(values: Floats) -> bool:
    return not bool(np.isfinite(values).all())


def _problem(score: Floats, truth: Floats) -> str | None:
    """Return why no correlation is defined, None if one is."""
    if len(truth) < LEAST:
        return f"only {len(truth)} architectures"
    if _unknown(score):
        return "unknown of some"
    if bool((score == score[0]).all()):
        return "scores all equal"
    if bool((truth == truth[0]).all()):
        return "truth all equal"
    return None


def _within_top(score: Floats, truth: Floats, seed: int) -> dict[str, Estimate]:
    """Return tau and Spearman within the top quarter by truth."""
    top = top_quarter(truth)
    x, y, n = score[top], truth[top], len(top)
    problem = _problem(x, y)
    if problem:
        return dict.fromkeys(("tau", "spearman"), Estimate(None, None, None, n, reason=problem))
    counts = np.vstack([np.ones((1, n)), resamples(n, seed)])
    return {"tau": _estimate(kendall(x, y, counts), n), "spearman": _estimate(spearman(x, y, counts), n)}


def _equal_flops(score: Floats, truth: Floats, costs: Floats, counts: Floats) -> Estimate:
    n = len(truth)
    if _unknown(costs):
        return Estimate(None, None, None, n, reason="FLOPs unknown")
    pairs = near_pairs(costs)
    values = kendall(score, truth, counts, pairs)
    count = int(pairs.sum()) // 2
    if not math.isfinite(values[0]):
        reason = "no such pairs" if count == 0 else "all such pairs are ties"
        return Estimate(None, None, None, n, count, reason)
    return _estimate(values, n, count)


def _against_flops(taus: Floats, truth: Floats, costs: Floats, counts: Floats) -> Estimate:
    n = len(truth)
    if _problem(costs, truth):
        return Estimate(None, None, None, n, reason="FLOPs unknown or all equal")
    return _estimate(taus - kendall(costs, truth, counts), n)
