"""Relaxation: one graph of all architectures of a space, whose mixed nodes weigh alternatives (Liu et al. 2019, DARTS).

Torch-free. rlnas.children.relaxed runs it with the weights, and the weight keys, of the discrete architectures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rlnas.networks.graph import INPUT, Graph, GraphBuilder

MIXED = "mixed"  # operator of a node that is the weighted sum of its inputs; only in the graph of a relaxation


class Alternatives(NamedTuple):
    """A choice of the space that the relaxation weighs: one row of architecture parameters.

    name: such as normal2/from0 or layer3/operator. values: names of the alternatives, at least one.
    """

    name: str
    values: tuple[str, ...]


class Mixture(NamedTuple):
    """What a mixed node weighs.

    choice: index of the row of architecture parameters; several nodes may share it. alternatives: for each input of
    the node, the alternative that it is the output of. One that no input has outputs zeros.
    """

    choice: int
    alternatives: tuple[int, ...]


@dataclass(frozen=True)
class Relaxation:
    """A graph with mixed nodes.

    mixtures: of each node of `graph` whose operator is `MIXED`, by its index.
    """

    graph: Graph
    choices: tuple[Alternatives, ...]
    mixtures: Mapping[int, Mixture]

    def path(self, chosen: Sequence[int]) -> tuple[int, ...]:
        """Return the nodes, in order, that the output needs if each choice takes one alternative.

        chosen: the index of the alternative, for each choice.
        """
        nodes = self.graph.nodes
        needed = {len(nodes) - 1}
        for index in range(len(nodes) - 1, -1, -1):
            if index in needed:
                needed.update(source for _, source in self.inputs(index, chosen))
        return tuple(sorted(needed - {INPUT}))

    def inputs(self, index: int, chosen: Sequence[int] | None = None) -> list[tuple[int, int]]:
        """Return (alternative, input) of a node, of a mixed one only those of the chosen alternative if it is given.

        Of a node that is not mixed the alternative is 0.
        """
        node = self.graph.nodes[index]
        if index not in self.mixtures:
            return [(0, source) for source in node.inputs]
        mixture = self.mixtures[index]
        pairs = zip(mixture.alternatives, node.inputs, strict=True)
        return [pair for pair in pairs if chosen is None or pair[0] == chosen[mixture.choice]]


@dataclass
class RelaxationBuilder:
    """Collects mixed nodes beside the other nodes of a graph."""

    graph: GraphBuilder
    choices: tuple[Alternatives, ...]
    mixtures: dict[int, Mixture] = field(default_factory=dict)

    def mixed(self, choice: int, outputs: Mapping[int, int], layer: int) -> int:
        """Append the weighted sum of nodes and return its index. outputs: alternative -> its node; one size for all."""
        index = self.graph.add(MIXED, list(outputs.values()), layer=layer)
        self.mixtures[index] = Mixture(choice, tuple(outputs))
        return index

    def build(self) -> Relaxation:
        """Return the finished relaxation."""
        return Relaxation(self.graph.build(), self.choices, self.mixtures)
