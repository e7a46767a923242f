"""Runs a strategy as a controller: ask, score, tell, batch by batch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from rlnas.controllers.base import Problem, Rounds, Strategy
from rlnas.envs.scorer import Outcome
from rlnas.execution.blas import one_thread
from rlnas.spaces import Architecture


class StrategyController:
    """Controller that runs a strategy.

    rng: the generator the strategy draws from; it is part of the state. batch: architectures a proposal.
    """

    def __init__(self, problem: Problem, strategy: Strategy, rng: np.random.Generator, batch: int):
        self.problem = problem
        self.strategy = strategy
        self.rng = rng
        self.batch = batch

    def run(self, rounds: Rounds) -> None:
        """Score batches of proposals until the budget is spent."""
        while rounds.boundary():
            with self._alone():
                asked = self.strategy.ask(self.batch)
            outcomes = self.problem.scorer.score(asked, getattr(self.strategy, "share", 1.0))
            with self._alone():
                self.strategy.tell(outcomes)

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures from the strategy."""
        with self._alone():
            return self.strategy.sample(count)

    def _alone(self) -> AbstractContextManager[None]:
        """Return a block in which linear algebra has one thread, for strategies that fit something."""
        return one_thread() if getattr(self.strategy, "fits", False) else nullcontext()

    def logged(self) -> dict[str, float]:
        """Return no metrics: there are no gradient updates."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the state of the strategy and of its generator."""
        return {"strategy": self.strategy.state(), "rng": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.strategy.restore(state["strategy"])
        self.rng.bit_generator.state = state["rng"]


def in_order(asked: Sequence[Architecture], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes in the order in which their architectures were proposed."""
    waiting: dict[Architecture, list[Outcome]] = {}
    for outcome in outcomes:
        waiting.setdefault(outcome.architecture, []).append(outcome)
    found = [waiting[architecture].pop(0) for architecture in asked if waiting.get(architecture)]
    assert len(found) == len(outcomes) == len(asked), "a strategy is told of exactly what it asked for"
    return found
