"""Growth (Zoph & Le 2017, section 3; PNAS, Liu et al. 2018): architectures become larger while a space is searched.

Zoph and Le's networks start with 6 layers, and 2 more are added every 1,600 samples; PNAS's cells start with one block,
and another is added after every 256.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph, Node
from rlnas.networks.relaxation import Relaxation
from rlnas.spaces.base import Prefix, Space
from rlnas.spaces.diagram import Diagram
from rlnas.spaces.growable import GrowableSpace
from rlnas.spaces.independent import Decisions
from rlnas.spaces.process import repaired


class GrowingSpace(Space):
    """The union of spaces of several depths, of which a search sees one after the other.

    members: the same space with more and more units: layers of a chain, or hidden nodes of every cell. every:
    architectures that are scored before the next one, >= 1.

    An architecture is one of a member, with its text. `size` counts those of all members; `code` numbers the
    shallower ones first. An architecture is the same network as in a space of its depth.

    The decision process has the steps of the deepest member. The first component of a step has one more choice, the
    last: the unit is absent. It is legal beyond the current depth only, where nothing else is. So an architecture of
    an earlier depth keeps its actions, and policies go on learning with the same inputs and outputs.

    `sample`, `mutate`, `crossover` and `references` give architectures of the current depth: of a shallower one they
    keep the units and sample the others, which counts as the mutation. Neighbours have the depth of the architecture.
    """

    size: int

    def __init__(self, members: Sequence[GrowableSpace], every: int):
        self.members = {member.depth: member for member in members}
        self.every = every
        self.deepest = deepest = members[-1]
        self.name, self.builds_networks, self.has_bypass = deepest.name, deepest.builds_networks, deepest.has_bypass
        self.skip_bits, self.steps = deepest.skip_bits, deepest.steps
        self.absent = deepest.nvec[0]  # value of the first component
        self.nvec = (self.absent + 1, *deepest.nvec[1:])
        self.size = sum(member.size for member in members)
        self.depth = members[0].depth
        self.units = np.array(deepest.step_units)  # (steps,)
        self._by_decisions = {len(member.choices): member for member in members}
        self._present = [self._mask(deepest.legal([()] * step), present=True) for step in range(self.steps)]
        self._beyond = self._mask(np.arange(sum(deepest.nvec)) < 0, present=False)

    def _mask(self, of_member: NDArray[np.bool_], *, present: bool) -> NDArray[np.bool_]:
        mask = np.insert(of_member, self.absent, not present)
        if not present:
            mask[np.cumsum(self.nvec)[:-1]] = True  # the lowest value of the other components
        mask.setflags(write=False)
        return mask

    # -- growth --------------------------------------------------------------------------------------

    def advance(self, scored: int) -> None:
        """Set the depth: that of the first member before `every` architectures, of the next before twice as many."""
        depths = list(self.members)
        self.depth = depths[min(scored // self.every, len(depths) - 1)]

    @property
    def stage(self) -> str:
        """The current depth and the last."""
        return f"{self.depth} of {self.deepest.depth} {self.deepest.unit}"

    @property
    def current(self) -> GrowableSpace:
        """The space of the current depth."""
        return self.members[self.depth]

    def member(self, architecture: Sequence[int]) -> GrowableSpace:
        """Return the space of an architecture's depth; raise RlnasError if it is of none."""
        found = self._by_decisions.get(len(architecture))
        if found is None:
            raise RlnasError(
                f"an architecture of space {self.name} has {' or '.join(map(str, self._by_decisions))} decisions, got "
                f"{len(architecture)}; was it found in a space of other settings?"
            )
        return found

    def _deepened(self, architecture: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Return the architecture with sampled units up to the current depth; one as deep or deeper as it is."""
        depth = self.member(architecture).depth
        if depth >= self.depth:
            return tuple(architecture)
        actions = self.actions(architecture)
        actions[self.units >= depth] = -1  # no legal value
        return self.architecture(repaired(self, actions, rng))

    def expansions(self, architecture: Sequence[int], rng: np.random.Generator, count: int) -> list[Decisions]:
        """Return those of the current depth with all units of this one: all, or `count` draws without the equal ones.

        Empty for an architecture of the current depth or beyond.
        """
        current, depth = self.current, self.member(architecture).depth
        if depth >= current.depth:
            return []
        new = np.repeat(np.array(current.step_units) >= depth, [len(components) for components in current.layout])
        choices = [number for number, added in zip(current.choices, new, strict=True) if added]
        total = math.prod(choices)
        if total <= count:
            drawn = np.stack(np.unravel_index(np.arange(total), choices), axis=1)  # (total, new decisions)
        else:
            drawn = rng.integers(0, choices, size=(count, len(choices)))
        whole = np.empty((len(drawn), len(new)), dtype=np.int64)
        whole[:, ~new], whole[:, new] = np.array(architecture), drawn
        return list(dict.fromkeys(tuple(row) for row in whole.tolist()))

    # -- the decision process ------------------------------------------------------------------------

    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Return which choices are legal: (sum(nvec),) bool; depends on the number of steps and the current depth."""
        if len(prefix) >= self.steps:
            raise RlnasError(f"an architecture of {self.name} is complete after {self.steps} steps")
        return self._present[len(prefix)] if self.units[len(prefix)] < self.depth else self._beyond

    @cached_property
    def decisions(self) -> tuple[tuple[int, int], ...]:
        """(step, component) of every decision at any depth; the first component also says whether the unit exists."""
        return tuple(sorted({*self.deepest.decisions, *((step, 0) for step in range(self.steps))}))

    def actions(self, architecture: Sequence[int]) -> NDArray[np.int64]:
        """Return the actions (steps, len(nvec)) that build it at its depth."""
        member = self.member(architecture)
        rows = member.actions(architecture)
        present = self.units < member.depth
        actions = np.zeros((self.steps, len(self.nvec)), dtype=np.int64)
        actions[present, : rows.shape[1]] = rows
        actions[~present, 0] = self.absent
        return actions

    def architecture(self, actions: Prefix) -> Decisions:
        """Return the architecture that these (steps, len(nvec)) actions build."""
        rows = np.asarray(actions, dtype=np.int64)
        present = rows[:, 0] != self.absent
        depth = int(self.units[present].max(initial=-1)) + 1
        if depth not in self.members or (present != (self.units < depth)).any():
            raise RlnasError(
                f"{self.deepest.unit} {(self.units[present] + 1).tolist()} are present, expected the first "
                f"{' or '.join(map(str, self.members))}"
            )
        found: Decisions = self.members[depth].architecture(rows[present])
        return found

    # -- sampling and editing ------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Sample an architecture of the current depth uniformly."""
        return self.current.sample(rng)

    def mutate(self, architecture: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Change one decision; an architecture of an earlier depth gets the missing units instead."""
        found = self._deepened(architecture, rng)
        return found if found != tuple(architecture) else self.member(architecture).mutate(architecture, rng)

    def crossover(self, a: Sequence[int], b: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Return a child of the parents, after both have the current depth."""
        left, right = self._deepened(a, rng), self._deepened(b, rng)
        return self.member(left).crossover(left, right, rng)

    def neighbours(self, architecture: Sequence[int]) -> Iterator[Decisions]:
        """Yield every architecture of the same depth that differs in exactly one decision, in decision order."""
        return self.member(architecture).neighbours(architecture)

    # -- forms ---------------------------------------------------------------------------------------

    def text(self, architecture: Sequence[int]) -> str:
        """Return the text in the space of its depth."""
        return self.member(architecture).text(architecture)

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text; the number of its words, in each cell, is its depth."""
        depth = self.deepest.depth_of(text)
        if depth not in self.members:
            raise RlnasError(
                f"expected {' or '.join(map(str, self.members))} {self.deepest.unit} separated by spaces, got {depth}: "
                f"'{text}'"
            )
        found: Decisions = self.members[depth].parse(text)
        return found

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return the features in the space of its depth, and the depth: `layers`, or `nodes` of cells."""
        member = self.member(architecture)
        return {member.unit.split()[-1]: float(member.depth), **member.features(architecture)}

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the values of a factor of an operator in configuration order."""
        return self.deepest.feature_values(factor)

    def code(self, architecture: Sequence[int]) -> int:
        """Return the architecture's number: its rank among those of its depth, after all shallower architectures."""
        member = self.member(architecture)
        return sum(one.size for one in self.members.values() if one.depth < member.depth) + member.rank(architecture)

    def unrank(self, code: int) -> Decisions:
        """Return the architecture with this number; raise RlnasError outside range(size)."""
        rest = code
        for member in self.members.values():
            if 0 <= rest < member.size:
                return member.unrank(rest)
            rest -= member.size
        raise RlnasError(f"code {code} is outside space {self.name}: expected 0 to {self.size - 1}")

    def describe(self, architecture: Sequence[int]) -> dict[str, Any]:
        """Return the form of `Space.describe` with the decisions."""
        return {**super().describe(architecture), "decisions": list(architecture)}

    def references(self) -> dict[str, Decisions]:
        """Return the references of the current depth."""
        return self.current.references()

    def diagrams(self, architecture: Sequence[int]) -> tuple[Diagram, ...]:
        """Return the parts that a report draws beside the whole network."""
        return self.member(architecture).diagrams(architecture)

    # -- networks ------------------------------------------------------------------------------------

    def relaxation(self, *, image_channels: int, image_size: int, classes: int) -> Relaxation:
        """Raise RlnasError: gradients need all alternatives from the start."""
        raise RlnasError(
            f"space={self.name} grows during the search (space.grow.start), and a search by gradients relaxes all of "
            "it at once; set space.grow.start=0"
        )

    @property
    def standalone(self) -> "GrowingSpace":
        """The stand-alone forms of the members, at the same depth."""
        alone = [member.standalone for member in self.members.values()]
        if all(one is member for one, member in zip(alone, self.members.values(), strict=True)):
            return self
        found = GrowingSpace([one for one in alone if isinstance(one, GrowableSpace)], self.every)
        found.depth = self.depth
        return found

    def check_transfer(self, final: Space) -> None:
        """Raise RlnasError unless `final` grows through the same depths."""
        same = isinstance(final, GrowingSpace) and final.members.keys() == self.members.keys()
        if not isinstance(final, GrowingSpace) or not same:
            raise RlnasError(
                f"it changes the depths through which space.grow leads the search; leave {self.deepest.option} and "
                f"grow out, and train the found architecture in a run of its own: architecture=TEXT with "
                f"space.{self.deepest.option} as many as it has, space.grow.start=0 and "
                f"+retrain.space.{self.deepest.option}"
            )
        for depth, member in self.members.items():
            member.check_transfer(final.members[depth])

    def auxiliary(
        self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int
    ) -> Graph | None:
        """Return that of the space of its depth, with keys as in `graph`."""
        images = {"image_channels": image_channels, "image_size": image_size, "classes": classes}
        found = self.member(architecture).auxiliary(architecture, **images)
        return None if found is None else _named(found)

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return the network of the space of its depth.

        Keys also name the channels, which may depend on the depth: nodes of the same number share their weights
        across depths where they have the same channels.
        """
        images = {"image_channels": image_channels, "image_size": image_size, "classes": classes}
        return _named(self.member(architecture).graph(architecture, **images))


def _named(graph: Graph) -> Graph:
    """Return the graph with the channels in its keys."""

    def named(node: Node) -> Node:
        key = None if node.key is None else f"{node.key}/{graph.in_channels(node)}to{node.channels}"
        return replace(node, key=key)

    return replace(graph, nodes=tuple(map(named, graph.nodes)))


def growing(make: Callable[[int], GrowableSpace], depth: int, *, start: int, step: int, every: int) -> Space:
    """Return `make(depth)`, or the growing space from `start` to `depth` units, `step` more at a time.

    make: the space of a depth. start: 0 = no growth. The last step may be smaller. Raises RlnasError if it would not
    grow.
    """
    whole = make(depth)
    if not start:
        return whole
    if start >= depth:
        raise RlnasError(
            f"space.grow.start is {start}, expected less than space.{whole.option}={depth}, the last depth; lower it, "
            "or set it to 0 for no growth"
        )
    return GrowingSpace([make(one) for one in (*range(start, depth, step), depth)], every)
