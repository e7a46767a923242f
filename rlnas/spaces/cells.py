"""Spaces of cells (Zoph et al. 2018, NASNet; Liu et al. 2018, PNAS; Real et al. 2019; Liu et al. 2019, DARTS).

A cell has two inputs and N hidden nodes. A hidden node is connected to two nodes with smaller numbers, applies one of
C1 operators to each and joins the results by one of C2 summarisations: (C1^2 C2)^N * C(2,2) C(3,2) ... C(N+1,2) cells.
An architecture is a normal and a reduction cell, so the square of it, or one cell for both.
"""

import re
from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph
from rlnas.networks.relaxation import Relaxation
from rlnas.spaces.cell_network import (
    CHOOSABLE,
    SUMMARISATIONS,
    Cell,
    HiddenNode,
    Network,
    Plan,
    loose,
    network_operator,
)
from rlnas.spaces.cell_relaxation import RelaxedNetwork, cell_choices, edges, refuse, strongest_two
from rlnas.spaces.diagram import Arrow, Box, Diagram
from rlnas.spaces.growable import GrowableSpace
from rlnas.spaces.independent import Decisions

_WORD = re.compile(r"(\d+)\.(\w+)\+(\d+)\.(\w+)(?:=(\w+))?")

# Published cells, and the output that they were published with.
PUBLISHED = {
    "darts_v2": (
        "all",
        "normal: 0.sep_conv3x3+1.sep_conv3x3 0.sep_conv3x3+1.sep_conv3x3 0.identity+1.sep_conv3x3 "
        "0.identity+2.dil_conv3x3 | reduce: 0.max_pool3x3+1.max_pool3x3 1.max_pool3x3+2.identity "
        "0.max_pool3x3+2.identity 1.max_pool3x3+2.identity",
    ),
    "nasnet_a": (
        "loose",
        "normal: 0.sep_conv3x3+1.sep_conv5x5 0.sep_conv5x5+0.sep_conv3x3 0.identity+1.avg_pool3x3 "
        "0.avg_pool3x3+0.avg_pool3x3 1.sep_conv3x3+1.identity | reduce: 0.sep_conv7x7+1.sep_conv5x5 "
        "0.sep_conv7x7+1.max_pool3x3 0.sep_conv5x5+1.avg_pool3x3 2.avg_pool3x3+3.identity 1.max_pool3x3+2.sep_conv3x3",
    ),
    "amoebanet_a": (
        "loose",
        "normal: 0.avg_pool3x3+1.max_pool3x3 0.sep_conv3x3+2.sep_conv5x5 0.sep_conv3x3+3.avg_pool3x3 "
        "1.sep_conv3x3+1.identity 0.identity+1.avg_pool3x3 | reduce: 0.avg_pool3x3+1.sep_conv3x3 "
        "0.max_pool3x3+2.sep_conv7x7 0.sep_conv7x7+1.avg_pool3x3 0.max_pool3x3+1.max_pool3x3 "
        "0.conv1x7_7x1+5.sep_conv3x3",
    ),
}


def predecessor_pairs(nodes: int, pairs: str) -> list[tuple[int, int]]:
    """Return the pairs of `nodes` predecessors, the lower number first: those of fewer predecessors come first.

    pairs: `distinct` or `any`, which includes the same one twice.
    """
    last = 0 if pairs == "distinct" else 1
    return [(low, high) for high in range(nodes) for low in range(high + last)]


