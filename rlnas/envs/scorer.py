"""Scores architectures: evaluator, objective and reward scale in one call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective, Scale
from rlnas.spaces import Architecture


@dataclass(frozen=True)
class Outcome:
    """A scored architecture: the evaluator's score, its objective, and the reward that a learner receives."""

    architecture: Architecture
    score: Score
    objective: float
    reward: float


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
        pairs = list(zip(architectures, scores, strict=True))
        values = [self.value(architecture, score) for architecture, score in pairs]
        rewards = self.scale.batch(architectures, values)
        return [Outcome(*pair, value, reward) for pair, value, reward in zip(pairs, values, rewards, strict=True)]

    def value(self, architecture: Architecture, score: Score) -> float:
        """Return the objective of a scored architecture."""
        return self.objective(architecture, {**self.evaluator.costs(architecture), **score.values})
