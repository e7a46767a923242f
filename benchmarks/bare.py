"""A search with the public classes and no run folder. On a table it has the same history as `python -m rlnas`."""

import contextlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlnas.config.schema import ControllerConfig, ObjectiveConfig
from rlnas.controllers import Problem, make_controller
from rlnas.envs.scorer import Outcome, Scorer
from rlnas.evaluators import Evaluator, TabularEvaluator
from rlnas.objective import Objective
from rlnas.runs.reader import incumbents
from rlnas.search.budget import BudgetSpent
from rlnas.spaces import Architecture, IndependentSpace, Space

Floats = NDArray[np.float64]


class ListScorer(Scorer):
    """Records scores in lists, and ends the search at the budget as rlnas.search.recorder does."""

    def __init__(self, space: Space, evaluator: Evaluator, architectures: int, scale: str = "auto"):
        super().__init__(evaluator, Objective(ObjectiveConfig(), space), scale)
        self.budget = architectures
        self.observed: list[float] = []
        self.true: list[float] = []

    def score(self, architectures: Sequence[Architecture], share: float = 1.0) -> list[Outcome]:
        """Return the outcome of each architecture. Raises BudgetSpent if the budget does not suffice for all."""
        room = self.budget - len(self.observed)
        outcomes = super().score(architectures[:room], share)
        self.observed += [outcome.score.accuracy for outcome in outcomes]
        self.true += [float(outcome.score.true or 0.0) for outcome in outcomes]
        if room < len(architectures):
            raise BudgetSpent("budget.architectures")
        return outcomes


class OneRound:
    """The loop as a single round, ended by the scorer's budget."""

    def __init__(self, architectures: int):
        self.architectures = architectures

    def boundary(self) -> bool:
        """Return True: continue."""
        return True

    def batches(self, size: int) -> int:
        """Return the number of batches of `size` for all architectures."""
        return -(-self.architectures // size)


def bare_search(
    space: IndependentSpace, config: ControllerConfig, *, architectures: int, seed: int
) -> tuple[Floats, Floats]:
    """Return observed value and true score of each query, in order: (architectures,) each."""
    scorer = ListScorer(space, TabularEvaluator(space, seed=seed), architectures)
    play(scorer, config, architectures=architectures, seed=seed)
    return np.array(scorer.observed), np.array(scorer.true)


def play(scorer: ListScorer, config: ControllerConfig, *, architectures: int, seed: int) -> None:
    """Search until this number of architectures is scored."""
    controller = make_controller(config, Problem(scorer.space, scorer, seed))
    with contextlib.suppress(BudgetSpent):
        controller.run(OneRound(architectures))


def regrets(space: IndependentSpace, observed: Floats, true: Floats, places: Sequence[int]) -> list[float]:
    """Return optimum minus true score of the incumbent after each number of architectures, in the table's unit."""
    scores = true[incumbents(observed)]
    return [float(space.benchmark.optimum - scores[place - 1]) for place in places]
