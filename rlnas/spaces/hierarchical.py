"""The space of hierarchical representations (Liu et al. 2018, sections 2 and 4): primitives, motifs, a cell."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlnas.config.spaces import HierarchicalConfig
from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.networks.operators import stages
from rlnas.spaces.diagram import Arrow, Box, Diagram
from rlnas.spaces.independent import Decisions, IndependentSpace
from rlnas.spaces.motifs import Edge, edge_count, effective, from_text, pairs, to_text
from rlnas.spaces.resolution import check_reducible

DEFAULTS = HierarchicalConfig()
CHOOSABLE = "conv1x1, conv3x3, depthwise3x3, sep_conv3x3, max_pool3x3, avg_pool3x3, identity, ..."


class Levels(NamedTuple):
    """An architecture by levels: labels of the edges of each motif, and of the cell, as in rlnas.spaces.motifs."""

    motifs: tuple[tuple[int, ...], ...]
    cell: tuple[int, ...]


class HierarchicalSpace(IndependentSpace):
    """Motifs, whose edges are primitives, are the edges of a cell, which is stacked.

    primitives: level 1, P names. motifs: number M of level-2 motifs. motif_nodes, cell_nodes: nodes of each motif and
    of the cell (level 3); n nodes have E(n) = n(n-1)/2 edges. An edge of a motif is one of the primitives or none, one
    of the cell a motif or none: (P+1)^(M E(motif_nodes)) * (M+1)^E(cell_nodes) architectures, with the paper's
    settings 7^36 * 7^10. A node adds up what its edges bring.

    cells: number of cells in a row at each resolution. filters: channels of the stem and the first cells. reductions:
    separable 3x3 convolutions of stride 2 between the rows. widen: factor on the channels at each. stem_stride: stride
    of the stem, a 3x3 convolution.

    What does not lie on a path from the first node to the last is left out, as in a cell that is built backwards from
    its output. A motif without such a path counts as none, and a cell without one is the identity. So every
    architecture is legal.

    Deviations: inputs of a node are added, not concatenated, so that all maps have as many channels and a weight
    means the same in all architectures (section 2 names addition as the alternative). Sums of sums can be large, so
    that batch normalisation follows each cell.

    The first `motifs` steps choose the edges of one motif each; the further ones as many edges of the cell each, from
    the first on. The text lists the edges of each motif and then of the cell: `1-2:sep_conv3x3 2-4:identity | none |
    1-2:m1 2-5:m1` with two motifs.

    A weight belongs to a place: cell, edge of the cell, edge of the motif there, and primitive. Two architectures
    share it if both have this primitive there, whatever the number of the motif. Drop path drops the outputs of
    operators that are added to the output of an identity edge.
    """

    name = "hierarchical"
    builds_networks = True

    def __init__(
        self,
        primitives: Sequence[str] = tuple(DEFAULTS.primitives),
        motifs: int = DEFAULTS.motifs,
        motif_nodes: int = DEFAULTS.motif_nodes,
        cell_nodes: int = DEFAULTS.cell_nodes,
        cells: int = DEFAULTS.cells,
        filters: int = DEFAULTS.filters,
        reductions: int = DEFAULTS.reductions,
        widen: int = DEFAULTS.widen,
        stem_stride: int = DEFAULTS.stem_stride,
    ):
        self.primitives = tuple(primitives)
        _check_primitives(self.primitives)
        self.has_bypass = "identity" in self.primitives
        self.motifs = motifs
        self.motif_nodes = motif_nodes
        self.cell_nodes = cell_nodes
        self.cells = cells
        self.filters = filters
        self.reductions = reductions
        self.widen = widen
        self.stem_stride = stem_stride
        self.names = tuple(f"m{number}" for number in range(1, motifs + 1))
        width, rest = edge_count(motif_nodes), edge_count(cell_nodes)
        rows = [range(min(width, rest - start)) for start in range(0, rest, width)]
        super().__init__(
            choices=(len(self.primitives) + 1,) * (motifs * width) + (motifs + 1,) * rest,
            nvec=(max(len(self.primitives), motifs) + 1,) * width,
            layout=[range(width)] * motifs + rows,
        )

    def split(self, architecture: Sequence[int]) -> Levels:
        """Return the labels of the edges of motifs and cell."""
        values, width = self.check(architecture), edge_count(self.motif_nodes)
        starts = range(0, self.motifs * width, width)
        return Levels(tuple(values[start : start + width] for start in starts), values[self.motifs * width :])

    def used(self, architecture: Sequence[int]) -> tuple[dict[Edge, int], dict[int, dict[Edge, int]]]:
        """Return the edges of the cell that count, with the numbers of their motifs from 1, and those of each such
        motif, with the numbers of their primitives from 1.
        """
        levels = self.split(architecture)
        inner = {number: effective(self.motif_nodes, labels) for number, labels in enumerate(levels.motifs, 1)}
        empty = [number for number, edges in inner.items() if not edges]
        cell = effective(self.cell_nodes, levels.cell, empty)
        return cell, {number: inner[number] for number in sorted(set(cell.values()))}

    # -- forms ---------------------------------------------------------------------------------------

    def text(self, architecture: Sequence[int]) -> str:
        """Return the edges of each motif and of the cell: `1-2:sep_conv3x3 2-4:identity | none | 1-2:m1 2-5:m1`."""
        levels = self.split(architecture)
        words = [to_text(self.motif_nodes, labels, self.primitives) for labels in levels.motifs]
        return " | ".join([*words, to_text(self.cell_nodes, levels.cell, self.names)])

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text form; RlnasError says which edge is wrong."""
        *motifs, cell = text.split("|")
        if len(motifs) != self.motifs:
            raise RlnasError(
                f"expected {self.motifs} motifs and the cell separated by |, got {len(motifs) + 1} parts: '{text}'"
            )
        found: list[int] = []
        for number, part in enumerate(motifs, 1):
            found += from_text(part, self.motif_nodes, self.primitives, f"motif {number}")
        return (*found, *from_text(cell, self.cell_nodes, self.names, "the cell"))

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return cell1-2.motif1-4/operator, the primitive at each place of the cell or none; size, the number of
        operators in a cell; depth, the most operators on a path through it, without identities.
        """
        cell, inner = self.used(architecture)
        found: dict[str, str | float] = {}
        depths = {
            number: _longest(edges, lambda label: self.primitives[label - 1] != "identity")
            for number, edges in inner.items()
        }
        for outer in pairs(self.cell_nodes):
            edges = inner[cell[outer]] if outer in cell else {}
            for edge in pairs(self.motif_nodes):
                name = self.primitives[edges[edge] - 1] if edge in edges else "none"
                found[f"cell{outer[0]}-{outer[1]}.motif{edge[0]}-{edge[1]}/operator"] = name
        found["size"] = float(sum(len(inner[number]) for number in cell.values()))
        found["depth"] = float(_longest(cell, depths.__getitem__))
        return found

    def feature_values(self, factor: str) -> tuple[str, ...] | None:
        """Return none and the primitives in configuration order."""
        return ("none", *self.primitives) if factor == "operator" else None

    def references(self) -> dict[str, Decisions]:
        """Return cells of one motif, a chain of separable convolutions (or of the first convolution there is).

        residual_chain: a chain of motifs, in each of which an identity edge bypasses the convolutions. plain_chain: the
        same without it. block: one residual motif is the cell. Equal ones are named once.
        """
        ranked = sorted(self.primitives, key=lambda name: name != "sep_conv3x3")
        chosen = next((name for name in ranked if "conv" in name), None)
        if chosen is None:
            return {}
        steps = [(node, node + 1) for node in range(1, self.motif_nodes)]
        plain = dict.fromkeys(steps, self.primitives.index(chosen) + 1)
        bypass = {(1, self.motif_nodes): self.primitives.index("identity") + 1} if self.has_bypass else {}
        residual = {**bypass, **plain}
        chain = [(node, node + 1) for node in range(1, self.cell_nodes)]
        found: dict[str, Decisions] = {}
        for name, motif, cell in (
            ("residual_chain", residual, chain),
            ("plain_chain", plain, chain),
            ("block", residual, [(1, self.cell_nodes)]),
        ):
            if name == "residual_chain" and residual == plain:
                continue
            labels = [motif.get(edge, 0) for edge in pairs(self.motif_nodes)]
            rest = [0] * (len(labels) * (self.motifs - 1))
            made = (*labels, *rest, *(int(edge in cell) for edge in pairs(self.cell_nodes)))
            if made not in found.values():
                found[name] = made
        return found

    def diagrams(self, architecture: Sequence[int]) -> tuple[Diagram, ...]:
        """Return a diagram of the cell, whose arrows are motifs, and one of each of these, whose arrows are primitives.

        Without what is left out of the network.
        """
        cell, inner = self.used(architecture)
        drawn = [_diagram("cell", self.cell_nodes, cell, self.names)]
        drawn += [
            _diagram(f"motif {self.names[number - 1]}", self.motif_nodes, edges, self.primitives)
            for number, edges in inner.items()
        ]
        return tuple(drawn)

    # -- networks ------------------------------------------------------------------------------------

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return stem, cells, reductions and head. Weight keys: cell, edge of the cell, edge of the motif, primitive.

        Raises RlnasError if the images are too small for the number of reductions.
        """
        builder = GraphBuilder(image_channels, (image_size, image_size))
        node = builder.add(
            "stem", [INPUT], channels=self.filters, key="stem", stride=(self.stem_stride, self.stem_stride)
        )
        used, layer = self.used(architecture), 0
        for level in range(self.reductions + 1):
            if level:
                layer += 1
                after = f"cell {level * self.cells}"
                check_reducible(builder.output_size(node), after, image_size, "a smaller space.reductions")
                node = builder.add(
                    "plain_sep_conv3x3",
                    [node],
                    channels=self.filters * self.widen**level,
                    key=f"reduce{level}",
                    stride=(2, 2),
                    layer=layer,
                )
            for number in range(level * self.cells + 1, (level + 1) * self.cells + 1):
                layer += 1
                node = self._cell(builder, node, used, f"cell{number}", layer)
        builder.add("head", [node], channels=classes, key="head")
        return builder.build()

    def _cell(
        self,
        builder: GraphBuilder,
        source: int,
        used: tuple[dict[Edge, int], dict[int, dict[Edge, int]]],
        name: str,
        layer: int,
    ) -> int:
        """Append a cell that reads graph node `source`; return the graph node of its output."""
        cell, inner = used

        def primitive(start: int, label: int, key: str) -> int:
            operator = self.primitives[label - 1]
            if operator == "identity":
                return start
            return builder.add(f"plain_{operator}", [start], key=f"{key}/{operator}", layer=layer)

        def motif(start: int, label: int, key: str) -> int:
            return _assemble(builder, start, self.motif_nodes, inner[label], primitive, key, layer)

        output = _assemble(builder, source, self.cell_nodes, cell, motif, name, layer)
        return builder.add("norm", [output], key=f"{name}/norm", layer=layer)


