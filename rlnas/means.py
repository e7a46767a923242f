"""What an architecture is worth when it was scored more than once: the mean."""

import bisect
from typing import Any

from rlnas.spaces import Architecture


class Means:
    """The mean of the values observed of each architecture, and how many there were.

    All are remembered: one that was pushed out of the best by a low second value must not come back by a
    third value alone.
    """

    def __init__(self) -> None:
        self.known: dict[Architecture, tuple[float, int]] = {}  # mean and number of the values, first seen first
        self._places: dict[Architecture, int] = {}  # when each was first seen
        self._order: list[tuple[float, int, Architecture]] = []  # best first: (-mean, place, architecture)

    def add(self, architecture: Architecture, value: float) -> None:
        """One more value; costs the logarithm of how many there are, and a move in memory.

        The mean of equal values is that value to the bit, which a sum divided by their number is not.
        """
        mean, count = self.known.get(architecture, (0.0, 0))
        place = self._places.setdefault(architecture, len(self._places))
        if count:
            del self._order[bisect.bisect_left(self._order, (-mean, place))]
        mean += (value - mean) / (count + 1)
        self.known[architecture] = (mean, count + 1)
        bisect.insort(self._order, (-mean, place, architecture))

    def mean(self, architecture: Architecture) -> float:
        """Of an architecture that was observed."""
        return self.known[architecture][0]

    def best(self, count: int) -> list[Architecture]:
        """The `count` different architectures of the highest means, best first; of equal ones the older."""
        return [architecture for _, _, architecture in self._order[:count]]

    def state(self) -> dict[str, Any]:
        """All values, as plain data."""
        return {"means": [(architecture, *pair) for architecture, pair in self.known.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.known = {tuple(architecture): (mean, count) for architecture, mean, count in state["means"]}
        self._places = {architecture: place for place, architecture in enumerate(self.known)}
        self._order = sorted(
            (-self.mean(architecture), place, architecture) for architecture, place in self._places.items()
        )
