"""Racing: score children on growing parts of the images and stop those that are significantly worse than the best.

Two children are compared on the images that exactly one of them classifies correctly: if neither is better,
each such image is a fair coin flip (McNemar 1947). A child stops when an exact one-sided test finds it worse than
the one with most hits. Racing for model selection: Maron & Moore 1994.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc  # not from scipy.stats, which takes a second to import


def hopeless(hits: Sequence[NDArray[np.bool_]], error: float, tests: int) -> list[int]:
    """Return the positions of the children that are worse than the one with most hits.

    hits: for each child still racing, whether it classified each of the images so far correctly, (images,).
    error: in (0, 1), maximum probability that any of `tests` tests in total (every ordered pair at every
        stage) stops a child that is no worse over all images than the one it lost to (Bonferroni).
        It holds for images drawn independently; the validation split is drawn once and read in random order.
    """
    leader = max(range(len(hits)), key=lambda which: int(hits[which].sum()))
    stopped = []
    for which, mine in enumerate(hits):
        lost = int((hits[leader] & ~mine).sum())  # images that only the leader classifies correctly
        won = int((mine & ~hits[leader]).sum())
        if lost > won and bdtrc(lost - 1, lost + won, 0.5) < error / tests:  # P(at least `lost` heads)
            stopped.append(which)
    return stopped