def _assemble(
    builder: GraphBuilder,
    source: int,
    nodes: int,
    edges: dict[Edge, int],
    apply: Callable[[int, int, str], int],
    name: str,
    layer: int,
) -> int:
    """Append a motif or a cell that reads graph node `source`; return the graph node of its output.

    apply: appends what an edge is: (graph node that it reads, label, key) -> graph node of its output.
    """
    outputs = {1: source}
    for node in range(2, nodes + 1):
        into = [(i, label) for (i, j), label in edges.items() if j == node]
        if not into:
            continue
        made = [apply(outputs[i], label, f"{name}/{i}-{node}") for i, label in into]
        if len(made) == 1:
            outputs[node] = made[0]
            continue
        operated = tuple(place for place, (i, _) in enumerate(into) if made[place] != outputs[i])
        own = operated if len(operated) < len(made) else ()  # bypassed by an identity
        outputs[node] = builder.add("sum", made, layer=layer, own=own)
    return outputs.get(nodes, source)


def _longest(edges: dict[Edge, int], length: Callable[[int], int]) -> int:
    """Return the largest sum of the lengths of the labels along a path."""
    far: dict[int, int] = {}
    for (i, j), label in edges.items():
        far[j] = max(far.get(j, 0), far.get(i, 0) + length(label))
    return max(far.values(), default=0)


