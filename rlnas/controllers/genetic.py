"""The genetic algorithm of Genetic CNN (Xie & Yuille 2017, section 3.2), for any space.

The paper's unit of crossover is a stage of its networks; here it is a step of the space (`Space.layout`).
The paper's bits are decisions here: one that is not binary mutates to another of its values, uniformly.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from rlnas.errors import RlnasError
from rlnas.means import Means
from rlnas.spaces import Architecture, Space


class Genetic:
    """Generations of `population` individuals; the fitness of one is the mean of all values observed of it.

    A generation is drawn from the one before by Russian roulette, with probability proportional to fitness -
    lowest fitness (uniformly if all are equal). Then each adjacent pair is crossed with probability
    `crossover_rate`: each step is swapped with probability `step_rate`. Each individual of the other pairs
    mutates with probability `mutation_rate`: each decision with probability `decision_rate`.

    Only individuals that this changed are scored; the others keep their fitness and cost no query. With
    `reevaluate` these are scored again too and their fitness is the mean, as the paper does it.

    A batch of the environment must be full. Where fewer new individuals are left in a generation than a batch holds,
    more are bred from the same parents; they belong to the generation and take part in the next selection. So no
    query is wasted, and a generation may hold more than `population` (by less than a batch). One architecture a
    batch, or reevaluation with `episodes` a divisor of `population`, adds none.
    """

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        population: int = 20,
        crossover_rate: float = 0.2,
        step_rate: float = 0.2,
        mutation_rate: float = 0.8,
        decision_rate: float = 0.05,
        reevaluate: bool = False,
    ):
        if not isinstance(reevaluate, bool):
            raise RlnasError(f"controller.params.reevaluate is {reevaluate}, expected true or false")
        self.space = space
        self.rng = rng
        self.size = population
        self.crossover_rate = crossover_rate
        self.step_rate = step_rate
        self.mutation_rate = mutation_rate
        self.decision_rate = decision_rate
        self.reevaluate = reevaluate
        self.fitness = Means()
        self.parents: list[Architecture] = []  # the last generation that is wholly scored
        self.members: list[Architecture] = []  # the one that is being scored
        self.waiting: list[Architecture] = []  # its members that are still to be scored, in order
        bounds = accumulate((len(components) for components in space.layout), initial=0)
        self._steps = [slice(start, stop) for start, stop in pairwise(bounds)]  # of the decisions

    def propose(self, count: int) -> list[Architecture]:
        """The next members to score."""
        if not self.waiting:
            kept, new = self._breed()
            self.members, self.waiting = kept + new, new
        while len(self.waiting) < count:
            _, new = self._breed()
            more = new[: count - len(self.waiting)]
            self.members, self.waiting = self.members + more, self.waiting + more
        return self.waiting[:count]

    def observe(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """Their fitness; the generation is complete with its last member's."""
        for architecture, value in zip(architectures, values, strict=True):
            self.fitness.add(architecture, value)
        self.waiting = self.waiting[len(architectures) :]
        if not self.waiting:
            self.parents, self.members = self.members, []

    def sample(self, count: int) -> list[Architecture]:
        """Mutations of members that the roulette picks; random architectures before the first generation is scored."""
        if not self.parents:
            return [self.space.sample(self.rng) for _ in range(count)]
        return [self._mutated(architecture) for architecture in self._selected(count)]

    def _breed(self) -> tuple[list[Architecture], list[Architecture]]:
        """`population` individuals: those that keep their fitness, and those to be scored, never none."""
        if not self.parents:
            return [], [self.space.sample(self.rng) for _ in range(self.size)]
        selected = self._selected(self.size)
        children: list[Architecture] = []
        for first in range(0, self.size, 2):
            pair = selected[first : first + 2]
            if len(pair) == 2 and self.rng.random() < self.crossover_rate:
                children += self._crossed(*pair)
            else:
                children += [self._mutated(one) if self.rng.random() < self.mutation_rate else one for one in pair]
        if self.reevaluate:
            return [], children
        changed = [child != parent for child, parent in zip(children, selected, strict=True)]
        kept = [child for child, new in zip(children, changed, strict=True) if not new]
        new = [child for child, new in zip(children, changed, strict=True) if new]
        if not new:  # else a search at low rates could breed forever
            new = [self.space.mutate(kept.pop(), self.rng)]
        return kept, new

    def _selected(self, count: int) -> list[Architecture]:
        """So many of the parents, by Russian roulette."""
        fitness = np.array([self.fitness.mean(parent) for parent in self.parents])  # (p,)
        share = fitness - fitness.min()
        weights = share / share.sum() if share.sum() > 0 else None
        return [self.parents[i] for i in self.rng.choice(len(self.parents), size=count, p=weights)]

    def _crossed(self, a: Architecture, b: Architecture) -> list[Architecture]:
        """Both, with some steps swapped."""
        left, right = list(a), list(b)
        for step, swap in zip(self._steps, self.rng.random(len(self._steps)) < self.step_rate, strict=True):
            if swap:
                left[step], right[step] = right[step], left[step]
        return [tuple(left), tuple(right)]

    def _mutated(self, architecture: Architecture) -> Architecture:
        """With some decisions set to another value, uniformly; perhaps with none."""
        values = list(architecture)
        for position in np.flatnonzero(self.rng.random(len(values)) < self.decision_rate):
            choices = self.space.choices[position]
            if choices > 1:
                values[position] = (values[position] + int(self.rng.integers(1, choices))) % choices
        return tuple(values)

    def state(self) -> dict[str, Any]:
        """Both generations and every fitness."""
        return {
            "fitness": self.fitness.state(),
            "parents": self.parents,
            "members": self.members,
            "waiting": self.waiting,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.fitness.restore(state["fitness"])
        self.parents, self.members, self.waiting = (list(state[name]) for name in ("parents", "members", "waiting"))
