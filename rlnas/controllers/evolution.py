"""Regularised (aging) evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Architecture
Search", algorithm 1): the oldest individual of the population is dropped, not the worst.

With one architecture a batch it is the published, sequential algorithm. With more, the offspring of a batch come from
one population and join it together in batch order, as with that many asynchronous workers.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.spaces import Architecture, Space

STARTS = ("random", "trivial")


class Evolution:
    """Proposes mutations of tournament winners: the best of `sample` drawn without replacement from the `population`.

    Until the population is full, architectures are random (`Space.initial`); with start="trivial" they all are the
    space's trivial one, such as the empty program (Real et al. 2020, section 3.2). A batch that would overfill it drops
    the oldest at once. A mutation changes one decision (`Space.mutate`). Deviation from the paper: a mutation never
    returns its parent. An individual keeps its first value even after the shared weights change; aging removes it.
    """

    def __init__(
        self, space: Space, rng: np.random.Generator, population: int = 25, sample: int = 5, start: str = "random"
    ):
        if sample > population:
            raise RlnasError(
                f"controller.params.sample is {sample}, expected at most population ({population}): a tournament "
                "draws without replacement; lower sample or raise population"
            )
        if start not in STARTS:
            raise RlnasError(f"controller.params.start is '{start}', expected one of {', '.join(STARTS)}")
        self.first = space.trivial() if start == "trivial" else None
        if start == "trivial" and self.first is None:
            raise RlnasError(
                f"controller.params.start=trivial, but space={space.name} has no trivial architecture; set it to random"
            )
        self.space = space
        self.rng = rng
        self.tournament = sample
        # oldest first; adding to a full population drops the oldest
        self.population: deque[tuple[Architecture, float]] = deque(maxlen=population)
        self.asked: list[Architecture] = []

    def ask(self, count: int) -> list[Architecture]:
        """Propose the offspring of `count` tournaments; random architectures until the population is full."""
        self.asked = self.sample(count)
        return self.asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add the scored architectures; drop the oldest beyond the population size."""
        ordered = in_order(self.asked, outcomes)
        self.population.extend((outcome.architecture, outcome.objective) for outcome in ordered)

    def sample(self, count: int) -> list[Architecture]:
        """Sample offspring of the current population."""
        return [self._offspring() for _ in range(count)]

    def _offspring(self) -> Architecture:
        if len(self.population) < (self.population.maxlen or 0):
            return self.space.initial(self.rng) if self.first is None else self.first
        drawn = self.rng.choice(len(self.population), size=self.tournament, replace=False)
        parent, _ = max((self.population[index] for index in drawn), key=lambda member: member[1])
        return self.space.mutate(parent, self.rng)

    def state(self) -> dict[str, Any]:
        """Return the population, oldest first."""
        return {"population": [(self.space.text(architecture), value) for architecture, value in self.population]}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.population.clear()
        self.population.extend((self.space.parse(text), value) for text, value in state["population"])
