"""Select the found architecture: many candidates, some finalists, one result.

A score from the search uses few images and the weights of its round, so all candidates are scored again with the
final weights on the whole validation split. The best are then trained alone for a short time, from a copy of the
shared weights or from scratch: rarely trained shared weights rank an architecture by how well it tolerates weights
trained for others; a short training alone measures the architecture itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np

from rlnas.config.schema import SelectConfig
from rlnas.controllers import Controller
from rlnas.errors import RlnasError
from rlnas.evaluators import SelectingEvaluator
from rlnas.objective import Objective
from rlnas.runs.tables import Table, row_values
from rlnas.search.words import scored
from rlnas.spaces import Architecture, Space

T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """An architecture that may be selected.

    accuracy: 0..1, on the whole validation split, with the final shared weights. value: its objective. source: the
    round of the search in which it scored best, "policy" if sampled from the final policy, "random" if sampled
    uniformly. alone: the accuracy after a short training alone, None if it was not a finalist, 0 if the training
    diverged. alone_value: its objective. values, alone_values: all that was measured, by name, the accuracy included;
    alone_values is empty if it was not a finalist.
    """

    architecture: Architecture
    accuracy: float
    value: float
    source: int | str
    alone: float | None = None
    alone_value: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    alone_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Selects among the architectures of a search.

    frozen: the weights were the same in all rounds (one-shot), so that scores of all rounds are comparable. costs: of
    the final network; architectures beyond `objective.limits` are no candidates. rng: draws the random candidates.
    say: prints progress.
    """

    config: SelectConfig
    space: Space
    objective: Objective
    history: Table
    controller: Controller
    evaluator: SelectingEvaluator
    rng: np.random.Generator
    frozen: bool
    costs: Callable[[Architecture], Mapping[str, float]]
    say: Callable[[str], None]

    def candidates(self) -> list[Candidate]:
        """Return the candidates, the selected one first: finalists by their objective after training alone, then the
        others by theirs with shared weights; equals keep their order.

        Where the weights changed from round to round, candidates and finalists come from all rounds in turn:
        scores of different rounds are not comparable, and the last rounds contain mostly variants of one
        architecture. Uniformly random candidates (`from_random`) keep a search misled by its weights no worse than
        random search.

        Raises RlnasError when no candidate is left.
        """
        sources = self._sources()
        scores = self.evaluator.evaluate_fully(list(sources))
        candidates = [
            Candidate(
                architecture, score.accuracy, self._value(architecture, score.values), source, values=score.values
            )
            for (architecture, source), score in zip(sources.items(), scores, strict=True)
        ]
        candidates.sort(key=lambda candidate: -candidate.value)
        count = min(self.config.finalists, len(candidates))
        if count < 2:
            return candidates
        contenders = in_turn(candidates, self._group)[:count]
        self.say(
            f"the best of {len(candidates)} candidates has {scored(candidates[0].accuracy, candidates[0].value)} on "
            f"the whole validation split; {count} finalists are trained alone, epochs of each: "
            f"{self.config.finalist_epochs:g}, from "
            + ("the shared weights" if self.config.finalist_start == "shared" else "scratch")
        )
        finalists = list(self._trained(contenders))
        chosen = {finalist.architecture for finalist in finalists}
        others = [candidate for candidate in candidates if candidate.architecture not in chosen]
        return sorted(finalists, key=lambda finalist: -finalist.alone_value) + others

    def _trained(self, contenders: list[Candidate]) -> Iterator[Candidate]:
        """Yield each contender with its score after a short training alone."""
        trained = self.evaluator.evaluate_alone(
            [candidate.architecture for candidate in contenders],
            self.config.finalist_epochs,
            from_shared=self.config.finalist_start == "shared",
        )
        for number, (candidate, score) in enumerate(zip(contenders, trained, strict=True), 1):
            if score.failed:  # counts against the architecture, does not end the run
                self.say(f"a finalist gets the lowest score: {score.failed}")
            value = self._value(candidate.architecture, score.values)
            self.say(
                f"finalist {number}/{len(contenders)}: {scored(score.accuracy, value)} alone, "
                f"{scored(candidate.accuracy, candidate.value)} with shared weights  "
                f"{self.space.text(candidate.architecture)}"
            )
            yield replace(candidate, alone=score.accuracy, alone_value=value, alone_values=score.values)

    def _value(self, architecture: Architecture, values: Mapping[str, float]) -> float:
        return self.objective(architecture, {**self.evaluator.costs(architecture), **values}, final=True)

    def _recorded_value(self, row: Mapping[str, str]) -> float:
        """Return the objective of a row of history.csv."""
        return self.objective(self.space.parse(row["architecture"]), row_values(row), final=True)

    def _group(self, candidate: Candidate) -> Any:
        if self.frozen:
            return 0
        # each random candidate is a separate group: they differ from each other as rounds do
        return candidate.architecture if candidate.source == "random" else candidate.source

    def _allowed(self, architecture: Architecture) -> bool:
        return not self.objective.limits or self.objective.allows(architecture, self.costs(architecture))

    def _sources(self) -> dict[Architecture, int | str]:
        """Return the candidates and the source of each, see `Candidate`."""
        config, space, rows = self.config, self.space, self.history.rows
        sources: dict[Architecture, int | str] = {}
        if config.from_policy:
            sources.update(dict.fromkeys(filter(self._allowed, self.controller.sample(config.from_policy)), "policy"))
        for _ in range(config.from_random):
            architecture = space.sample(self.rng)
            if self._allowed(architecture):
                sources.setdefault(architecture, "random")
        wanted = max(config.from_history, 0 if sources else 1)  # at least one candidate
        best_first = sorted(rows, key=lambda row: -self._recorded_value(row))
        latest_first = best_first if self.frozen else sorted(best_first, key=lambda row: -int(row["round"]))
        for row in distinct(in_turn(latest_first, lambda row: 0 if self.frozen else row["round"])):
            architecture = space.parse(row["architecture"])
            if wanted == 0:
                break
            if self._allowed(architecture):
                sources.setdefault(architecture, int(row["round"]))
                wanted -= 1
        if not sources:
            self._nothing_left()
        return sources

    def _nothing_left(self) -> None:
        rows, limits = self.history.rows, self.objective.limits
        if not rows:
            raise RlnasError(
                "nothing was scored and select.from_policy is 0, so there is no candidate; give a larger budget"
            )
        costs = [self.costs(self.space.parse(row["architecture"])) for row in rows]
        cheapest = {name: min(cost[name] for cost in costs) for name in limits}
        broken = [f"objective.limits.{name}={most:g} (lowest {cheapest[name]:,})" for name, most in limits.items()]
        raise RlnasError(
            f"no architecture that was scored is within {', '.join(broken)}: raise a limit, or give a space of cheaper "
            "networks"
        )


def in_turn(items: Iterable[T], group: Callable[[T], object]) -> list[T]:
    """Return the first of each group in order of appearance, then the second of each, and so on."""
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
