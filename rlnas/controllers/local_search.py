"""Local search with restarts (White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search").

Differences from the paper's algorithm 1: the paper scores all neighbours and moves to the best; this one moves to the
first better one (first improvement), which takes fewer queries a move. The paper stops at the first local optimum; this
one restarts at random until the budget is spent.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.spaces import Architecture, Space


class LocalSearch:
    """Visits the neighbours of the current architecture in random order; moves to the first that is better.

    Better means a higher value than the current architecture had when it was scored. Neighbours visited since the
    last restart that are no better are not visited again.

    With several architectures a batch, that many neighbours are scored together and the first better one in order is
    taken; the later ones in the batch have no effect. Where fewer neighbours are left than a batch holds, random
    architectures fill it; if no neighbour is better, the best random one is the next start. The first batch works the
    same way.
    """

    def __init__(self, space: Space, rng: np.random.Generator):
        self.space = space
        self.rng = rng
        self.current: Architecture | None = None
        self.value = 0.0  # objective of the current architecture
        self.asked: list[Architecture] = []
        self.ahead: list[Architecture] = []  # its neighbours still to be visited, in order
        self.worse: set[Architecture] = set()  # visited since the last restart and no better than the current one

    def ask(self, count: int) -> list[Architecture]:
        """Propose the next neighbours, then random architectures."""
        neighbours = self.ahead[:count]
        self.asked = neighbours + [self.space.sample(self.rng) for _ in range(count - len(neighbours))]
        return self.asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Move to a better neighbour, keep visiting neighbours, or restart."""
        scored = [(outcome.architecture, outcome.objective) for outcome in in_order(self.asked, outcomes)]
        neighbours, starts = scored[: len(self.ahead)], scored[len(self.ahead) :]
        self.ahead = self.ahead[len(neighbours) :]
        better = next((pair for pair in neighbours if pair[1] > self.value), None)
        threshold = self.value if better is None else better[1]
        self.worse.update(architecture for architecture, value in neighbours if value <= threshold)
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
        """Sample neighbours of the current architecture; before there is one, random architectures."""
        neighbours = [] if self.current is None else list(self.space.neighbours(self.current))
        if not neighbours:
            return [self.space.sample(self.rng) for _ in range(count)]
        return [neighbours[position] for position in self.rng.integers(len(neighbours), size=count)]

    def state(self) -> dict[str, Any]:
        """Return the current architecture, its value, and the neighbours visited and still to visit."""
        text = self.space.text
        return {
            "current": None if self.current is None else text(self.current),
            "value": self.value,
            "ahead": [text(architecture) for architecture in self.ahead],
            "worse": sorted(text(architecture) for architecture in self.worse),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        parse = self.space.parse
        self.current = None if state["current"] is None else parse(state["current"])
        self.value = state["value"]
        self.ahead = [parse(text) for text in state["ahead"]]
        self.worse = {parse(text) for text in state["worse"]}