class CellSpace(GrowableSpace):
    """One or two cells of N hidden nodes, stacked to a network.

    A step is a hidden node, of the normal cell first; its components are the pair of predecessors, the operator on the
    lower one and on the higher one, and the summarisation. The text form has one word a node, such as
    `0.sep_conv3x3+2.identity=sum`: `normal: WORD WORD | reduce: WORD WORD`, or `cell: WORD WORD` for one cell. Nodes 0
    and 1 are the inputs, the outputs of the cell before last and of the last; 2 is the first hidden node. With one
    summarisation in the space, the text leaves it out.

    operators, summarisations: those to choose from. nodes: N >= 1. output: hidden nodes whose outputs are concatenated
    to the cell's, `all` (the survey, DARTS) or `loose`, those that no other node reads (NASNet). pairs: `distinct`
    predecessors, or `any`, also the same twice (NASNet-A and AmoebaNet-A have such nodes); then a node that applies two
    operators to one predecessor counts twice, once for each order. tied: one cell is both the normal and the reduction
    cell (PNAS). cells: in the network. filters: channels of a hidden node before the first reduction, doubled by each.
    reductions: number of reduction cells; two lie after a third and two thirds of the cells. stem_multiplier: channels
    of the stem in units of `filters`. stem_stride: 1 keeps the resolution.
    """

    builds_networks = True
    unit, option = "hidden nodes", "nodes"

    def __init__(
        self,
        operators: Sequence[str],
        summarisations: Sequence[str],
        *,
        nodes: int,
        output: str,
        pairs: str,
        tied: bool,
        cells: int,
        filters: int,
        reductions: int,
        stem_multiplier: int,
        stem_stride: int,
    ):
        _check(operators, summarisations, nodes, pairs)
        self.operators, self.summarisations = tuple(operators), tuple(summarisations)
        self.nodes, self.output, self.pairs, self.tied = nodes, output, pairs, tied
        self.cells, self.filters, self.reductions = cells, filters, reductions
        self.stem_multiplier, self.stem_stride = stem_multiplier, stem_stride
        self.plan = Plan(cells, filters, reductions, stem_multiplier, stem_stride, output)
        self.has_bypass = set(self.summarisations) != {"product"}
        self.predecessors = predecessor_pairs(nodes + 1, pairs)
        self.kinds = ("cell",) if tied else ("normal", "reduce")
        nvec = (len(self.predecessors), len(self.operators), len(self.operators), len(self.summarisations))
        steps = [len(predecessor_pairs(number, pairs)) for number in range(2, nodes + 2)] * len(self.kinds)
        choices = [count for pairs_here in steps for count in (pairs_here, *nvec[1:])]
        super().__init__(choices, nvec=nvec, layout=[range(4)] * len(steps))

    @property
    def depth(self) -> int:
        """The number of hidden nodes of a cell."""
        return self.nodes

    @property
    def step_units(self) -> tuple[int, ...]:
        """A step is a hidden node; all cells have as many."""
        return tuple(range(self.nodes)) * len(self.kinds)

    def depth_of(self, text: str) -> int:
        """Return the number of words of the first cell."""
        return len(text.partition("|")[0].rpartition(":")[2].split())

    # -- cells and texts -----------------------------------------------------------------------------

    def cells_of(self, architecture: Sequence[int]) -> tuple[Cell, ...]:
        """Return the normal and the reduction cell, or the one cell that is both."""
        values = self.check(architecture)
        found = [self._node(values[start : start + 4]) for start in range(0, len(values), 4)]
        return tuple(tuple(found[start : start + self.nodes]) for start in range(0, len(found), self.nodes))

    def _node(self, values: Sequence[int]) -> HiddenNode:
        pair, first, second, joined = values
        operators = (self.operators[first], self.operators[second])
        return HiddenNode(self.predecessors[pair], operators, self.summarisations[joined])

    def text(self, architecture: Sequence[int]) -> str:
        """Return one word a hidden node: `normal: 0.identity+1.sep_conv3x3=sum ... | reduce: ...`."""
        parts = zip(self.kinds, self.cells_of(architecture), strict=True)
        return " | ".join(f"{kind}: {' '.join(map(self._word, cell))}" for kind, cell in parts)

    def _word(self, node: HiddenNode) -> str:
        joined = f"={node.summarisation}" if len(self.summarisations) > 1 else ""
        return "+".join(f"{source}.{name}" for source, name in zip(node.sources, node.operators, strict=True)) + joined

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text form, with the predecessors of a node in any order.

        Raises RlnasError that says which node is wrong.
        """
        parts = text.split("|")
        names = [part.partition(":")[0].strip() for part in parts]
        if tuple(names) != self.kinds or not all(":" in part for part in parts):
            form = " | ".join(f"{kind}: NODE NODE ..." for kind in self.kinds)
            raise RlnasError(f"expected '{form}', got '{text}'")
        values: list[int] = []
        for kind, part in zip(self.kinds, parts, strict=True):
            words = part.partition(":")[2].split()
            if len(words) != self.nodes:
                raise RlnasError(f"{kind}: expected {self.nodes} hidden nodes separated by spaces, got {len(words)}")
            for number, word in enumerate(words, 2):
                values += self._parsed(word, number, f"{kind}, node {number}, '{word}'")
        return self.check(values)

    def _parsed(self, word: str, number: int, where: str) -> tuple[int, ...]:
        """Return the decisions of a node. number: its own, above those it may read. where: for errors."""
        match = _WORD.fullmatch(word)
        if match is None:
            end = f"={self.summarisations[0]}" if len(self.summarisations) > 1 else ""
            raise RlnasError(f"{where}: expected a word like 0.{self.operators[0]}+1.{self.operators[0]}{end}")
        ends = sorted([(int(match[1]), match[2]), (int(match[3]), match[4])], key=lambda end: end[0])
        for source, operator in ends:
            if source >= number:
                raise RlnasError(f"{where}: a predecessor must be 0 to {number - 1}, got {source}")
            if operator not in self.operators:
                raise RlnasError(f"{where}: unknown operator '{operator}'; this space has {', '.join(self.operators)}")
        pair = (ends[0][0], ends[1][0])
        if pair not in self.predecessors:
            raise RlnasError(f"{where}: the two predecessors must differ, unless space.pairs=any")
        known = ", ".join(self.summarisations)
        if match[5] is None and len(self.summarisations) > 1:
            raise RlnasError(f"{where}: expected =SUMMARISATION at the end, one of {known}")
        joined = match[5] or self.summarisations[0]
        if joined not in self.summarisations:
            raise RlnasError(f"{where}: unknown summarisation '{joined}'; this space has {known}")
        operators = (self.operators.index(operator) for _, operator in ends)
        return (self.predecessors.index(pair), *operators, self.summarisations.index(joined))

    # -- descriptions --------------------------------------------------------------------------------

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return normal2/inputs ("0+1"), normal2a/operator, normal2b/operator and normal2/summarisation, with a choice.

        2 is the number of the hidden node, a its lower predecessor and b the higher one.
        """
        found: dict[str, str | float] = {}
        for kind, cell in zip(self.kinds, self.cells_of(architecture), strict=True):
            for number, node in enumerate(cell, 2):
                place = f"{kind}{number}"
                if number > 2 or self.pairs == "any":
                    found[f"{place}/inputs"] = _pair_name(node.sources)
                for side, operator in zip("ab", node.operators, strict=True):
                    found[f"{place}{side}/operator"] = operator
                if len(self.summarisations) > 1:
                    found[f"{place}/summarisation"] = node.summarisation
        return found

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return the operators or summarisations in configuration order, or the pairs of predecessors."""
        values: dict[str, tuple[str, ...]] = {
            "operator": self.operators,
            "summarisation": self.summarisations,
            "inputs": tuple(map(_pair_name, self.predecessors)),
        }
        return values.get(factor)

    def references(self) -> dict[str, Decisions]:
        """Return published cells that are in this space with their own rule of outputs, then simple ones.

        separable: every node applies a separable convolution (sep_conv3x3, else the first of its kind, else the first
        convolution) to both inputs and adds. residual: every node adds that of its last predecessor to the predecessor.
        """
        found: dict[str, Decisions] = {}
        texts = {name: text for name, (output, text) in PUBLISHED.items() if output == self.output and not self.tied}
        convolution = next(
            (
                name
                for front in ("sep_conv3x3", "sep", "dil", "conv")
                for name in self.operators
                if name[: len(front)] == front
            ),
            None,
        )
        if convolution:
            joined = f"={self.summarisations[0]}" if "sum" not in self.summarisations else "=sum"
            rows = {"separable": [f"0.{convolution}+1.{convolution}{joined}"] * self.nodes}
            chain = [f"{number - 2}.identity+{number - 1}.{convolution}{joined}" for number in range(2, self.nodes + 2)]
            rows["residual"] = chain
            texts |= {name: " | ".join(f"{kind}: {' '.join(row)}" for kind in self.kinds) for name, row in rows.items()}
        for name, text in texts.items():
            try:
                architecture = self.parse(text)
            except RlnasError:  # another number of nodes, or an operator that the space has not
                continue
            if architecture not in found.values():
                found[name] = architecture
        return found

    def diagrams(self, architecture: Sequence[int]) -> tuple[Diagram, ...]:
        """Return a drawing of each cell: its inputs, hidden nodes, output; an arrow is an operator."""
        titles = {"cell": "cell", "normal": "normal cell", "reduce": "reduction cell"}
        return tuple(
            self._diagram(titles[kind], cell)
            for kind, cell in zip(self.kinds, self.cells_of(architecture), strict=True)
        )

    def _diagram(self, title: str, cell: Cell) -> Diagram:
        boxes = [Box("0", "0: the cell before last"), Box("1", "1: the last cell")]
        arrows = []
        for number, node in enumerate(cell, 2):
            boxes.append(Box(str(number), f"{number}: {node.summarisation}"))
            for source, operator in zip(node.sources, node.operators, strict=True):
                arrows.append(Arrow(str(source), str(number), operator, operator))
        ends = range(2, len(cell) + 2) if self.output == "all" else loose(cell)
        boxes.append(Box("output", "output: concat"))
        arrows += [Arrow(str(number), "output") for number in ends]
        return Diagram(title, tuple(boxes), tuple(arrows))

    # -- networks ------------------------------------------------------------------------------------

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return stem, cells and head. Weight keys name the cell, the hidden node, the predecessor and the operator.

        Raises RlnasError for images too small for the reductions.
        """
        return self._network(architecture, image_channels, image_size).whole(classes)

    def auxiliary(
        self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int
    ) -> Graph | None:
        """Return the network up to the last reduction cell with a classifier of its own.

        None for fewer than three cells, or where the last reduction cell's output is one pixel wide.
        """
        return self._network(architecture, image_channels, image_size).auxiliary(classes)

    # -- relaxation ----------------------------------------------------------------------------------

    def relaxation(self, *, image_channels: int, image_size: int, classes: int) -> Relaxation:
        """Return the network of all cells; see rlnas.spaces.cell_relaxation.

        Raises RlnasError for summarisations other than the sum alone, and for output=loose.
        """
        refuse(self.summarisations, self.output)
        choices = cell_choices(self.kinds, self.nodes, self.operators)
        network = RelaxedNetwork(
            self.operators,
            choices,
            self.nodes,
            self.plan,
            tied=self.tied,
            image_channels=image_channels,
            image_size=image_size,
        )
        return network.relaxation(classes)

    def discretised(self, strengths: Sequence[Sequence[float]]) -> Decisions:
        """Return the cells of the two strongest edges of each node, each with its strongest operator; never zero."""
        values: list[int] = []
        rows = iter(strengths)
        for _ in self.kinds:
            of_node: dict[int, list[Sequence[float]]] = {}
            for number, _ in edges(self.nodes):
                of_node.setdefault(number, []).append(next(rows))
            for found in of_node.values():
                (low, first), (high, second) = strongest_two(found)
                values += [self.predecessors.index((low, high)), first, second, 0]
        return self.check(values)

    def identities(self, architecture: Sequence[int]) -> int:
        """Return the number of identities in the normal cell (Liang et al. 2019, DARTS+, section 3.2)."""
        return sum(operator == "identity" for node in self.cells_of(architecture)[0] for operator in node.operators)

    def _network(self, architecture: Sequence[int], image_channels: int, image_size: int) -> Network:
        cells = self.cells_of(architecture)
        return Network(cells[0], cells[-1], self.plan, image_channels, image_size)


def _pair_name(pair: tuple[int, int]) -> str:
    return f"{pair[0]}+{pair[1]}"


def _check(operators: Sequence[str], summarisations: Sequence[str], nodes: int, pairs: str) -> None:
    """Raise RlnasError for options that do not make a space."""
    for key, values, known in (
        ("operators", operators, CHOOSABLE),
        ("summarisations", summarisations, ", ".join(SUMMARISATIONS)),
    ):
        if not values:
            raise RlnasError(f"space.{key} is empty, expected at least one; choose from {known}")
        repeated = sorted({name for name in values if list(values).count(name) > 1})
        if repeated:
            raise RlnasError(f"space.{key} names {', '.join(repeated)} more than once; list each once")
    for operator in operators:
        network_operator(operator, stride=1)
    for name in summarisations:
        if name not in SUMMARISATIONS:
            raise RlnasError(
                f"unknown summarisation '{name}' in space.summarisations; expected {', '.join(SUMMARISATIONS)}"
            )
    if nodes < 1:
        raise RlnasError(f"space.nodes is {nodes}, expected at least 1: a cell without hidden nodes has no output")
    if pairs not in ("distinct", "any"):
        raise RlnasError(f"space.pairs is '{pairs}', expected distinct or any")
