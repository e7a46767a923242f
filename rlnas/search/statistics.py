"""Statistics of the architectures of a round."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rlnas.spaces import Architecture, Space


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None if there are no values."""
    return float(np.mean(values)) if len(values) else None


def diversity(space: Space, architectures: Sequence[Architecture]) -> float:
    """Return the mean entropy of the choices over these architectures: 1 if all values are used equally often, 0 if
    all architectures are equal.

    The entropy of each choice is divided by that of a uniform choice among all values legal for at least one of them.
    """
    actions = np.stack([space.actions(architecture) for architecture in architectures])  # (n, t, m)
    starts = np.cumsum((0, *space.nvec))
    shares = []
    for step in range(space.steps):
        legal = _legal(space, actions[:, :step])  # (w,)
        for component, (start, stop) in enumerate(pairwise(starts)):
            choices = int(legal[start:stop].sum())
            if choices > 1:
                p = np.bincount(actions[:, step, component]) / len(actions)
                shares.append(float(-(p[p > 0] * np.log(p[p > 0])).sum()) / math.log(choices))
    return mean(shares) or 0.0


def _legal(space: Space, prefixes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which choices are legal after at least one of these prefixes (n, steps so far, m): (w,)."""
    found: NDArray[np.bool_] = np.any([space.legal(prefix) for prefix in np.unique(prefixes, axis=0)], axis=0)
    return found


def feature_mean(space: Space, architectures: Sequence[Architecture], name: str) -> float | None:
    """Return the mean of a numeric feature; None if the space does not have it."""
    found = [space.features(architecture).get(name) for architecture in architectures]
    numbers = [float(value) for value in found if isinstance(value, int | float)]
    return mean(numbers) if len(numbers) == len(found) else None


def unique_share(architectures: Sequence[Architecture]) -> float:
    """Return the share of different ones among these architectures (at least one), in (0, 1]."""
    return len(set(architectures)) / len(architectures)


def operator_shares(space: Space, architectures: Sequence[Architecture]) -> tuple[float, float] | None:
    """Return the shares of pools and of identities among all operators of these architectures.

    Operators are the text features PLACE/operator; None if the space has none.
    """
    operators = [
        value
        for architecture in architectures
        for name, value in space.features(architecture).items()
        if name.endswith("/operator") and isinstance(value, str)
    ]
    if not operators:
        return None
    pools = sum(operator.startswith(("avg_pool", "max_pool")) for operator in operators)
    return pools / len(operators), operators.count("identity") / len(operators)


def standard_gap(value: float | None, control: Sequence[float]) -> float | None:
    """Return (value - mean) / standard deviation of the control's values; None where that is not defined."""
    if value is None or len(control) < 2:
        return None
    deviation = float(np.std(control, ddof=1))
    return (value - float(np.mean(control))) / deviation if deviation > 0 else None
