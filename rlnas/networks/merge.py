"""Many graphs as one: each distinct node once, in an order that keeps few outputs alive. Torch-free.

A node with the same operator, weight key and inputs is the same node (structural hashing), so what two
architectures have in common is computed once for both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlnas.networks.graph import INPUT, Graph, Node


@dataclass(frozen=True)
class Merged:
    """graph: the nodes of all graphs, each distinct one once. heads: for each of the graphs, in the order in
    which they were given, the node with its class scores.
    """

    graph: Graph
    heads: tuple[int, ...]


def merge(graphs: Sequence[Graph]) -> Merged:
    """One graph that computes all of `graphs` (at least one, for images of one size).

    They are taken in lexicographic order of their nodes, so that graphs which begin alike follow each
    other and what they share is soon needed no more.
    """
    if len(graphs) == 1:
        return Merged(graphs[0], (len(graphs[0].nodes) - 1,))
    paths, distinct = _distinct(graphs)
    place: dict[int, int] = {}  # number of a distinct node -> its index in the merged graph
    nodes: list[Node] = []
    for which in sorted(range(len(graphs)), key=paths.__getitem__):
        for number in paths[which]:
            if number not in place:
                node = distinct[number]
                inputs = tuple(INPUT if source == INPUT else place[source] for source in node.inputs)
                place[number] = len(nodes)
                nodes.append(replace(node, inputs=inputs))
    graph = Graph(tuple(nodes), graphs[0].channels, graphs[0].size)
    return Merged(graph, tuple(place[path[-1]] for path in paths))


def merge_within(graphs: Sequence[Graph], limit: int) -> Iterator[tuple[list[int], Merged]]:
    """All of `graphs` in as few merged ones as `limit` allows, each with the positions of its members.

    limit: most values per image that may be alive at once (see `peak`). Graphs with equal beginnings stay
    together; one that exceeds the limit by itself is run alone all the same.
    """
    paths, _ = _distinct(graphs)
    left = sorted(range(len(graphs)), key=paths.__getitem__)
    while left:
        count = len(left)
        merged = merge([graphs[which] for which in left])
        if count > 1 and peak(merged.graph) > limit:
            low, high = 1, count  # `low` fits (or must), `high` does not; a member more hardly ever lowers the peak
            while high - low > 1:
                middle = (low + high) // 2
                fits = peak(merge([graphs[which] for which in left[:middle]]).graph) <= limit
                low, high = (middle, high) if fits else (low, middle)
            count = low
            merged = merge([graphs[which] for which in left[:count]])
        yield left[:count], merged
        left = left[count:]


def peak(graph: Graph) -> int:
    """Most values (channels x height x width, summed) that are alive at once for one image while `graph` runs.

    Counts outputs that are still needed and, for the node that runs, as much again as its output for what
    lies between its stages.
    """
    sizes = [node.channels * node.size[0] * node.size[1] for node in graph.nodes]
    alive = highest = 0
    for size, spent in zip(sizes, graph.last_uses, strict=True):
        alive += size
        highest = max(highest, alive + size)
        alive -= sum(sizes[source] for source in spent)
    return highest


def _distinct(graphs: Sequence[Graph]) -> tuple[list[tuple[int, ...]], list[Node]]:
    """For each graph the numbers of its nodes in its order, and the distinct nodes, inputs as numbers."""
    numbers: dict[tuple[Any, ...], int] = {}
    distinct: list[Node] = []
    paths = []
    for graph in graphs:
        path: list[int] = []
        for node in graph.nodes:
            inputs = tuple(INPUT if source == INPUT else path[source] for source in node.inputs)
            # not `layer`: it says where a node is drawn, not what it computes
            signature = (node.operator, node.key, inputs, node.channels, node.size, node.stride, node.own)
            number = numbers.setdefault(signature, len(distinct))
            if number == len(distinct):
                distinct.append(replace(node, inputs=inputs))
            path.append(number)
        paths.append(tuple(path))
    return paths, distinct
