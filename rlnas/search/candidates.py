"""Architectures that may be selected or serve as controls, and what was measured of each."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean
from typing import Any, TypeVar

from rlnas.evaluators import Score
from rlnas.spaces import Architecture

T = TypeVar("T")


@dataclass(frozen=True)
class Trained:
    """The trainings alone of one network in one rung of the selection, all with the same number of epochs.

    rung: its number, from 1. repeats: the number of the random streams of each training. scores: of each training.
    objectives: of each training, None if it failed.
    """

    rung: int
    epochs: float
    repeats: tuple[int, ...]
    scores: tuple[Score, ...]
    objectives: tuple[float | None, ...]

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the trainings; a failed one counts as 0."""
        return fmean(score.accuracy for score in self.scores)

    @property
    def values(self) -> tuple[float, ...]:
        """The objective of each training that did not fail."""
        return tuple(objective for objective in self.objectives if objective is not None)

    @property
    def value(self) -> float | None:
        """Mean objective of the trainings that did not fail, None if all failed."""
        return fmean(self.values) if self.values else None

    @property
    def rank(self) -> tuple[int, float]:
        """Sort key, best first: fewer failed trainings, then a higher objective."""
        value = self.value
        return self.objectives.count(None), math.inf if value is None else -value

    def describe(self) -> dict[str, Any]:
        """Return the rung as an entry of result.json."""
        failed = [score.failed for score in self.scores if score.failed]
        return {
            "rung": self.rung,
            "epochs": self.epochs,
            "seeds": len(self.repeats),
            "accuracies": [score.accuracy for score in self.scores],
            "values": [dict(score.values) for score in self.scores],
            "objective": self.value,
            **({"failed": failed} if failed else {}),
        }


@dataclass(frozen=True)
class Candidate:
    """An architecture that may be selected, or a control.

    values: with the final shared weights on the whole validation split, by name. value: their objective. source: the
    round of the search in which it scored best; "policy" if sampled from the final policy, "random" if sampled
    uniformly, "reference" if hand-made. trained: its trainings alone, one entry a rung; empty if it was
    not trained. name: of a control.
    """

    architecture: Architecture
    values: Mapping[str, float]
    value: float
    source: int | str
    trained: tuple[Trained, ...] = ()
    name: str | None = None

    @property
    def accuracy(self) -> float:
        """Accuracy with the final shared weights, 0..1."""
        return self.values["accuracy"]

    @property
    def alone(self) -> float | None:
        """Mean accuracy of the last trainings alone, a failed one counts as 0; None if it was not trained."""
        return self.trained[-1].accuracy if self.trained else None

    @property
    def alone_values(self) -> dict[str, float]:
        """Mean of each value of the last trainings alone that did not fail; empty if there are none."""
        scores = [score for score in self.trained[-1].scores if not score.failed] if self.trained else []
        names = scores[0].values if scores else {}
        return {name: fmean(score.values[name] for score in scores) for name in names}

    @property
    def alone_value(self) -> float | None:
        """Mean objective of the last trainings alone; None if it was not trained or all of them failed."""
        return self.trained[-1].value if self.trained else None

    @property
    def rank(self) -> tuple[float, ...]:
        """Sort key, best first: the later last rung, then the better in it; untrained ones by their shared weights."""
        if self.trained:
            return (-self.trained[-1].rung, *self.trained[-1].rank)
        return (0, 0, -self.value)


def in_turn(items: Iterable[T], group: Callable[[T], object]) -> list[T]:
    """Return the first of each group in order of appearance, then the second of each, and so on.

    group: function from an item to its group.
    """
    groups: dict[object, list[T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    missing = object()
    turns = zip_longest(*groups.values(), fillvalue=missing)
    return [item for turn in turns for item in turn if item is not missing]  # type: ignore[misc]


def distinct(rows: Iterable[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
    """Yield the first row of each architecture."""
    seen: set[str] = set()
    for row in rows:
        if row["architecture"] not in seen:
            seen.add(row["architecture"])
            yield row
