"""LaNAS: Monte-Carlo tree search over learned regions of the space (Wang et al. 2019, "Sample-Efficient Neural
Architecture Search by Learning Action Space").

A tree of linear splits divides the space into regions of high and of low scores. Upper confidence bounds choose a
region, the next architecture is drawn within it, and the tree is fitted again. docs/controllers/lanas.md says what
differs from the paper and from its published code.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.controllers.partition import SPLITTERS, Node, Path, count, depth, descend, grown
from rlnas.controllers.strategy import in_order
from rlnas.envs.scorer import Outcome
from rlnas.errors import RlnasError
from rlnas.evaluators.prediction import full_columns
from rlnas.spaces import Architecture, Space

Floats = NDArray[np.float64]

CHUNK = 32  # architectures drawn at once within a region
REMEMBERED = 20_000  # encoded architectures that are kept


class Lanas:
    """Proposes architectures within regions that upper confidence bounds choose; no architecture twice.

    initial: random architectures first. height: splits above a leaf, at most. least: scored architectures in a leaf, at
    least. exploration: weight of the bound, in standard deviations of the scores so far. refit: scored architectures
    from one fit of the tree to the next; between fits the regions stay and their means follow the scores. tries:
    architectures drawn for a proposal until one lies in the region, then as many mutations of the region's best ones;
    if none does, the one is taken that follows the path to the region furthest. Only where everything that was tried
    is known, a known one is proposed again. splits: of rlnas.controllers.partition.SPLITTERS.
    """

    fits = True

    def __init__(
        self,
        space: Space,
        rng: np.random.Generator,
        initial: int = 20,
        height: int = 7,
        least: int = 2,
        exploration: float = 0.1,
        refit: int = 1,
        tries: int = 96,
        splits: str = "regression",
    ):
        if splits not in SPLITTERS:
            raise RlnasError(f"controller.params.splits is '{splits}', expected one of {', '.join(SPLITTERS)}")
        self.space, self.rng = space, rng
        self.initial, self.height, self.least = initial, height, least
        self.exploration, self.refit, self.tries = exploration, refit, tries
        self.splitter = SPLITTERS[splits]
        self._columns = lru_cache(REMEMBERED)(lambda architecture: full_columns(space.features(architecture)))
        self.asked: list[Architecture] = []
        self._clear()

    def _clear(self) -> None:
        self.known: list[Architecture] = []  # scored ones, in order
        self.values: list[float] = []
        self.names: dict[str, int] = {}  # columns of the encoding, in order of their first appearance
        self.rows: list[dict[str, float]] = []
        self.fitted = 0  # scored architectures that the tree was fitted to; 0: none yet
        self.seed = 0  # of the fit

    def ask(self, count: int) -> list[Architecture]:
        """Propose architectures of the chosen regions; random ones until there are `initial`."""
        if len(self.known) >= self.initial and (not self.fitted or len(self.known) - self.fitted >= self.refit):
            self.fitted, self.seed = len(self.known), int(self.rng.integers(2**31))
        self.asked = self.sample(count)
        return self.asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Take the scores into account."""
        for outcome in in_order(self.asked, outcomes):
            self._add(outcome.architecture, outcome.objective)

    def _add(self, architecture: Architecture, value: float) -> None:
        self.known.append(architecture)
        self.values.append(value)
        row = self._columns(architecture)
        self.rows.append(row)
        for name in row:
            self.names.setdefault(name, len(self.names))

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures of the regions that the last tree chooses."""
        taken = set(self.known)
        if not self.fitted:
            return [self._unknown(taken) for _ in range(count)]
        draw = _Draw(self)
        return [draw.next(taken) for _ in range(count)]

    def _unknown(self, taken: set[Architecture]) -> Architecture:
        """Return a random architecture that is not taken, if one is found, and take it."""
        for _ in range(self.tries):
            found = self.space.sample(self.rng)
            if found not in taken:
                break
        taken.add(found)
        return found

    def encoded(self, rows: Sequence[dict[str, float]]) -> Floats:
        """Return the columns that scored architectures have; a column that one does not have is 0: (n, d)."""
        inputs = np.zeros((len(rows), len(self.names)))
        for place, row in enumerate(rows):
            for name, value in row.items():
                column = self.names.get(name)
                if column is not None:
                    inputs[place, column] = value
        return inputs

    def state(self) -> dict[str, Any]:
        """Return the scored architectures, and what the last fit of the tree depends on."""
        texts = [self.space.text(architecture) for architecture in self.known]
        return {"known": texts, "values": list(self.values), "fitted": self.fitted, "seed": self.seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; the tree is fitted again, to the same scores."""
        self._clear()
        for text, value in zip(state["known"], state["values"], strict=True):
            self._add(self.space.parse(text), value)
        self.fitted, self.seed = state["fitted"], state["seed"]


