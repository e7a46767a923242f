"""Regularised (aging) evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Architecture
Search", algorithm 1): of a population, the oldest dies, not the worst.

With one architecture a batch it is the published, sequential algorithm. With more, the children of a batch
are bred from one population and join it together in the order of the batch, as with so many asynchronous
workers.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.errors import RlnasError
from rlnas.spaces import Architecture, Space


class Evolution:
    """Tournaments of `sample` drawn without replacement from the `population`; the best one's mutation is next.

    Until the population is full, architectures are random; a batch may fill it beyond its size, then the oldest
    die at once. A mutation changes one decision (`Space.mutate`). Deviation from the paper: no mutation leaves
    its parent as it is. An individual keeps the value it was born with, also where the shared weights have
    changed since: aging is what forgets it.
    """

    def __init__(self, space: Space, rng: np.random.Generator, population: int = 25, sample: int = 5):
        if sample > population:
            raise RlnasError(
                f"controller.params.sample is {sample}, expected at most population ({population}): a tournament "
                "draws without replacement; lower sample or raise population"
            )
        self.space = space
        self.rng = rng
        self.tournament = sample
        # oldest first; adding to a full one drops the oldest
        self.population: deque[tuple[Architecture, float]] = deque(maxlen=population)

    def propose(self, count: int) -> list[Architecture]:
        """The children of so many tournaments; random architectures before the population is full."""
        return [self._child() for _ in range(count)]

    def observe(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """They are born, and as many of the oldest die."""
        self.population.extend(zip(architectures, values, strict=True))

    def sample(self, count: int) -> list[Architecture]:
        """Children as they would be proposed now."""
        return self.propose(count)

    def _child(self) -> Architecture:
        if len(self.population) < (self.population.maxlen or 0):
            return self.space.sample(self.rng)
        rivals = self.rng.choice(len(self.population), size=self.tournament, replace=False)
        parent, _ = max((self.population[rival] for rival in rivals), key=lambda member: member[1])
        return self.space.mutate(parent, self.rng)

    def state(self) -> dict[str, Any]:
        """The population, oldest first."""
        return {"population": list(self.population)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.population.clear()
        self.population.extend((tuple(architecture), value) for architecture, value in state["population"])
