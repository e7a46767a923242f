"""Which architecture a search found: from many candidates to some finalists to one.

A score from the search rests on few images and on the weights of its round, so candidates are scored again,
all with the final weights and the whole validation split. The best of them are then trained alone for a
short time, from a copy of the shared weights or from scratch: weights that hardly met an architecture rank it
by how well it bears strangers' weights, and an epoch of its own puts that right.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from rlnas.config.schema import SelectConfig
from rlnas.controllers import Controller
from rlnas.errors import Diverged, RlnasError
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.runs.tables import Table
from rlnas.spaces import Architecture, Space

T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """An architecture that may be the one.

    accuracy: 0..1, on the whole validation split, with the final shared weights. source: the round of the
    search in which it scored best, "policy" if the final policy drew it, "random" if it was drawn uniformly.
    alone: the accuracy after its own short training, None if it was no finalist, 0 if its training diverged.
    """

    architecture: Architecture
    accuracy: float
    source: int | str
    alone: float | None = None


def select(
    config: SelectConfig,
    space: Space,
    history: Table,
    controller: Controller,
    evaluator: SharedWeightsEvaluator,
    *,
    rng: np.random.Generator,
    frozen: bool,
    flops_of: Callable[[Architecture], int],
    say: Callable[[str], None],
) -> list[Candidate]:
    """The candidates, the found one first: the finalists by their accuracy alone, then the others by theirs
    with shared weights; of equal ones that met first stays in front.

    Where the weights changed from round to round, candidates and finalists come from all rounds in turn:
    scores of two rounds do not compare, and the last rounds alone hold variants of one idea. Uniformly
    random candidates (`from_random`, drawn by `rng`) keep a search whose weights misled it no worse than none.

    frozen: the weights were the same in all rounds (one-shot), so that only the scores decide. flops_of: of
    the final network; what exceeds `max_flops` is no candidate.

    Raises RlnasError when nothing is left.
    """

    sources = _sources(config, space, history, controller, rng=rng, frozen=frozen, flops_of=flops_of)
    scores = evaluator.evaluate_fully(list(sources))
    candidates = [
        Candidate(architecture, score.accuracy, source)
        for (architecture, source), score in zip(sources.items(), scores, strict=True)
    ]
    candidates.sort(key=lambda candidate: -candidate.accuracy)
    count = min(config.finalists, len(candidates))
    if count < 2:
        return candidates
    say(
        f"the best of {len(candidates)} candidates has {candidates[0].accuracy:.4f} on the whole validation split; "
        f"{count} finalists are trained alone, epochs of each: {config.finalist_epochs:g}, from "
        + ("the shared weights" if config.finalist_start == "shared" else "scratch")
    )

    def group(candidate: Candidate) -> object:
        if frozen:
            return 0
        # a random one is a group of its own: they differ from each other as rounds do
        return candidate.architecture if candidate.source == "random" else candidate.source

    finalists = []
    contenders = in_turn(candidates, group)[:count]
    trained = evaluator.evaluate_alone(
        [candidate.architecture for candidate in contenders],
        config.finalist_epochs,
        from_shared=config.finalist_start == "shared",
    )
    for candidate, score in zip(contenders, trained, strict=True):
        if isinstance(score, Diverged):  # the architecture's own weakness, not the end of the run
            say(f"a finalist counts as 0: {score}")
        alone = 0.0 if isinstance(score, Diverged) else score.accuracy
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


def distinct(rows: Iterable[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
    """The first row of each architecture."""
    seen: set[str] = set()
    for row in rows:
        if row["code"] not in seen:
            seen.add(row["code"])
            yield row


def _sources(
    config: SelectConfig,
    space: Space,
    history: Table,
    controller: Controller,
    *,
    rng: np.random.Generator,
    frozen: bool,
    flops_of: Callable[[Architecture], int],
) -> dict[Architecture, int | str]:
    """The candidates and where each comes from, see `Candidate`."""

    def affordable(architecture: Architecture) -> bool:
        return not config.max_flops or flops_of(architecture) <= config.max_flops

    sources: dict[Architecture, int | str] = {}
    if config.from_policy:
        sources.update(dict.fromkeys(filter(affordable, controller.sample(config.from_policy)), "policy"))
    for _ in range(config.from_random):
        architecture = space.sample(rng)
        if affordable(architecture):
            sources.setdefault(architecture, "random")
    wanted = max(config.from_history, 0 if sources else 1)  # there is always a candidate
    best_first = sorted(history.rows, key=lambda row: -float(row["accuracy"]))
    latest_first = best_first if frozen else sorted(best_first, key=lambda row: -int(row["round"]))
    for row in distinct(in_turn(latest_first, lambda row: 0 if frozen else row["round"])):
        architecture = space.unrank(int(row["code"]))
        if wanted == 0:
            break
        if affordable(architecture):
            sources.setdefault(architecture, int(row["round"]))
            wanted -= 1
    if not sources and history.rows:
        cheapest = min(flops_of(space.unrank(int(row["code"]))) for row in history.rows)
        raise RlnasError(
            f"no architecture that was scored costs at most select.max_flops={config.max_flops:g}; the cheapest costs "
            f"{cheapest:,}: raise the limit, or give a space of cheaper networks"
        )
    if not sources:
        raise RlnasError(
            "nothing was scored and select.from_policy is 0, so there is no candidate; give a larger budget"
        )
    return sources
