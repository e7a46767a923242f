"""Choose the architectures whose stand-alone value is measured.

Labels only near the current optimum ruin a fit: all of them are alike, so nothing tells which property makes an
architecture good. For this reason a share of them is drawn uniformly, stratified by FLOPs.
"""

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

import numpy as np

from rlnas.spaces import Architecture, Space

POOL = 1000  # uniform samples that the strata are quantiles of


def stratified(
    space: Space,
    flops: Callable[[Architecture], float],
    count: int,
    rng: np.random.Generator,
    exclude: Collection[Architecture] = (),
) -> list[Architecture]:
    """Return `count` distinct architectures, one drawn from each of `count` strata of equal size by FLOPs.

    The strata divide `POOL` uniform samples without those in `exclude`. Fewer are returned if the samples hold fewer
    distinct architectures.
    """
    pool = list(dict.fromkeys(space.sample(rng) for _ in range(POOL)))
    pool = [architecture for architecture in pool if architecture not in exclude]
    pool.sort(key=lambda architecture: (flops(architecture), space.text(architecture)))
    edges = np.linspace(0, len(pool), min(count, len(pool)) + 1).round().astype(int)
    return [pool[rng.integers(low, high)] for low, high in pairwise(edges)]


def choose_labels(
    space: Space,
    flops: Callable[[Architecture], float],
    count: int,
    random_share: float,
    predicted: Mapping[Architecture, float],
    known: Collection[Architecture],
    rng: np.random.Generator,
) -> dict[Architecture, str]:
    """Return up to `count` architectures to measure, none of `known`, and the source of each: `best` or `random`.

    predicted: predictions of the architectures scored since the last choice; the best of them are taken for a share
    of 1 - random_share, the first of equals first, and fewer if there are not enough. The rest is `stratified`.
    """
    wanted = count - round(random_share * count)
    best_first = sorted((one for one in predicted if one not in known), key=lambda one: -predicted[one])
    chosen = dict.fromkeys(best_first[:wanted], "best")
    drawn = stratified(space, flops, count - len(chosen), rng, {*known, *chosen})
    return chosen | dict.fromkeys(drawn, "random")