def _diagram(title: str, nodes: int, edges: dict[Edge, int], names: Sequence[str]) -> Diagram:
    """Return a diagram of the nodes that edges touch, with first and last, and of the edges by name."""
    shown = sorted({1, nodes, *(node for edge in edges for node in edge)})
    labels = {1: "input", nodes: "output"}
    boxes = tuple(Box(str(node), labels.get(node, str(node))) for node in shown)
    named = {edge: names[label - 1] for edge, label in edges.items()} or {(1, nodes): "identity"}
    arrows = tuple(
        Arrow(str(i), str(j), name, "" if title == "cell" and edges else name) for (i, j), name in named.items()
    )
    return Diagram(title, boxes, arrows)


def _check_primitives(primitives: tuple[str, ...]) -> None:
    """Raise RlnasError unless these names can be a space's primitives: at least one, known, without repeats."""
    if not primitives:
        raise RlnasError(f"space.primitives is empty, expected at least one; choose from {CHOOSABLE}")
    for name in primitives:
        try:
            stages("identity" if name == "identity" else f"plain_{name}")
        except RlnasError:
            raise RlnasError(f"space.primitives: '{name}' is unknown; expected one like {CHOOSABLE}") from None
    repeated = sorted({name for name in primitives if primitives.count(name) > 1})
    if repeated:
        raise RlnasError(f"space.primitives names {', '.join(repeated)} more than once; list each once")
