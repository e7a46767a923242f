"""Progressive search with a predictor (Liu et al. 2018, "Progressive Neural Architecture Search", algorithm 1).

Complexity grows: of the architectures of one size the best are expanded by one step, a predictor fitted to all scores
ranks the expansions, and the first ones are scored next.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.controllers.surrogate import Surrogate
from rlnas.envs.scorer import Outcome
from rlnas.spaces import Architecture, Space


class Pnas(Surrogate):
    """Follows the stages of a space that grows (`space.grow`); on one that does not, it is the surrogate search.

    beam: the best architectures of a stage, by mean score, that are expanded in the next (the paper's K, 256).
    beam_candidates: expansions, at most, of all of them together; where there are more, as many are drawn. Other
    options: see `Surrogate`; the acquisition is the mean, as in the paper.

    Architectures of the first stage are random. In later stages the candidates are the expansions only, until all are
    scored. `space.grow.every` is how many are scored at a stage, the paper's K again.

    Deviations: the predictor is fitted before every batch, not once a stage, as scores come batch by batch; and where
    the expansions of a beam are too many, they are sampled. Of the paper's ensemble of five LSTMs `lstm` has three.
    """

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        predictor: str = "gp",
        acquisition: str = "mean",
        exploration: float = 1.0,
        initial: int = 20,
        parents: int = 10,
        candidates: int = 200,
        repeats: bool = False,
        memory: int = 500,
        beam: int = 256,
        beam_candidates: int = 2000,
    ):
        super().__init__(space, rng, predictor, acquisition, exploration, initial, parents, candidates, repeats, memory)
        self.beam = beam
        self.beam_candidates = beam_candidates
        self.stage: str | None = space.stage
        self.first = space.stage is not None  # whether the first of several stages is searched
        self.scored: list[Architecture] = []  # at this stage
        self.expansions: list[Architecture] = []  # of the beam, at this stage

    def ask(self, count: int) -> list[Architecture]:
        """Propose the expansions that the predictor ranks highest; begin a stage when the space has grown."""
        if self.space.stage != self.stage:
            self._grow()
        return super().ask(count)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add the scores; the next proposal fits anew."""
        if self.stage is not None:
            self.scored += self.asked
        super().tell(outcomes)

    def state(self) -> dict[str, Any]:
        """Return the state of `Surrogate`, the stage, what was scored at it and the expansions."""
        text = self.space.text
        return {
            **super().state(),
            "stage": self.stage,
            "first": self.first,
            "scored": [text(architecture) for architecture in self.scored],
            "expansions": [text(architecture) for architecture in self.expansions],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        super().restore(state)
        parse = self.space.parse
        self.stage, self.first = state["stage"], state["first"]
        self.scored = [parse(text) for text in state["scored"]]
        self.expansions = [parse(text) for text in state["expansions"]]

    def _grow(self) -> None:
        """Expand the beam to the stage that the space has reached."""
        best = sorted(dict.fromkeys(self.scored), key=self.values.mean, reverse=True)[: self.beam]
        each = -(-self.beam_candidates // max(len(best), 1))
        found = [grown for one in best for grown in self.space.expansions(one, self.rng, each)]
        self.expansions = list(dict.fromkeys(found))
        self.stage, self.first, self.scored = self.space.stage, False, []

    def _chosen(self, count: int) -> list[Architecture]:
        if self.first:
            return []
        self.expansions = self._unknown(self.expansions)
        found = self.ranked(self.expansions, count)
        return found if self.expansions else super()._chosen(count)
