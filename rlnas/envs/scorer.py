"""Scores architectures: evaluator, objective and reward scale in one call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective, Scale
from rlnas.spaces import Architecture


@dataclass(frozen=True)
class Outcome:
    """A scored architecture: the evaluator's score, its objective, and the reward that a learner receives.

    costs: `params`, `flops` and others of the architecture, by name; None if not known.
    """

    architecture: Architecture
    score: Score
    objective: float
    reward: float
    costs: Mapping[str, float | None] = field(default_factory=dict)


class Scorer:
    """Scores architectures for the environments and strategies.

    scale: reward.scale; `auto` is the evaluator's default. seen: architectures and objectives of a resumed run, for
    the scale.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        objective: Objective,
        scale: str = "auto",
        seen: Iterable[tuple[Architecture, float]] = (),
    ):
        self.evaluator = evaluator
        self.objective = objective
        self.space = objective.space
        self.scale = Scale(evaluator.default_scale if scale == "auto" else scale, seen)

    def score(self, architectures: Sequence[Architecture], share: float = 1.0) -> list[Outcome]:
        """Return the outcome of each architecture, in order.

        share: below 1, after this share of the evaluator's effort (`Evaluator.evaluate_partly`).
        """
        evaluator = self.evaluator
        scores = evaluator.evaluate(architectures) if share == 1 else evaluator.evaluate_partly(architectures, share)
        costs = [evaluator.costs(architecture) for architecture in architectures]
        values = [
            self.objective(architecture, {**cost, **score.values})
            for architecture, score, cost in zip(architectures, scores, costs, strict=True)
        ]
        rewards = self.scale.batch(architectures, values)
        return [Outcome(*parts) for parts in zip(architectures, scores, values, rewards, costs, strict=True)]

    def value(self, architecture: Architecture, score: Score) -> float:
        """Return the objective of a scored architecture."""
        return self.objective(architecture, {**self.evaluator.costs(architecture), **score.values})
