"""A tree of linear splits of a space, fitted to scored architectures: the action space that LaNAS learns.

A node holds a region of the space, cut in two by a hyperplane in the space of encoded features; its first child is the
side with the higher mean. Regions are told apart by features alone, so they also hold architectures that nobody scored.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Split = tuple[Floats, float]  # direction (d,) and threshold: the second side is where inputs @ direction <= threshold
Splitter = Callable[[Floats, Floats, np.random.Generator], Split]  # of a node's inputs (n, d) and values (n,)

RIDGE = 1.0  # penalty of the regression, for inputs with a standard deviation of 1


@dataclass
class Node:
    """A region. split: None for a leaf. visits, total: number and sum of the values of the architectures inside."""

    split: Split | None = None
    children: "tuple[Node, Node] | None" = None
    visits: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float:
        """Mean value inside; infinite where nothing was scored, so that it is visited first."""
        return self.total / self.visits if self.visits else math.inf

    def sides(self, inputs: Floats) -> NDArray[np.bool_]:
        """Return which of these inputs (n, d) lie on the first side: (n,)."""
        assert self.split is not None
        direction, threshold = self.split
        first: NDArray[np.bool_] = inputs @ direction > threshold
        return first


Path = Sequence[tuple[Node, int]]  # the nodes from the root to a leaf's parent, and the child that is taken


def by_regression(inputs: Floats, values: Floats, rng: np.random.Generator) -> Split:
    """Split where a ridge regression predicts the node's mean value (Wang et al. 2019, section 3.2)."""
    centre = inputs.mean(axis=0)
    centred = inputs - centre
    if len(inputs) < inputs.shape[1]:  # the dual form solves the smaller system
        gram = centred @ centred.T + RIDGE * np.eye(len(inputs))
        direction = centred.T @ np.linalg.solve(gram, values - values.mean())
    else:
        gram = centred.T @ centred + RIDGE * np.eye(inputs.shape[1])
        direction = np.linalg.solve(gram, centred.T @ (values - values.mean()))
    return direction, float(centre @ direction)


def by_clusters(inputs: Floats, values: Floats, rng: np.random.Generator) -> Split:
    """Split by a linear SVM between two clusters of inputs and values (LA-MCTS, Wang et al. 2020, section 3.1)."""
    from sklearn.cluster import KMeans  # scikit-learn takes a second to import
    from sklearn.svm import SVC

    both = np.column_stack([inputs, values])
    clusters = KMeans(2, n_init=3, random_state=int(rng.integers(2**31))).fit_predict(both)
    if len(set(clusters.tolist())) < 2:
        return np.zeros(inputs.shape[1]), 0.0
    machine = SVC(kernel="linear").fit(inputs, clusters)
    return np.asarray(machine.coef_[0]), -float(machine.intercept_[0])


def at_random(inputs: Floats, values: Floats, rng: np.random.Generator) -> Split:
    """Split in halves in a random direction: the contrast, which knows nothing of the values."""
    direction = rng.standard_normal((inputs.shape[1],))
    projected = np.sort(inputs @ direction)
    half = len(inputs) // 2
    return direction, float(projected[half - 1 : half + 1].mean())  # between two, never on one


SPLITTERS: dict[str, Splitter] = {"regression": by_regression, "clusters": by_clusters, "random": at_random}


def grown(
    inputs: Floats, values: Floats, height: int, least: int, splitter: Splitter, rng: np.random.Generator
) -> Node:
    """Return a tree of at most `height` splits above a leaf; each leaf has at least `least` architectures.

    inputs: (n, d). values: (n,). Its counts are 0: see `count`.
    """
    node = Node()
    if height == 0 or len(inputs) < 2 * least or np.ptp(values) == 0:
        return node
    direction, threshold = splitter(inputs, values, rng)
    first = inputs @ direction > threshold
    if min(first.sum(), (~first).sum()) < least:
        return node
    if values[first].mean() < values[~first].mean():
        direction, threshold = -direction, -threshold
        first = inputs @ direction > threshold
    node.split = direction, threshold
    better, worse = (grown(inputs[side], values[side], height - 1, least, splitter, rng) for side in (first, ~first))
    node.children = better, worse
    return node


def count(node: Node, inputs: Floats, values: Floats) -> None:
    """Set visits and totals of the tree to those of these architectures: (n, d), (n,)."""
    node.visits, node.total = len(values), float(values.sum())
    if node.children is not None:
        first = node.sides(inputs)
        for child, side in zip(node.children, (first, ~first), strict=True):
            count(child, inputs[side], values[side])


def descend(root: Node, exploration: float) -> Path:
    """Return the path to the leaf that upper confidence bounds choose; of equal children the first.

    The bound of a child is its mean + 2 exploration sqrt(2 ln(visits of its parent) / its visits) (Wang et al. 2019,
    section 3.3). The path's nodes count as visited once more, with their mean as the value, so that the proposals of
    one batch spread.
    """
    path, node = [], root
    _visit(root)
    while node.children is not None:
        bounds = [_bound(child, node.visits, exploration) for child in node.children]
        side = int(bounds[1] > bounds[0])
        path.append((node, side))
        node = node.children[side]
        _visit(node)
    return path


def _visit(node: Node) -> None:
    if node.visits:
        node.total += node.mean
    node.visits += 1


def _bound(child: Node, visits: int, exploration: float) -> float:
    if not child.visits:
        return math.inf
    return child.mean + 2 * exploration * math.sqrt(2 * math.log(visits) / child.visits)


def depth(path: Path, inputs: Floats) -> NDArray[np.int64]:
    """Return how many splits of the path each input (n, d) follows before it leaves it: (n,); len(path) is inside."""
    inside = np.ones(len(inputs), dtype=bool)
    followed = np.zeros(len(inputs), dtype=np.int64)
    for node, side in path:
        inside &= node.sides(inputs) == (side == 0)
        followed += inside
    return followed
