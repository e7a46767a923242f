"""Motifs: small graphs with an optional label on each edge, from their first node to their last.

A motif of n nodes is a tuple of n(n-1)/2 labels in the order of `pairs`: 0 for no edge, k > 0 for the k-th thing that
an edge can be.
"""

from collections.abc import Sequence

from rlnas.errors import RlnasError

Edge = tuple[int, int]


def pairs(nodes: int) -> list[Edge]:
    """Return the edges (i, j), i < j, of the nodes 1..nodes: by target j, then by source i."""
    return [(i, j) for j in range(2, nodes + 1) for i in range(1, j)]


def edge_count(nodes: int) -> int:
    """Return the number of edges of a motif, n(n-1)/2."""
    return nodes * (nodes - 1) // 2


def effective(nodes: int, labels: Sequence[int], empty: Sequence[int] = ()) -> dict[Edge, int]:
    """Return the labels of the edges that lie on a path from the first node to the last, in the order of `pairs`.

    empty: labels that count as no edge. No edge at all is returned if no such path exists.
    """
    edges = {pair: label for pair, label in zip(pairs(nodes), labels, strict=True) if label and label not in empty}
    reached, leading = {1}, {nodes}
    for i, j in edges:  # by target, so that what leads to i is known
        if i in reached:
            reached.add(j)
    for i, j in sorted(edges, reverse=True):  # by source, the last first
        if j in leading:
            leading.add(i)
    return {(i, j): label for (i, j), label in edges.items() if i in reached and j in leading}


def to_text(nodes: int, labels: Sequence[int], names: Sequence[str]) -> str:
    """Return the edges with their names, `1-2:conv1x1 2-4:identity`; `none` if there are none."""
    words = [f"{i}-{j}:{names[label - 1]}" for (i, j), label in zip(pairs(nodes), labels, strict=True) if label]
    return " ".join(words) or "none"


def from_text(text: str, nodes: int, names: Sequence[str], place: str) -> tuple[int, ...]:
    """Return the labels of a text, the inverse of `to_text`. Raises RlnasError that names the `place` of the motif."""
    found: dict[Edge, int] = {}
    every = pairs(nodes)
    for word in [] if text.split() == ["none"] else text.split():
        ends, _, name = word.partition(":")
        source, _, target = ends.partition("-")
        edge = (int(source), int(target)) if source.isdecimal() and target.isdecimal() else (0, 0)
        if edge not in every:
            raise RlnasError(
                f"{place}, '{word}': expected an edge between two of the nodes 1 to {nodes}, the smaller first, and "
                f"what it is, such as 1-{nodes}:{names[0]}"
            )
        if name not in names:
            raise RlnasError(f"{place}, '{word}': '{name}' is unknown, expected one of {', '.join(names)}")
        if edge in found:
            raise RlnasError(f"{place}: edge {ends} is given twice")
        found[edge] = list(names).index(name) + 1
    if not text.split():
        raise RlnasError(f"{place} is empty, expected edges such as 1-{nodes}:{names[0]}, or none")
    return tuple(found.get(edge, 0) for edge in every)
