"""The genetic algorithm of Genetic CNN (Xie & Yuille 2017, section 3.2), for any space.

The unit of crossover is a stage in the paper, a step of the space here. The paper's bits are choices here: a choice
that is not binary mutates uniformly to another legal value. Where legality depends on earlier choices, a later choice
that became illegal is resampled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.objective import Means
from rlnas.spaces import Architecture, Space
from rlnas.spaces.process import changed, open_choices, repaired


class Genetic:
    """Evolves generations of `population` individuals; fitness is the mean of all values observed of an individual.

    Each generation is drawn from the last by roulette-wheel selection (the paper's "Russian roulette"), with
    probability proportional to fitness - lowest fitness (uniformly if all are equal). Each adjacent pair is crossed
    with probability `crossover_rate`: each step is swapped with probability `step_rate`. Each individual of the other
    pairs mutates with probability `mutation_rate`: each open choice with probability `decision_rate`.

    Only changed individuals are scored; the others keep their fitness and cost no query. With `reevaluate` all are
    scored again and their fitness is the mean, as in the paper.

    A batch must be full. Where a generation has fewer unscored individuals than a batch holds, more are made from
    the same parents; they belong to the generation and take part in the next selection. So every query is used, and
    a generation may exceed `population` by less than a batch. One architecture a batch, or reevaluation with
    `episodes` a divisor of `population`, adds none.
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
        self.parents: list[Architecture] = []  # the last completely scored generation
        self.members: list[Architecture] = []  # the generation being scored
        self.waiting: list[Architecture] = []  # its members still to be scored, in order
        self.asked: list[Architecture] = []

    def ask(self, count: int) -> list[Architecture]:
        """Propose the next members to score."""
        if not self.waiting:
            kept, new = self._breed()
            self.members, self.waiting = kept + new, new
        while len(self.waiting) < count:
            _, new = self._breed()
            more = new[: count - len(self.waiting)]
            self.members, self.waiting = self.members + more, self.waiting + more
        self.asked = self.waiting[:count]
        return self.asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes to the fitness; the last member's outcome completes the generation."""
        for outcome in in_order(self.asked, outcomes):
            self.fitness.add(outcome.architecture, outcome.objective)
        self.waiting = self.waiting[len(outcomes) :]
        if not self.waiting:
            self.parents, self.members = self.members, []

    def sample(self, count: int) -> list[Architecture]:
        """Sample mutations of selected parents; random architectures before the first generation is scored."""
        if not self.parents:
            return [self.space.sample(self.rng) for _ in range(count)]
        return [self._mutated(architecture) for architecture in self._selected(count)]

    def _breed(self) -> tuple[list[Architecture], list[Architecture]]:
        """Return `population` individuals: those that keep their fitness, and those to score (at least one)."""
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
        differs = [child != parent for child, parent in zip(children, selected, strict=True)]
        kept = [child for child, new in zip(children, differs, strict=True) if not new]
        new = [child for child, new in zip(children, differs, strict=True) if new]
        if not new:  # otherwise a search at low rates could breed forever without a query
            new = [self.space.mutate(kept.pop(), self.rng)]
        return kept, new

    def _selected(self, count: int) -> list[Architecture]:
        """Return `count` of the parents by roulette-wheel selection."""
        fitness = np.array([self.fitness.mean(parent) for parent in self.parents])  # (p,)
        share = fitness - fitness.min()
        weights = share / share.sum() if share.sum() > 0 else None
        return [self.parents[i] for i in self.rng.choice(len(self.parents), size=count, p=weights)]

    def _crossed(self, a: Architecture, b: Architecture) -> list[Architecture]:
        """Return both architectures with some steps swapped."""
        left, right = self.space.actions(a), self.space.actions(b)  # (t, m) each
        swap = self.rng.random(self.space.steps) < self.step_rate
        left[swap], right[swap] = right[swap], left[swap]
        return [self.space.architecture(repaired(self.space, actions, self.rng)) for actions in (left, right)]

    def _mutated(self, architecture: Architecture) -> Architecture:
        """Return a copy with some choices, possibly none, set uniformly to another legal value."""
        actions = self.space.actions(architecture)
        choices = open_choices(self.space, actions)
        for place in np.flatnonzero(self.rng.random(len(choices)) < self.decision_rate):
            step, component, options = choices[place]
            actions = changed(actions, step, component, options, int(self.rng.integers(1, len(options))))
        return self.space.architecture(repaired(self.space, actions, self.rng))

    def state(self) -> dict[str, Any]:
        """Return both generations and every fitness."""
        text = self.space.text
        groups = {"parents": self.parents, "members": self.members, "waiting": self.waiting}
        named = {name: [text(architecture) for architecture in group] for name, group in groups.items()}
        return {"fitness": self.fitness.state(self.space), **named}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.fitness.restore(state["fitness"], self.space)
        groups = ([self.space.parse(text) for text in state[name]] for name in ("parents", "members", "waiting"))
        self.parents, self.members, self.waiting = groups