class _Draw:
    """Draws architectures of the regions of one tree. What it drew for one proposal serves the next ones too."""

    def __init__(self, search: Lanas):
        self.search = search
        rng, fitted = np.random.default_rng(search.seed), search.fitted
        inputs, values = search.encoded(search.rows), np.array(search.values)  # (n, d), (n,)
        finite = np.isfinite(values)
        values = np.where(
            finite, values, values[finite].min() if finite.any() else 0.0
        )  # a failure counts as the worst
        spread = inputs.std(axis=0)
        self.varying = spread > 0
        self.centre, self.spread = inputs.mean(axis=0)[self.varying], spread[self.varying]
        self.inputs = self._scaled(inputs)
        self.values = (values - values.mean()) / (values.std() or 1.0)
        self.root = self._grown(self.inputs[:fitted], self.values[:fitted], rng)
        count(self.root, self.inputs, self.values)
        self.pool: list[Architecture] = []  # drawn, and not proposed
        self.encoded = np.zeros((0, self.inputs.shape[1]))  # of the pool

    def _grown(self, inputs: Floats, values: Floats, rng: np.random.Generator) -> Node:
        search = self.search
        return grown(inputs, values, search.height, search.least, search.splitter, rng)

    def _scaled(self, inputs: Floats) -> Floats:
        scaled: Floats = (inputs[:, self.varying] - self.centre) / self.spread
        return scaled

    def _encoded(self, architectures: Sequence[Architecture]) -> Floats:
        search = self.search
        return self._scaled(search.encoded([search._columns(architecture) for architecture in architectures]))

    def next(self, taken: set[Architecture]) -> Architecture:
        """Return an architecture of the region that is chosen next, and take it."""
        path = descend(self.root, self.search.exploration)
        found = self._rejected(path, taken)
        if found is None:
            found = self._mutated(path, taken)
        if found is None:
            found = self._furthest(path, taken)
        taken.add(found)
        return found

    def _rejected(self, path: Path, taken: set[Architecture]) -> Architecture | None:
        """Return the first drawn architecture inside; None after `tries`."""
        drawn, place = 0, self._first(path, self.pool, self.encoded, taken)
        while place is None and drawn < self.search.tries:
            fresh = [self.search.space.sample(self.search.rng) for _ in range(min(CHUNK, self.search.tries - drawn))]
            drawn += len(fresh)
            fresh = [one for one in dict.fromkeys(fresh) if one not in taken]
            if not fresh:  # nearly everything is known
                break
            encoded = self._encoded(fresh)
            start = len(self.pool)
            self.pool += fresh
            self.encoded = np.concatenate([self.encoded, encoded])
            first = self._first(path, fresh, encoded, taken)
            place = None if first is None else start + first
        return None if place is None else self.pool[place]

    def _mutated(self, path: Path, taken: set[Architecture]) -> Architecture | None:
        """Return the first mutation inside of the region's best architectures, each mutated in turn; None if none is.

        A mutation inside that is taken is mutated too.
        """
        search = self.search
        inside = np.flatnonzero(depth(path, self.inputs) == len(path))
        best = inside[np.argsort(-self.values[inside], kind="stable")][:8]
        sources = [search.known[place] for place in best]
        for _ in range(-(-search.tries // CHUNK) if sources else 0):
            fresh = [search.space.mutate(sources[turn % len(sources)], search.rng) for turn in range(CHUNK)]
            encoded = self._encoded(fresh)
            first = self._first(path, fresh, encoded, taken)
            if first is not None:
                return fresh[first]
            if taken.issuperset(fresh):  # their neighbourhood is used up
                break
            self.pool += fresh
            self.encoded = np.concatenate([self.encoded, encoded])
            followed = depth(path, encoded) == len(path)
            sources = list(dict.fromkeys([*sources, *(one for one, ok in zip(fresh, followed, strict=True) if ok)]))
        return None

    def _furthest(self, path: Path, taken: set[Architecture]) -> Architecture:
        """Return the one of the pool that follows the path furthest; a random one if all are taken."""
        free = [place for place, one in enumerate(self.pool) if one not in taken]
        if not free:
            return self.search.space.sample(self.search.rng)
        return self.pool[free[int(np.argmax(depth(path, self.encoded[free])))]]

    @staticmethod
    def _first(
        path: Path, architectures: Sequence[Architecture], encoded: Floats, taken: set[Architecture]
    ) -> int | None:
        """Return the place of the first architecture inside that is not taken."""
        inside = np.flatnonzero(depth(path, encoded) == len(path)).tolist()
        return next((place for place in inside if architectures[place] not in taken), None)
