"""A custom controller: a strategy that proposes architectures and receives their objectives.

    python -m rlnas controller=yours controller.algorithm=examples.controller.HillClimbing
    python -m rlnas controller=yours controller.algorithm=examples.controller.HillClimbing +controller.params.explore=1

It gets the space and a random generator; the run provides budgets, history, checkpoints and reports. A class with
stable-baselines3's interface (`learn` instead of `ask` and `tell`) is a controller too: controller=sb3.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.envs.scorer import Outcome
from rlnas.spaces import Architecture, Space


class HillClimbing:
    """Mutates the best architecture so far; with probability `explore`, and at first, samples a random one."""

    def __init__(self, space: Space, rng: np.random.Generator, explore: float = 0.2):
        self.space = space
        self.rng = rng
        self.explore = explore
        self.best: tuple[Architecture, float] | None = None

    def ask(self, count: int) -> list[Architecture]:
        """Propose the next architectures to score."""
        return [self._next() for _ in range(count)]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Keep the best architecture; the run maximises `objective`."""
        for outcome in outcomes:
            if self.best is None or outcome.objective > self.best[1]:
                self.best = (outcome.architecture, outcome.objective)

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures for training shared weights and for the candidates at the end."""
        return self.ask(count)

    def _next(self) -> Architecture:
        if self.best is None or self.rng.random() < self.explore:
            return self.space.sample(self.rng)
        return self.space.mutate(self.best[0], self.rng)

    def state(self) -> dict[str, Any]:
        """Return the state for checkpoints as plain data, an architecture by its text."""
        return {"best": None if self.best is None else (self.space.text(self.best[0]), self.best[1])}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; the run restores the generator."""
        self.best = None if state["best"] is None else (self.space.parse(state["best"][0]), state["best"][1])
