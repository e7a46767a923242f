"""Places for the boxes of a directed acyclic graph, layer by layer from top to bottom (Sugiyama et al. 1981).

Layers by longest path, an order within layers by the means of neighbours, then horizontal places that keep the order.
Deterministic: equal graphs have equal places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 12


@dataclass(frozen=True)
class Placed:
    """Where everything is, in px.

    centres: (x, y) of each node. routes: for each edge, the points (x, y) from node to node.
    """

    centres: tuple[tuple[float, float], ...]
    routes: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


def place(
    widths: Sequence[float],
    heights: Sequence[float],
    edges: Sequence[tuple[int, int]],
    *,
    across: float,
    down: float,
    near: Sequence[int] = (),
) -> Placed:
    """Return places for nodes of these widths and heights, in px, numbered in topological order.

    edges: (from, to), from < to. across, down: gaps between neighbours and between layers. near: nodes that belong
    directly above what they lead to, such as the operator of an edge.
    """
    layers = _layers(len(widths), edges, set(near))
    # an edge over several layers passes through a point in each layer between
    chains: list[list[int]] = []
    all_widths, layer_of = list(widths), list(layers)
    for source, target in edges:
        chain = [source]
        for layer in range(layers[source] + 1, layers[target]):
            chain.append(len(all_widths))
            all_widths.append(10.0)
            layer_of.append(layer)
        chains.append([*chain, target])
    above: list[list[int]] = [[] for _ in all_widths]
    below: list[list[int]] = [[] for _ in all_widths]
    for chain in chains:
        for source, target in pairwise(chain):
            below[source].append(target)
            above[target].append(source)
    rows = _ordered(layer_of, above, below)
    x = _spread(rows, all_widths, above, below, across)
    tall = [max([heights[node] for node in row if node < len(heights)], default=0.0) for row in rows]
    tops, y = [], 0.0
    for height in tall:
        tops.append(y + height / 2)
        y += height + down
    points = [(x[node], tops[layer_of[node]]) for node in range(len(all_widths))]
    return Placed(
        tuple(points[: len(widths)]),
        tuple(tuple(points[node] for node in chain) for chain in chains),
        max((x[node] + all_widths[node] / 2 for node in range(len(all_widths))), default=0.0),
        y - down if rows else 0.0,
    )


def _layers(count: int, edges: Sequence[tuple[int, int]], near: set[int]) -> list[int]:
    """Return each node's layer: its longest path from a source; of nodes in `near` the one above their target."""
    layers = [0] * count
    for target in range(count):
        layers[target] = max((layers[source] + 1 for source, end in edges if end == target), default=0)
    for node in reversed(range(count)):
        if node in near:
            layers[node] = max(layers[node], min((layers[end] - 1 for source, end in edges if source == node)))
    return layers


def _ordered(
    layer_of: Sequence[int], above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Return the nodes of each layer from left to right, with few crossings."""
    rows: list[list[int]] = [[] for _ in range(max(layer_of, default=-1) + 1)]
    for node, layer in enumerate(layer_of):
        rows[layer].append(node)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for row in rows if forth else reversed(rows):
            neighbours = above if forth else below
            places = {node: spot for other in rows for spot, node in enumerate(other)}
            means = {node: _mean([places[one] for one in neighbours[node]], places[node]) for node in row}
            row.sort(key=lambda node: (means[node], places[node]))
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    found = 0
    for upper, lower in pairwise(rows):
        spot = {node: place for place, node in enumerate(lower)}
        ends = [spot[end] for node in upper for end in sorted(below[node], key=lambda one: spot[one])]
        found += sum(ends[j] < ends[i] for i in range(len(ends)) for j in range(i + 1, len(ends)))
    return found


def _spread(
    rows: Sequence[Sequence[int]],
    widths: Sequence[float],
    above: Sequence[Sequence[int]],
    below: Sequence[Sequence[int]],
    across: float,
) -> list[float]:
    """Return the horizontal centre of each node: near the mean of its neighbours, without overlap."""
    x = [0.0] * len(widths)
    for row in rows:
        right = 0.0
        for node in row:
            x[node] = right + widths[node] / 2
            right += widths[node] + across
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for row in rows if forth else reversed(rows):
            wanted = [_mean([x[one] for one in (above if forth else below)[node]], x[node]) for node in row]
            for node, spot in zip(row, _apart(row, wanted, widths, across), strict=True):
                x[node] = spot
    left = min((x[node] - widths[node] / 2 for node in range(len(widths))), default=0.0)
    return [spot - left for spot in x]


def _apart(row: Sequence[int], wanted: Sequence[float], widths: Sequence[float], across: float) -> list[float]:
    """Return places in this order, without overlap, with the least squared distance from the wanted ones.

    With the room of the earlier ones subtracted, "without overlap" is "not decreasing": pools of violators.
    """
    offsets, room = [], 0.0
    for place, node in enumerate(row):
        if place:
            room += (widths[row[place - 1]] + widths[node]) / 2 + across
        offsets.append(room)
    pools: list[tuple[float, int]] = []  # mean, members
    for target, offset in zip(wanted, offsets, strict=True):
        mean, members = target - offset, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, members = (other * count + mean * members) / (count + members), count + members
        pools.append((mean, members))
    flat = [mean for mean, members in pools for _ in range(members)]
    return [spot + offset for spot, offset in zip(flat, offsets, strict=True)]
