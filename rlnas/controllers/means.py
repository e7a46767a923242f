"""What an architecture is worth when it was scored more than once: the mean."""

import heapq
from typing import Any

from rlnas.spaces import Architecture


class Means:
    """The mean of the values observed of each architecture, and how many there were.

    All are remembered: one that was pushed out of the best by a low second value must not come back by a
    third value alone.
    """

    def __init__(self) -> None:
        self.totals: dict[Architecture, tuple[float, int]] = {}  # sum and number of the values, first seen first

    def add(self, architecture: Architecture, value: float) -> None:
        """One more value."""
        total, count = self.totals.get(architecture, (0.0, 0))
        self.totals[architecture] = (total + value, count + 1)

    def mean(self, architecture: Architecture) -> float:
        """Of an architecture that was observed."""
        total, count = self.totals[architecture]
        return total / count

    def best(self, count: int) -> list[Architecture]:
        """The `count` different architectures of the highest means, best first; of equal ones the older."""
        return heapq.nlargest(count, self.totals, key=self.mean)

    def state(self) -> dict[str, Any]:
        """All values, as plain data."""
        return {"totals": [(architecture, *pair) for architecture, pair in self.totals.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.totals = {tuple(architecture): (total, count) for architecture, total, count in state["totals"]}
