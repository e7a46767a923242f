"""Racing: children are scored on growing parts of the images, and those that cannot win stop early.

Two children are compared on the images that exactly one of them classifies correctly: if neither is better,
each such image is a fair coin (McNemar 1947). A child stops when an exact one-sided test says that it is
worse than the leader. Races for selection: Maron & Moore 1994.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc  # scipy.stats has it too, and takes a second to import


def hopeless(hits: Sequence[NDArray[np.bool_]], error: float, tests: int) -> list[int]:
    """Positions of the children that are worse than the one with most hits.

    hits: for each child still racing, whether it classified each of the images so far correctly, (images,).
    error: in (0, 1), how probable it may be that, of `tests` tests in all (every ordered pair at every
        stage), one stops a child that is no worse over all images than the one it lost to (Bonferroni).
        It holds for images drawn independently; the validation split is drawn once and walked in random order.
    """
    leader = max(range(len(hits)), key=lambda which: int(hits[which].sum()))
    stopped = []
    for which, mine in enumerate(hits):
        lost = int((hits[leader] & ~mine).sum())  # images that only the leader has right
        won = int((mine & ~hits[leader]).sum())
        if lost > won and bdtrc(lost - 1, lost + won, 0.5) < error / tests:  # P(at least `lost` heads)
            stopped.append(which)
    return stopped
