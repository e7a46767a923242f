"""The scorer of a run: writes a row of history.csv for each architecture and stops exactly at the budget."""

import math
from collections.abc import Sequence
from typing import Any

from rlnas.config.schema import BudgetConfig, SearchConfig
from rlnas.envs.scorer import Outcome, Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator
from rlnas.objective import Objective
from rlnas.runs.clock import Clock
from rlnas.runs.tables import Table, effort_of, row_values
from rlnas.search.budget import BudgetSpent, architectures_allowed
from rlnas.search.candidates import Candidate
from rlnas.spaces import Architecture


class Recorder(Scorer):
    """Records the scored architectures and stops exactly at the budget.

    An architecture that exceeds `architectures_allowed`, or whose simulated evaluation would end after
    `budget.table_seconds`, is neither written nor learned from.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        objective: Objective,
        scale: str,
        history: Table,
        clock: Clock,
        config: SearchConfig,
        budget: BudgetConfig,
    ):
        parse = objective.space.parse
        seen = [(parse(row["architecture"]), float(row["reward"])) for row in history.rows]
        super().__init__(evaluator, objective, scale, seen)
        self.history = history
        self.clock = clock
        self.budget = budget
        self.allowed, self.allowed_by = architectures_allowed(config, budget)
        self.round = 0
        self.scored = [architecture for architecture, _ in seen]  # all of the search, in order
        self.best_accuracy = max((float(row["accuracy"]) for row in history.rows), default=-math.inf)
        self.seconds = sum(float(row["seconds"]) for row in history.rows)
        self.space.advance(len(history))

    def score(self, architectures: Sequence[Architecture], share: float = 1.0) -> list[Outcome]:
        """Return the outcome of each architecture; raise BudgetSpent when not all could be scored."""
        room = self.allowed - len(self.history) if self.allowed else len(architectures)
        with self.clock.phase("evaluation"):
            outcomes = super().score(architectures[:room], share)
        rows: list[dict[str, Any]] = []
        spent = self.allowed_by if room < len(architectures) else None
        for outcome in outcomes:
            score = outcome.score
            if self.budget.table_seconds and self.seconds + score.seconds > self.budget.table_seconds:
                spent = "budget.table_seconds"
                break
            self.seconds += score.seconds
            rows.append(self._row(outcome, len(self.history) + len(rows)))
            self.scored.append(outcome.architecture)
            self.best_accuracy = max(self.best_accuracy, score.accuracy)
        self.history.append(rows)
        self.space.advance(len(self.history))  # before the controller chooses the next ones
        if spent:
            raise BudgetSpent(spent)
        return outcomes

    def incumbent(self) -> Candidate:
        """Return the allowed architecture with the highest observed objective, the first of equals.

        Only the longest trained of the allowed ones count. Raises RlnasError if there is none.
        """
        rows = self.history.rows
        if not rows:
            raise RlnasError("the budget ended the search before an architecture was scored; give a larger one")
        values = [
            self.objective(architecture, row_values(row), final=True)
            for architecture, row in zip(self.scored, rows, strict=True)
        ]
        allowed = [
            index
            for index, row in enumerate(rows)
            if not self.objective.limits or self.objective.allows(self.scored[index], row_values(row))
        ]
        if not allowed:
            raise RlnasError(f"no architecture that was scored is within objective.limits={self.objective.limits}")
        efforts = [effort_of(row) for row in rows]
        longest = max(efforts[index] for index in allowed)
        best = max((index for index in allowed if efforts[index] == longest), key=values.__getitem__)
        known = row_values(rows[best])
        measured = {name: known[name] for name in ("accuracy", *self.evaluator.value_names) if name in known}
        return Candidate(self.scored[best], measured, values[best], int(rows[best]["round"]))

    def _row(self, outcome: Outcome, index: int) -> dict[str, Any]:
        score, architecture = outcome.score, outcome.architecture
        costs = {"params": None, "flops": None, **outcome.costs}
        return {
            "index": index,
            "round": self.round,
            "architecture": self.space.text(architecture),
            "code": self.space.code(architecture),
            "reward": outcome.objective,
            **{name: value for name, value in {**costs, **score.values}.items() if name in self.history.columns},
            "seconds": round(score.seconds, 6),
            "cached": int(score.cached),
            "score": score.true,
            "images": score.images,
        }
