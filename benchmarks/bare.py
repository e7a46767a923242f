"""A search in a bare loop: the public classes, no run folder. On a table the same history as `python -m rlnas`."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.config.schema import ControllerConfig, RewardConfig
from rlnas.controllers import make_controller
from rlnas.evaluators import Evaluator, TabularEvaluator
from rlnas.objective import Outcome, Scorer, Shaping
from rlnas.report.comparison.runs import incumbents
from rlnas.search.rounds import BudgetSpent
from rlnas.spaces import Architecture, Space, TableSpace

Floats = NDArray[np.float64]


class ListScorer(Scorer):
    """Keeps what was scored in lists, and ends the search at the budget as `RecordingScorer` does."""

    def __init__(self, space: Space, evaluator: Evaluator, architectures: int, scale: str = "auto"):
        super().__init__(evaluator, Shaping(RewardConfig(scale=scale), space))
        self.budget = architectures
        self.observed: list[float] = []
        self.true: list[float] = []

    def score(self, architectures: Sequence[Architecture]) -> list[Outcome]:
        """The outcome of each architecture; raises BudgetSpent when not all could be scored."""
        room = self.budget - len(self.observed)
        outcomes = super().score(architectures[:room])
        self.observed += [outcome.score.accuracy for outcome in outcomes]
        self.true += [float(outcome.score.true or 0.0) for outcome in outcomes]
        if room < len(architectures):
            raise BudgetSpent("budget.architectures")
        return outcomes


class Silent(BaseCallback):
    """A callback that does nothing."""

    def _on_step(self) -> bool:
        return True


def bare_search(space: TableSpace, config: ControllerConfig, *, architectures: int, seed: int) -> tuple[Floats, Floats]:
    """Observed value and true score of each of so many queries, in order: (architectures,) each."""
    scorer = ListScorer(space, TabularEvaluator(space, seed=seed), architectures)
    play(scorer, config, architectures=architectures, seed=seed)
    return np.array(scorer.observed), np.array(scorer.true)


def play(scorer: ListScorer, config: ControllerConfig, *, architectures: int, seed: int) -> None:
    """Search until so many architectures are scored."""
    controller: Any = make_controller(config, scorer.shaping.space, scorer, seed=seed)
    batch = controller.env.num_envs
    updates = -(-architectures // batch)
    with contextlib.suppress(BudgetSpent):
        controller.learn(updates * batch * controller.env.episodes.length, Silent())


def regrets(space: TableSpace, observed: Floats, true: Floats, places: Sequence[int]) -> list[float]:
    """Optimum minus true score of the incumbent after so many architectures, in the table's unit."""
    scores = true[incumbents(observed)]
    return [float(space.benchmark.optimum - scores[place - 1]) for place in places]
