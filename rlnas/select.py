"""Which architecture a search found: from many candidates to some finalists to one.

A score from the search rests on few images and on the weights of its round, so candidates are scored again,
all with the final weights and the whole validation split. The best of them are then trained on alone for a
short time, each with a copy of the shared weights it uses: weights that hardly met an architecture rank it
by how well it bears strangers' weights, and a fraction of an epoch of its own puts that right.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TypeVar

from rlnas.config import SelectConfig
from rlnas.controllers import Controller
from rlnas.errors import Diverged, RlnasError
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.history import Table
from rlnas.spaces import Architecture, Space

T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """An architecture that may be the one.

    accuracy: 0..1, on the whole validation split, with the final shared weights. round: the one of the
    search in which it scored best, None if the final policy drew it. alone: the accuracy after its own
    short training, None if it was no finalist, 0 if its training diverged.
    """

    architecture: Architecture
    accuracy: float
    round: int | None
    alone: float | None = None


def select(
    config: SelectConfig,
    space: Space,
    history: Table,
    controller: Controller,
    evaluator: SharedWeightsEvaluator,
    *,
    frozen: bool,
    say: Callable[[str], None],
) -> list[Candidate]:
    """The candidates, the found one first: the finalists by their accuracy alone, then the others by theirs
    with shared weights; of equal ones that met first stays in front.

    Where the weights changed from round to round, candidates and finalists come from all rounds in turn:
    scores of two rounds do not compare, and the last rounds alone hold variants of one idea.

    frozen: the weights were the same in all rounds (one-shot), so that only the scores decide.
    """
    rounds: dict[Architecture, int | None] = {}
    if config.from_policy:
        rounds.update(dict.fromkeys(controller.sample(config.from_policy)))
    wanted = max(config.from_history, 0 if rounds else 1)  # there is always a candidate
    best_first = sorted(history.rows, key=lambda row: -float(row["accuracy"]))
    latest_first = best_first if frozen else sorted(best_first, key=lambda row: -int(row["round"]))
    for row in distinct(in_turn(latest_first, lambda row: 0 if frozen else row["round"]), wanted):
        rounds.setdefault(space.unrank(int(row["code"])), int(row["round"]))
    if not rounds:
        raise RlnasError(
            "nothing was scored and select.from_policy is 0, so there is no candidate; give a larger budget"
        )
    scores = evaluator.evaluate_fully(list(rounds))
    candidates = [
        Candidate(architecture, score.accuracy, number)
        for (architecture, number), score in zip(rounds.items(), scores, strict=True)
    ]
    candidates.sort(key=lambda candidate: -candidate.accuracy)
    count = min(config.finalists, len(candidates))
    if count < 2:
        return candidates
    say(
        f"the best of {len(candidates)} candidates has {candidates[0].accuracy:.4f} on the whole validation split; "
        f"{count} finalists are trained on alone, epochs of each: {config.finalist_epochs:g}"
    )
    finalists = []
    for candidate in in_turn(candidates, lambda candidate: 0 if frozen else candidate.round)[:count]:
        alone = _alone(candidate, config.finalist_epochs, evaluator, say)
        finalists.append(replace(candidate, alone=alone))
        say(
            f"finalist {len(finalists)}/{count}: {alone:.4f} alone, {candidate.accuracy:.4f} with shared weights  "
            f"{space.text(candidate.architecture)}"
        )
    chosen = {finalist.architecture for finalist in finalists}
    others = [candidate for candidate in candidates if candidate.architecture not in chosen]
    return sorted(finalists, key=lambda finalist: -(finalist.alone or 0.0)) + others


def in_turn(items: Iterable[T], group: Callable[[T], object]) -> list[T]:
    """The first of each group in the order in which the groups appear, then the second of each, and so on."""
    groups: dict[object, list[T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    missing = object()
    turns = zip_longest(*groups.values(), fillvalue=missing)
    return [item for turn in turns for item in turn if item is not missing]  # type: ignore[misc]


def distinct(rows: Iterable[Mapping[str, str]], count: int) -> list[Mapping[str, str]]:
    """The first `count` rows of different architectures."""
    found: dict[str, Mapping[str, str]] = {}
    for row in rows:
        if len(found) == count:
            break
        found.setdefault(row["code"], row)
    return list(found.values())


def _alone(candidate: Candidate, epochs: float, evaluator: SharedWeightsEvaluator, say: Callable[[str], None]) -> float:
    try:
        return evaluator.evaluate_alone(candidate.architecture, epochs).accuracy
    except Diverged as error:  # the architecture's own weakness, not the end of the run
        say(f"a finalist counts as 0: {error}")
        return 0.0
