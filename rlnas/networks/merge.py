"""Merge graphs into one: each distinct node once, in an order that keeps few outputs in memory. Torch-free.

Nodes with the same operator, weight key and inputs are the same node (structural hashing), so what two
architectures share is computed once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlnas.networks.graph import INPUT, Graph, Node


@dataclass(frozen=True)
class Merged:
    """Several graphs merged into one.

    graph: each distinct node of all graphs once. heads: for each graph, in the given order, the node with its class
    scores.
    """

    graph: Graph
    heads: tuple[int, ...]


def merge(graphs: Sequence[Graph]) -> Merged:
    """Return one graph that computes all of `graphs` (at least one, for images of one size).

    Graphs are added in lexicographic order of their nodes, so that graphs with a common beginning are adjacent and
    shared outputs are freed early.
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
    """Yield `graphs` in as few merged ones as `limit` allows, each with the positions of its members.

    limit: maximum number of values per image in memory at once (see `peak`). Graphs with a common beginning stay
    together; a graph that exceeds the limit by itself is still run, alone.
    """
    paths, _ = _distinct(graphs)
    left = sorted(range(len(graphs)), key=paths.__getitem__)
    while left:
        count = len(left)
        merged = merge([graphs[which] for which in left])
        if count > 1 and peak(merged.graph) > limit:
            low, high = 1, count  # `low` fits (or is 1), `high` does not; one more member hardly ever lowers the peak
            while high - low > 1:
                middle = (low + high) // 2
                fits = peak(merge([graphs[which] for which in left[:middle]]).graph) <= limit
                low, high = (middle, high) if fits else (low, middle)
            count = low
            merged = merge([graphs[which] for which in left[:count]])
        yield left[:count], merged
        left = left[count:]


def peak(graph: Graph) -> int:
    """Return the maximum number of values (channels x height x width) in memory at once for one image.

    Counts outputs that are still needed and, for the running node, its output twice: once for intermediate values
    of its stages.
    """
    sizes = [node.channels * node.size[0] * node.size[1] for node in graph.nodes]
    alive = highest = 0
    for size, spent in zip(sizes, graph.last_uses, strict=True):
        alive += size
        highest = max(highest, alive + size)
        alive -= sum(sizes[source] for source in spent)
    return highest


def _distinct(graphs: Sequence[Graph]) -> tuple[list[tuple[int, ...]], list[Node]]:
    """Return for each graph the numbers of its nodes in order, and the distinct nodes with inputs as numbers."""
    numbers: dict[tuple[Any, ...], int] = {}
    distinct: list[Node] = []
    paths = []
    for graph in graphs:
        path: list[int] = []
        for node in graph.nodes:
            inputs = tuple(INPUT if source == INPUT else path[source] for source in node.inputs)
            # not `layer`: it affects the drawing of a node only
            signature = (node.operator, node.key, inputs, node.channels, node.size, node.stride, node.own)
            number = numbers.setdefault(signature, len(distinct))
            if number == len(distinct):
                distinct.append(replace(node, inputs=inputs))
            path.append(number)
        paths.append(tuple(path))
    return paths, distinct
