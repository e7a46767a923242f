"""The relaxation of a space of cells (Liu et al. 2019, DARTS, section 2), and its discretisation.

Every hidden node adds a mixture for each earlier node of the cell: all operators and `zero`, which outputs nothing. All
cells of a kind share the architecture parameters.
"""

from collections.abc import Sequence

from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph
from rlnas.networks.relaxation import Alternatives, Relaxation, RelaxationBuilder
from rlnas.spaces.cell_network import Network, Plan

ZERO = "zero"  # alternative 0 of every edge; operator i of the space is alternative i + 1
Row = Sequence[float]


def edges(nodes: int) -> list[tuple[int, int]]:
    """Return (hidden node, earlier node) of every edge of a cell of `nodes` hidden nodes, in order."""
    return [(number, source) for number in range(2, nodes + 2) for source in range(number)]


def cell_choices(kinds: Sequence[str], nodes: int, operators: Sequence[str]) -> tuple[Alternatives, ...]:
    """Return the choices: of each kind of cell, of each edge, `zero` and the operators."""
    values = (ZERO, *operators)
    every = edges(nodes)
    return tuple(Alternatives(f"{kind}{number}/from{source}", values) for kind in kinds for number, source in every)


def strongest_two(rows: Sequence[Row]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the two edges of a hidden node to keep, as (source, operator), the lower source first.

    rows: strengths of the alternatives of each edge, `zero` first. An edge is as strong as its strongest operator
    other than zero (DARTS, section 2.4). Of equal ones the first.
    """
    best = [max(range(len(row) - 1), key=row[1:].__getitem__) for row in rows]
    order = sorted(range(len(rows)), key=lambda source: -rows[source][1 + best[source]])
    low, high = sorted(order[:2])
    return (low, best[low]), (high, best[high])


def refuse(summarisations: Sequence[str], output: str) -> None:
    """Raise RlnasError for a space of cells without a relaxation."""
    if tuple(summarisations) != ("sum",):
        raise RlnasError(
            f"a space of cells has a relaxation only if its nodes add, but space.summarisations is "
            f"{list(summarisations)}; set space.summarisations=[sum]"
        )
    if output != "all":
        raise RlnasError(
            f"a space of cells has a relaxation only if every node is output, but space.output={output}: what is "
            "output would depend on the choice; set space.output=all"
        )


class RelaxedNetwork(Network):
    """The network of all cells at once, for square images. tied: both kinds of cells are one."""

    def __init__(
        self,
        operators: Sequence[str],
        choices: tuple[Alternatives, ...],
        nodes: int,
        plan: Plan,
        *,
        tied: bool,
        image_channels: int,
        image_size: int,
    ):
        super().__init__((), (), plan, image_channels, image_size)
        self.operators, self.nodes, self.tied = tuple(operators), nodes, tied
        self.relaxed = RelaxationBuilder(self.builder, choices)

    def relaxation(self, classes: int) -> Relaxation:
        """Return the relaxation: all cells, global pooling and a linear classifier."""
        graph: Graph = self.whole(classes)
        return Relaxation(graph, self.relaxed.choices, self.relaxed.mixtures)

    def _reads(self, place: int) -> set[int]:
        return set(range(self.nodes + 1))

    def _cell(self, place: int) -> dict[str, int]:
        """Add the relaxed cell at `place`; return its outputs by name."""
        kind, layer = self._kind(place), place + 1
        channels = self.plan.filters * 2 ** self.plan.level(place)
        every = edges(self.nodes)
        first = len(every) if kind == "reduce" and not self.tied else 0  # its choices come after the normal cell's
        nodes = {source: self._input(place, source, channels) for source in (0, 1)}
        mixed: dict[int, list[int]] = {}
        for choice, (number, source) in enumerate(every, first):
            if source == 0 and number > 2:
                nodes[number - 1] = self.builder.add("sum", mixed[number - 1], layer=layer)
            outputs = {
                alternative: self._operator(place, number, source, nodes[source], operator)
                for alternative, operator in enumerate(self.operators, 1)
            }
            mixed.setdefault(number, []).append(self.relaxed.mixed(choice, outputs, layer))
        last = self.nodes + 1
        nodes[last] = self.builder.add("sum", mixed[last], layer=layer)
        return {str(number): nodes[number] for number in range(2, last + 1)}
