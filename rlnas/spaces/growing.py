"""Depth growth (Zoph & Le 2017, section 3): a chain space whose layers become more while it is searched.

There, networks start with 6 layers, and 2 more are added every 1,600 samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, Node
from rlnas.spaces.base import Prefix, Space
from rlnas.spaces.chain import ChainSpace
from rlnas.spaces.diagram import Diagram
from rlnas.spaces.independent import Decisions
from rlnas.spaces.process import repaired


class GrowingSpace(Space):
    """The union of chain spaces of several depths, of which a search sees one after the other.

    chains: the same space with more and more layers. every: architectures that are scored before the next one, >= 1.

    An architecture is one of a chain, with its text: as many words as layers. `size` counts those of all chains;
    `code` numbers the shallower ones first. An architecture is the same network as in a chain space of its depth.

    The decision process has the steps of the deepest chain. The first component of a step has one more choice, the
    last: the layer is absent. It is legal beyond the current depth only, where nothing else is. So an architecture of
    an earlier depth keeps its actions, and policies go on learning with the same inputs and outputs.

    `sample`, `mutate`, `crossover` and `references` give architectures of the current depth: of a shallower one they
    keep the layers and sample the others, which counts as the mutation. Neighbours have the depth of the architecture.
    """

    size: int

    def __init__(self, chains: Sequence[ChainSpace], every: int):
        self.chains = {chain.layers: chain for chain in chains}
        self.every = every
        self.deepest = deepest = chains[-1]
        self.name, self.builds_networks, self.has_bypass = deepest.name, deepest.builds_networks, deepest.has_bypass
        self.skip_bits, self.steps = deepest.skip_bits, deepest.steps
        self.absent = deepest.nvec[0]  # value of the first component
        self.nvec = (self.absent + 1, *deepest.nvec[1:])
        self.size = sum(chain.size for chain in chains)
        self.depth = chains[0].layers
        self._by_decisions = {len(chain.choices): chain for chain in chains}
        self._present = [self._mask(deepest.legal([()] * layer), present=True) for layer in range(self.steps)]
        self._beyond = self._mask(np.arange(sum(deepest.nvec)) < 0, present=False)

    def _mask(self, of_chain: NDArray[np.bool_], *, present: bool) -> NDArray[np.bool_]:
        mask = np.insert(of_chain, self.absent, not present)
        if not present:
            mask[np.cumsum(self.nvec)[:-1]] = True  # the lowest value of the other components
        mask.setflags(write=False)
        return mask

    # -- growth --------------------------------------------------------------------------------------

    def advance(self, scored: int) -> None:
        """Set the depth: that of the first chain before `every` architectures, of the next before twice as many, ..."""
        depths = list(self.chains)
        self.depth = depths[min(scored // self.every, len(depths) - 1)]

    @property
    def stage(self) -> str:
        """The current depth and the last."""
        return f"{self.depth} of {self.steps} layers"

    @property
    def current(self) -> ChainSpace:
        """The chain space of the current depth."""
        return self.chains[self.depth]

    def chain(self, architecture: Sequence[int]) -> ChainSpace:
        """Return the chain space of an architecture; raise RlnasError if it is of none."""
        found = self._by_decisions.get(len(architecture))
        if found is None:
            raise RlnasError(
                f"an architecture of space {self.name} has {' or '.join(map(str, self._by_decisions))} decisions, got "
                f"{len(architecture)}; was it found in a space of other settings?"
            )
        return found

    def _deepened(self, architecture: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Return the architecture with sampled layers up to the current depth; one as deep or deeper as it is."""
        layers = self.chain(architecture).layers
        if layers >= self.depth:
            return tuple(architecture)
        actions = self.actions(architecture)
        actions[layers:] = -1  # no legal value
        return self.architecture(repaired(self, actions, rng))

    # -- the decision process ------------------------------------------------------------------------

    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Return which choices are legal: (sum(nvec),) bool; depends on the number of steps and the current depth."""
        if len(prefix) >= self.steps:
            raise RlnasError(f"an architecture of {self.name} is complete after {self.steps} steps")
        return self._present[len(prefix)] if len(prefix) < self.depth else self._beyond

    @cached_property
    def decisions(self) -> tuple[tuple[int, int], ...]:
        """(step, component) of every decision at any depth; the first component also says whether the layer exists."""
        return tuple(sorted({*self.deepest.decisions, *((step, 0) for step in range(self.steps))}))

    def actions(self, architecture: Sequence[int]) -> NDArray[np.int64]:
        """Return the actions (steps, len(nvec)) that build it at its depth."""
        rows = self.chain(architecture).actions(architecture)
        actions = np.zeros((self.steps, len(self.nvec)), dtype=np.int64)
        actions[: rows.shape[0], : rows.shape[1]] = rows
        actions[rows.shape[0] :, 0] = self.absent
        return actions

    def architecture(self, actions: Prefix) -> Decisions:
        """Return the architecture that these (steps, len(nvec)) actions build."""
        rows = np.asarray(actions, dtype=np.int64)
        present = rows[:, 0] != self.absent
        depth = int(present.sum())
        if depth not in self.chains or not present[:depth].all():
            raise RlnasError(
                f"layers {(np.flatnonzero(present) + 1).tolist()} are present, expected the first "
                f"{' or '.join(map(str, self.chains))}"
            )
        return self.chains[depth].architecture(rows[:depth])

    # -- sampling and editing ------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Sample an architecture of the current depth uniformly."""
        return self.current.sample(rng)

    def mutate(self, architecture: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Change one decision; an architecture of an earlier depth gets the missing layers instead."""
        found = self._deepened(architecture, rng)
        return found if found != tuple(architecture) else self.chain(architecture).mutate(architecture, rng)

    def crossover(self, a: Sequence[int], b: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Return a child of the parents, after both have the current depth."""
        left, right = self._deepened(a, rng), self._deepened(b, rng)
        return self.chain(left).crossover(left, right, rng)

    def neighbours(self, architecture: Sequence[int]) -> Iterator[Decisions]:
        """Yield every architecture of the same depth that differs in exactly one decision, in decision order."""
        return self.chain(architecture).neighbours(architecture)

    # -- forms ---------------------------------------------------------------------------------------

    def text(self, architecture: Sequence[int]) -> str:
        """Return one word a layer."""
        return self.chain(architecture).text(architecture)

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text; the number of its words is its depth."""
        layers = len(text.split())
        if layers not in self.chains:
            raise RlnasError(
                f"expected {' or '.join(map(str, self.chains))} layers separated by spaces, got {layers}: '{text}'"
            )
        return self.chains[layers].parse(text)

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return the features of its chain, and `layers`, its depth."""
        chain = self.chain(architecture)
        return {"layers": float(chain.layers), **chain.features(architecture)}

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the values of a factor of an operator in configuration order."""
        return self.deepest.feature_values(factor)

    def code(self, architecture: Sequence[int]) -> int:
        """Return the architecture's number: its rank in its chain, after all shallower architectures."""
        chain = self.chain(architecture)
        return sum(one.size for one in self.chains.values() if one.layers < chain.layers) + chain.rank(architecture)

    def unrank(self, code: int) -> Decisions:
        """Return the architecture with this number; raise RlnasError outside range(size)."""
        rest = code
        for chain in self.chains.values():
            if 0 <= rest < chain.size:
                return chain.unrank(rest)
            rest -= chain.size
        raise RlnasError(f"code {code} is outside space {self.name}: expected 0 to {self.size - 1}")

    def describe(self, architecture: Sequence[int]) -> dict[str, Any]:
        """Return the form of `Space.describe` with the decisions."""
        return {**super().describe(architecture), "decisions": list(architecture)}

    def references(self) -> dict[str, Decisions]:
        """Return the references of the current depth."""
        return self.current.references()

    def diagrams(self, architecture: Sequence[int]) -> tuple[Diagram, ...]:
        """Return the parts that a report draws beside the whole network."""
        return self.chain(architecture).diagrams(architecture)

    # -- networks ------------------------------------------------------------------------------------

    @property
    def standalone(self) -> "GrowingSpace":
        """The stand-alone forms of the chains, at the same depth."""
        alone = [chain.standalone for chain in self.chains.values()]
        if all(one is chain for one, chain in zip(alone, self.chains.values(), strict=True)):
            return self
        found = GrowingSpace([one for one in alone if isinstance(one, ChainSpace)], self.every)
        found.depth = self.depth
        return found

    def check_transfer(self, final: Space) -> None:
        """Raise RlnasError unless `final` grows through the same depths."""
        same = isinstance(final, GrowingSpace) and final.chains.keys() == self.chains.keys()
        if not isinstance(final, GrowingSpace) or not same:
            raise RlnasError(
                "it changes the depths through which space.grow leads the search; leave layers and grow out, and train "
                "the found architecture in a run of its own: architecture=TEXT with space.layers as many as it has, "
                "space.grow.start=0 and +retrain.space.layers"
            )
        for layers, chain in self.chains.items():
            chain.check_transfer(final.chains[layers])

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return the network of its chain.

        Keys also name the channels, which may depend on the depth: layers of the same number share their weights
        across depths where they have the same channels.
        """
        chain = self.chain(architecture)
        graph = chain.graph(architecture, image_channels=image_channels, image_size=image_size, classes=classes)

        def named(node: Node) -> Node:
            key = None if node.key is None else f"{node.key}/{graph.in_channels(node)}to{node.channels}"
            return replace(node, key=key)

        return replace(graph, nodes=tuple(map(named, graph.nodes)))


def growing(make: Any, layers: int, *, start: int, step: int, every: int) -> Space:
    """Return `make(layers)`, or the growing space from `start` to `layers` layers, `step` more at a time.

    make: the chain space of a number of layers. start: 0 = no growth. The last step may be smaller. Raises RlnasError
    if it would not grow.
    """
    if not start:
        space: Space = make(layers)
        return space
    if start >= layers:
        raise RlnasError(
            f"space.grow.start is {start}, expected less than space.layers={layers}, the last depth; lower it, or "
            "set it to 0 for no growth"
        )
    return GrowingSpace([make(depth) for depth in (*range(start, layers, step), layers)], every)
