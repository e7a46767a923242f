"""Search with a predictor of the scores (after White et al. 2021, "BANANAS: Bayesian Optimization with Neural
Architectures for Neural Architecture Search", algorithm 1).

A predictor is fitted to all architectures scored so far. It judges candidates made from the best ones; those with the
highest acquisition value are scored next.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.controllers.encoding import Descriptions
from rlnas.controllers.predictors import PREDICTORS, Predictor
from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.objective import Means
from rlnas.spaces import Architecture, Space
from rlnas.spaces.process import is_legal

Floats = NDArray[np.float64]

ACQUISITIONS = ("bound", "thompson", "mean")
TRIES = 10  # draws, at most, for each random architecture that is still unknown


class Surrogate:
    """Proposes the candidates that a predictor of the scores finds most promising.

    predictor: a name of rlnas.controllers.predictors.PREDICTORS. acquisition: the value by which candidates are
    chosen: `bound`, mean + `exploration` standard deviations; `thompson`, a draw from the normal distribution of each
    prediction (independent Thompson sampling), a new one for each place in the batch; `mean`. initial: random
    architectures that are scored first. parents: the best architectures by predicted mean, from which half of the
    `candidates` are made by one or two mutations and a quarter by crossover; the last quarter is random. repeats:
    whether the parents are candidates too, to be scored again where scores are noisy; otherwise no architecture is
    proposed twice as long as others are found. memory: architectures, the latest ones, that the predictor is fitted
    to.

    The fit follows from the state, so it is no part of it: its draws come from a generator of its own, seeded by a
    number of the state and the number of scores.
    """

    fits = True

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        predictor: str = "gp",
        acquisition: str = "bound",
        exploration: float = 1.0,
        initial: int = 20,
        parents: int = 10,
        candidates: int = 200,
        repeats: bool = False,
        memory: int = 500,
    ):
        for key, value, known in (("predictor", predictor, PREDICTORS), ("acquisition", acquisition, ACQUISITIONS)):
            if value not in known:
                raise RlnasError(f"controller.params.{key} is '{value}', expected one of {', '.join(known)}")
        if not isinstance(repeats, bool):
            raise RlnasError(f"controller.params.repeats is {repeats}, expected true or false")
        self.space = space
        self.rng = rng
        self.predictor = predictor
        self.acquisition = acquisition
        self.exploration = exploration
        self.initial = initial
        self.parents = parents
        self.candidates = candidates
        self.repeats = repeats
        self.memory = memory
        self.seed = int(rng.integers(2**31))
        self.values = Means()
        self.told = 0  # scores so far
        self.asked: list[Architecture] = []
        self._describe = Descriptions(space)
        self._fitted: Predictor | None = None  # to all scores so far; None: not yet

    # -- what a strategy does ------------------------------------------------------------------------

    def ask(self, count: int) -> list[Architecture]:
        """Propose the candidates with the highest acquisition values; first random architectures."""
        self.asked = self._chosen(count) if self._begun() else []
        self._fill(self.asked, count)
        return self.asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add the scores; the next proposal fits anew."""
        for outcome in in_order(self.asked, outcomes):
            self.values.add(outcome.architecture, outcome.objective)
        self.told += len(outcomes)
        self._fitted = None

    def sample(self, count: int) -> list[Architecture]:
        """Sample mutations of the best architectures by mean score; random ones before there are `initial`."""
        best = self.values.best(self.parents) if self._begun() else []
        if not best or self.space.size == 1:
            return [self.space.sample(self.rng) for _ in range(count)]
        return [self.space.mutate(best[place], self.rng) for place in self.rng.integers(len(best), size=count)]

    def state(self) -> dict[str, Any]:
        """Return every mean score and what seeds the fits."""
        return {"values": self.values.state(self.space), "told": self.told, "seed": self.seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.values.restore(state["values"], self.space)
        self.told, self.seed = state["told"], state["seed"]
        self._fitted = None

    # -- choosing ------------------------------------------------------------------------------------

    def _again(self) -> Sequence[Architecture]:
        """Return candidates of the next batches, whose descriptions are kept; here they are made anew."""
        return []

    def _begun(self) -> bool:
        """Return whether the predictor chooses: there are `initial` scores to learn from."""
        return len(self.values.known) >= self.initial

    def model(self) -> Predictor:
        """Return the predictor, fitted to the scores so far."""
        if self._fitted is None:
            known = list(self.values.known.items())[-self.memory :]
            architectures = [architecture for architecture, _ in known]
            self._describe.forget([*architectures, *self._again()])
            means, counts = np.array([pair for _, pair in known], dtype=np.float64).T
            finite = np.isfinite(means)
            means[~finite] = means[finite].min(initial=np.inf) if finite.any() else 0.0  # failed: as bad as the worst
            self._fitted = PREDICTORS[self.predictor]()
            self._fitted.fit(
                self._describe(architectures), means, counts, np.random.default_rng([self.seed, self.told])
            )
        return self._fitted

    def ranked(self, architectures: Sequence[Architecture], count: int) -> list[Architecture]:
        """Return the `count` architectures with the highest acquisition values, best first."""
        if not architectures:
            return []
        mean, deviation = self.model().predict(self._describe(architectures))  # (n,) each
        if self.acquisition != "thompson":
            values = mean + (self.exploration * deviation if self.acquisition == "bound" else 0.0)
            return [architectures[place] for place in np.argsort(-values, kind="stable")[:count]]
        found: list[int] = []
        for _ in range(min(count, len(mean))):  # each of the batch is the best of a draw of its own
            values = mean + deviation * self.rng.standard_normal(len(mean))
            if not self.repeats:
                values[found] = -np.inf
            found.append(int(np.argmax(values)))
        return [architectures[place] for place in found]

    def _chosen(self, count: int) -> list[Architecture]:
        known = list(self.values.known)[-self.memory :]
        mean, _ = self.model().predict(self._describe(known))
        best = [known[place] for place in np.argsort(-mean, kind="stable")[: self.parents]]
        found = self._unknown(self._made_from(best))
        again = [one for one in best if self.repeats and is_legal(self.space, self.space.actions(one))]
        return self.ranked([*found, *again], count)

    def _made_from(self, best: Sequence[Architecture]) -> Iterable[Architecture]:
        """Yield `candidates` architectures: mutations and crossovers of the best, and random ones."""
        space, rng = self.space, self.rng
        mutations = self.candidates // 2 if space.size != 1 else 0
        for _ in range(mutations):
            found = space.mutate(best[int(rng.integers(len(best)))], rng)
            yield space.mutate(found, rng) if rng.random() < 0.5 else found
        for _ in range(self.candidates // 4):
            first, second = rng.integers(len(best), size=2)
            yield space.crossover(best[int(first)], best[int(second)], rng)
        for _ in range(self.candidates - mutations - self.candidates // 4):
            yield space.sample(rng)

    def _unknown(self, architectures: Iterable[Architecture]) -> list[Architecture]:
        """Return each architecture that has no score once, in order."""
        return [one for one in dict.fromkeys(architectures) if one not in self.values.known]

    def _fill(self, chosen: list[Architecture], count: int) -> None:
        """Add random architectures up to `count`: unknown ones, if a bounded number of tries finds any."""
        self._add(chosen, count, lambda one: one not in self.values.known and one not in chosen)
        self._add(chosen, count, lambda _: True)

    def _add(self, chosen: list[Architecture], count: int, fits: Callable[[Architecture], bool]) -> None:
        for _ in range(TRIES * (count - len(chosen))):
            if len(chosen) < count:
                one = self.space.sample(self.rng)
                if fits(one):
                    chosen.append(one)
