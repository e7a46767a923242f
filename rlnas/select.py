"""Which architecture a search found: candidates scored again, all with the final weights and all images.

A score from the search rests on few images and on the weights of its round; the result is the best of many
candidates under one measure, never just one more sample of the policy.
"""

from dataclasses import dataclass
from typing import Any

from rlnas.config import SelectConfig
from rlnas.controllers import Controller
from rlnas.errors import RlnasError
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.history import Table
from rlnas.spaces import Architecture, Space


@dataclass(frozen=True)
class Candidate:
    """architecture, its accuracy (0..1) on the whole validation split with shared weights, and its source:
    `history` or `policy`.
    """

    architecture: Architecture
    accuracy: float
    source: str


def select(
    config: SelectConfig,
    space: Space,
    history: Table,
    controller: Controller,
    evaluator: SharedWeightsEvaluator,
) -> list[Candidate]:
    """The candidates, best first; of equal accuracy the one met first stays in front."""
    sources: dict[Architecture, str] = {}
    if config.from_policy:
        for architecture in controller.sample(config.from_policy):
            sources.setdefault(architecture, "policy")
    best_first = sorted(history.rows, key=lambda row: -float(row["accuracy"]))
    wanted = max(config.from_history, 0 if sources else 1)  # there is always a candidate
    for architecture in _distinct(space, best_first, wanted):
        sources.setdefault(architecture, "history")
    if not sources:
        raise RlnasError(
            "nothing was scored and select.from_policy is 0, so there is no candidate; give a larger budget"
        )
    scores = evaluator.evaluate_fully(list(sources))
    candidates = [
        Candidate(architecture, score.accuracy, source)
        for (architecture, source), score in zip(sources.items(), scores, strict=True)
    ]
    return sorted(candidates, key=lambda candidate: -candidate.accuracy)


def _distinct(space: Space, rows: list[Any], count: int) -> list[Architecture]:
    """The first `count` different architectures of these rows."""
    found: dict[Architecture, None] = {}
    for row in rows:
        if len(found) == count:
            break
        found[space.unrank(int(row["code"]))] = None
    return list(found)
