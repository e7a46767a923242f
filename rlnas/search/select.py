"""Select the found architecture: many candidates, some finalists, one result.

A score from the search uses few images and the weights of its round, so all candidates are scored again with the
final weights on the whole validation split. The best are then trained alone for a short time, from a copy of the
shared weights or from scratch: rarely trained shared weights rank an architecture by how well it tolerates weights
trained for others; a short training alone measures the architecture itself. Controls are trained with them and are
never selected.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlnas.config.schema import SelectConfig
from rlnas.controllers import Controller
from rlnas.errors import RlnasError
from rlnas.evaluators import Score, SelectingEvaluator
from rlnas.objective import Objective
from rlnas.runs.tables import Table, row_values
from rlnas.search.candidates import Candidate, distinct, in_turn
from rlnas.search.controls import Controls, draw_controls, no_controls
from rlnas.search.halving import Halving, Rung, rungs
from rlnas.search.words import scored
from rlnas.spaces import Architecture, Space

KINDS = ("finalist", "reference", "random architecture")


@dataclass(frozen=True)
class Selected:
    """The result of a selection.

    candidates: the selected one first, then the other finalists by their objective after training alone (those of a
    later rung first), then the others by theirs with shared weights. controls: trained as the finalists were. rungs:
    of the trainings alone; empty if nothing was trained.
    """

    candidates: list[Candidate]
    controls: Controls = field(default_factory=Controls)
    rungs: Sequence[Rung] = ()


@dataclass(frozen=True)
class Selection:
    """Selects among the architectures of a search.

    frozen: the weights were the same in all rounds (one-shot), so that scores of all rounds are comparable. costs: of
    the final network; architectures beyond `objective.limits` are neither candidates nor controls. rng: draws the
    random candidates. control_rng: draws the random controls. say: prints progress.
    """

    config: SelectConfig
    space: Space
    objective: Objective
    history: Table
    controller: Controller
    evaluator: SelectingEvaluator
    rng: np.random.Generator
    control_rng: np.random.Generator
    frozen: bool
    costs: Callable[[Architecture], Mapping[str, float]]
    say: Callable[[str], None]

    def run(self) -> Selected:
        """Score the candidates, train finalists and controls, and return them.

        Where the weights changed from round to round, candidates and finalists come from all rounds in turn:
        scores of different rounds are not comparable, and the last rounds contain mostly variants of one
        architecture. Uniformly random candidates (`from_random`) keep a search misled by its weights no worse than
        random search.

        Raises RlnasError when no candidate is left.
        """
        sources = self._sources()
        scores = self.evaluator.evaluate_fully(list(sources))
        candidates = [
            Candidate(architecture, dict(score.values), self._value(architecture, score), source)
            for (architecture, source), score in zip(sources.items(), scores, strict=True)
        ]
        candidates.sort(key=lambda candidate: candidate.rank)
        count = min(self.config.finalists, len(candidates))
        if count < 2:
            few = "there is one candidate only" if len(candidates) < 2 else f"select.finalists={self.config.finalists}"
            return Selected(candidates, no_controls(f"no network was trained alone ({few})"))
        contenders = in_turn(candidates, self._group)[:count]
        controls = draw_controls(
            self.config,
            self.space,
            self.control_rng,
            excess=lambda architecture: self.objective.excess(self.costs(architecture)),
            score=self.evaluator.evaluate_fully,
            value=self._value,
        )
        for one in controls.left_out:
            self.say(f"the hand-made reference {one['name']} is no control: {one['reason']}")
        planned = rungs(count, self.config)
        halving = Halving(planned, self.config.halving, self._train, self._value, self._tell(planned))
        groups = [contenders, controls.references, controls.random]
        self._announce(candidates, halving, [len(group) for group in groups])
        finalists, controls.references, controls.random = halving.run(groups)
        chosen = {finalist.architecture for finalist in finalists}
        others = [candidate for candidate in candidates if candidate.architecture not in chosen]
        return Selected([*finalists, *others], controls, planned)

    def _train(self, architectures: Sequence[Architecture], epochs: float, repeats: Sequence[int]) -> Iterable[Score]:
        shared = self.config.finalist_start == "shared"
        return self.evaluator.evaluate_alone(architectures, epochs, from_shared=shared, repeats=repeats)

    def _announce(self, candidates: Sequence[Candidate], halving: Halving, groups: Sequence[int]) -> None:
        """Say what is trained alone, and what it costs."""
        finalists, *controls = groups
        trained = f"{finalists} finalists" + (f" and {sum(controls)} controls" if sum(controls) else "")
        sizes = zip(*halving.sizes(groups), strict=True)
        plan = [
            f"{sum(size)} for {rung.epochs:g} epoch{'' if rung.epochs == 1 else 's'}"
            + (f" with {rung.seeds} seeds each" if rung.seeds > 1 else "")
            for size, rung in zip(sizes, halving.rungs, strict=True)
        ]
        self.say(
            f"the best of {len(candidates)} candidates has {scored(candidates[0].accuracy, candidates[0].value)} on "
            f"the whole validation split; {trained} are trained alone, from "
            + ("the shared weights" if self.config.finalist_start == "shared" else "scratch")
            + f": {', then '.join(plan)}; {halving.epochs(groups):g} epochs in total"
        )

    def _tell(self, planned: Sequence[Rung]) -> Callable[[int, int, int, Candidate], None]:
        def tell(group: int, number: int, count: int, one: Candidate) -> None:
            last = one.trained[-1]
            rung = f"rung {last.rung}/{len(planned)}, " if len(planned) > 1 else ""
            who = f"{rung}{KINDS[group]} {number}/{count}"
            for score in last.scores:
                if score.failed:  # counts against the architecture, does not end the run
                    self.say(f"{who} ranks last: {score.failed}")
            several = ""
            if len(last.scores) > 1:
                several = f" (mean of {', '.join(f'{score.accuracy:.4f}' for score in last.scores)})"
            self.say(
                f"{who}: {scored(last.accuracy, last.value)}{several} alone, "
                f"{scored(one.accuracy, one.value)} with shared weights  "
                + (f"{one.name}: " if one.source == "reference" else "")
                + self.space.text(one.architecture)
            )

        return tell

    def _value(self, architecture: Architecture, score: Score) -> float:
        return self.objective(architecture, {**self.evaluator.costs(architecture), **score.values}, final=True)

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
