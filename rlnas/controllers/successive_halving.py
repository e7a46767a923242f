"""Successive halving over random architectures (Jamieson & Talwalkar 2016, arXiv 1502.07943; Karnin et al. 2013).

Many architectures are trained for a short time, the best of them longer, and so on: the strongest simple competitor of
weight sharing (Li & Talwalkar 2019, arXiv 1902.07638, compare with its asynchronous form).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.spaces import Architecture, Space

TRIES = 100  # samples, at most, for an architecture that is new to its bracket


class SuccessiveHalving:
    """Proposes brackets of random architectures, whose best 1/`eta` go on to `eta` times the training.

    A bracket has `rungs` rungs. Its last one trains `keep` architectures with the evaluator's whole effort; each rung
    before has `eta` times as many with 1/`eta` of the effort. So every rung costs the same, and a bracket costs as much
    as `rungs` * `keep` whole trainings. After the last rung a new bracket begins.

    Where this deviates: Hyperband (Li et al. 2018) also runs brackets with fewer rungs, which is this controller with
    another `rungs`; a training starts anew in each rung, with a learning rate that falls to its end, instead of going
    on from the rung before (rlnas.evaluators.standalone).

    share: of the evaluator's effort for the last proposals.
    """

    def __init__(self, space: Space, rng: np.random.Generator, eta: int = 3, rungs: int = 3, keep: int = 1):
        if eta**rungs * keep > 10**6:
            raise RlnasError(
                f"controller.params.eta={eta}, rungs={rungs} and keep={keep} begin a bracket with "
                f"{keep * eta ** (rungs - 1):,} architectures, expected at most 1,000,000; lower rungs"
            )
        self.space = space
        self.rng = rng
        self.eta = eta
        self.rungs = rungs
        self.keep = keep
        self.rung = 0  # of the waiting architectures
        self.waiting: list[Architecture] = []
        self.scored: list[tuple[Architecture, float]] = []  # of this rung
        self.asked: list[Architecture] = []

    @property
    def share(self) -> float:
        """The share of the effort in the current rung: eta^-(rungs - 1) in the first, 1 in the last."""
        return self.keep / self._size(self.rung)

    def ask(self, count: int) -> list[Architecture]:
        """Propose the next architectures of the rung, at most `count`."""
        if not self.waiting:
            self.waiting = self._bracket() if self.rung == 0 else self._promoted()
            self.scored = []
        self.asked = self.waiting[:count]
        return self.asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes to the rung; the last one ends it."""
        self.scored += [(one.architecture, one.objective) for one in in_order(self.asked, outcomes)]
        self.waiting = self.waiting[len(outcomes) :]
        if not self.waiting:
            self.rung = (self.rung + 1) % self.rungs

    def sample(self, count: int) -> list[Architecture]:
        """Sample random architectures: what was not trained is not favoured."""
        return [self.space.sample(self.rng) for _ in range(count)]

    def _size(self, rung: int) -> int:
        """Return the number of architectures in a rung, from 0."""
        return int(self.keep * self.eta ** (self.rungs - 1 - rung))

    def _bracket(self) -> list[Architecture]:
        """Return random architectures, different ones as far as a bounded number of samples finds them."""
        found: dict[Architecture, None] = {}
        more = self._size(0)
        for _ in range(TRIES * more):
            if len(found) == more:
                break
            found[self.space.sample(self.rng)] = None
        return list(found)

    def _promoted(self) -> list[Architecture]:
        """Return the best of the last rung, the first of equals."""
        ranked = sorted(self.scored, key=lambda pair: -pair[1])
        return [architecture for architecture, _ in ranked[: self._size(self.rung)]]

    def state(self) -> dict[str, Any]:
        """Return the rung, its waiting architectures and its scores."""
        text = self.space.text
        return {
            "rung": self.rung,
            "waiting": [text(architecture) for architecture in self.waiting],
            "scored": [(text(architecture), value) for architecture, value in self.scored],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        parse = self.space.parse
        self.rung = state["rung"]
        self.waiting = [parse(text) for text in state["waiting"]]
        self.scored = [(parse(text), value) for text, value in state["scored"]]
