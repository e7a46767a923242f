"""What every evaluator answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rlnas.spaces import Architecture


@dataclass(frozen=True)
class Score:
    """accuracy: share in 0..1 of the evaluation images, or what the table holds, in its unit. seconds: what
    the evaluation took, or would have taken by the table. cached: whether the answer was known already.
    true: the true score of a table, which no controller sees. images: on how many the accuracy rests; with
    racing not all children see all; None where a table answers.
    """

    accuracy: float
    seconds: float = 0.0
    cached: bool = False
    true: float | None = None
    images: int | None = None


class Evaluator(Protocol):
    """Scores architectures, many in one call and all on the same images."""

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """One score for each architecture, in order."""
        ...


class ResumableEvaluator(Evaluator, Protocol):
    """An evaluator whose memory a checkpoint holds."""

    def state(self) -> dict[str, Any]:
        """Everything the next scores depend on."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        ...
