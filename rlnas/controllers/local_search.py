"""Local search with restarts (White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search").

What differs from the paper's algorithm 1: it scores all neighbours and moves to the best of them; this one moves
to the first that is better (first improvement), which spends fewer queries on a move. It ends in the first local
optimum; this one starts again at random until the budget is spent.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.spaces import Architecture, Space


class LocalSearch:
    """Visits the neighbours of the current architecture in random order; moves to the first that is better.

    Better is a higher observed value than the one that the current architecture had when it was scored. Neighbours
    that were visited since the start of the climb and are no better are not visited again.

    With several architectures a batch, so many neighbours are scored together and the first better one in order is
    taken; its successors in the batch are scored for nothing, which is the price of the batch. Where fewer
    neighbours are left than a batch holds, random architectures fill it; if none of the neighbours is better, the
    best of the random ones is the next start. So is it in the very first batch.
    """

    def __init__(self, space: Space, rng: np.random.Generator):
        self.space = space
        self.rng = rng
        self.current: Architecture | None = None
        self.value = 0.0  # of the current one
        self.ahead: list[Architecture] = []  # its neighbours that are still to be visited, in order
        self.worse: set[Architecture] = set()  # visited in this climb, and no better than the current one

    def propose(self, count: int) -> list[Architecture]:
        """The next neighbours, then random architectures."""
        neighbours = self.ahead[:count]
        return neighbours + [self.space.sample(self.rng) for _ in range(count - len(neighbours))]

    def observe(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """Move, or go on, or start again."""
        scored = list(zip(architectures, values, strict=True))
        neighbours, starts = scored[: len(self.ahead)], scored[len(self.ahead) :]
        self.ahead = self.ahead[len(neighbours) :]
        better = next((pair for pair in neighbours if pair[1] > self.value), None)
        bar = self.value if better is None else better[1]
        self.worse.update(architecture for architecture, value in neighbours if value <= bar)
        if better is not None:
            self._move(*better)
        elif not self.ahead and starts:
            self.worse = set()
            self._move(*max(starts, key=lambda pair: pair[1]))

    def _move(self, architecture: Architecture, value: float) -> None:
        self.worse.add(architecture)
        self.current, self.value = architecture, value
        neighbours = [other for other in self.space.neighbours(architecture) if other not in self.worse]
        self.ahead = [neighbours[position] for position in self.rng.permutation(len(neighbours))]

    def sample(self, count: int) -> list[Architecture]:
        """Random neighbours of the current architecture; before there is one, random architectures."""
        neighbours = [] if self.current is None else list(self.space.neighbours(self.current))
        if not neighbours:
            return [self.space.sample(self.rng) for _ in range(count)]
        return [neighbours[position] for position in self.rng.integers(len(neighbours), size=count)]

    def state(self) -> dict[str, Any]:
        """Where it stands and what it has visited."""
        return {"current": self.current, "value": self.value, "ahead": self.ahead, "worse": sorted(self.worse)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.current, self.value = state["current"], state["value"]
        self.ahead, self.worse = list(state["ahead"]), set(state["worse"])
