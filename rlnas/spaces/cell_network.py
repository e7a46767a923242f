"""Networks of repeated cells (Zoph et al. 2018, NASNet; Liu et al. 2019, DARTS): from two cells to a graph.

Stem: 3x3 convolution and BN. Each cell reads the outputs of the two cells before (the stem's where there are none),
brings both to its number of channels and to the resolution of the cell before by ReLU, 1x1 convolution and BN, applies
its hidden nodes and outputs several of them, concatenated. A reduction cell halves the resolution (its operators on
the cell's inputs have stride 2) and doubles the channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.networks.operators import kernel_of, stages

CHOOSABLE = (
    "identity, conv1x1, conv3x3, conv1x3_3x1, conv1x7_7x1, sep_conv3x3, dil_conv3x3, avg_pool3x3, max_pool3x3, ..."
)
SUMMARISATIONS = ("sum", "concat", "product")
AUXILIARY_CELLS = 3  # fewest cells of a network with an auxiliary head


class HiddenNode(NamedTuple):
    """A hidden node of a cell: two operators, each on a predecessor, and how their outputs are joined.

    sources: 0 and 1 are the cell's inputs (0: of the cell before last, 1: of the last), 2 is the first hidden node.
    """

    sources: tuple[int, int]
    operators: tuple[str, str]
    summarisation: str


Cell = tuple[HiddenNode, ...]


def loose(cell: Cell) -> tuple[int, ...]:
    """Return the numbers of the hidden nodes that no other node reads, from 2."""
    read = {source for node in cell for source in node.sources}
    return tuple(number for number in range(2, len(cell) + 2) if number not in read)


def network_operator(operator: str, stride: int) -> str:
    """Return the name in rlnas.networks.operators of a cell's operator: the ReLU first, separable ones twice.

    Raises RlnasError for an unknown name.
    """
    if operator == "identity":
        return "identity" if stride == 1 else "relu_reduce"
    first, _, second = operator.partition("_") if operator.startswith("conv") else (operator, "", "")
    if second:  # conv1x7_7x1
        name, found = f"relu_{operator}", kernel_of(first) and kernel_of(f"conv{second}")
    else:
        found = kernel_of(operator)
        front = "plain" if operator.startswith(("avg_pool", "max_pool")) else "relu"
        name = f"{front}_{operator}{'_twice' if operator.startswith('sep_conv') else ''}"
    if found is None:
        raise RlnasError(f"unknown operator '{operator}'; expected one like {CHOOSABLE}")
    stages(name)
    return name


@dataclass(frozen=True)
class Plan:
    """How cells are stacked. output: `all` or `loose`, the hidden nodes that a cell outputs; see CellSpace."""

    cells: int
    filters: int
    reductions: int
    stem_multiplier: int
    stem_stride: int
    output: str

    def __post_init__(self) -> None:
        """Raise RlnasError for fewer cells than the reductions need, and for an unknown output."""
        if self.cells < self.reductions + 1:
            raise RlnasError(
                f"space.cells is {self.cells}, expected at least {self.reductions + 1}: one before the first of "
                f"space.reductions={self.reductions} reduction cells"
            )
        if self.output not in ("all", "loose"):
            raise RlnasError(f"space.output is '{self.output}', expected all or loose")

    @property
    def reduction_cells(self) -> tuple[int, ...]:
        """Positions of the reduction cells, from 0: of two, after a third and two thirds of the cells."""
        return tuple(r * self.cells // (self.reductions + 1) for r in range(1, self.reductions + 1))

    def level(self, cell: int) -> int:
        """Return how often the output of a cell (from 0; negative: the stem) is halved."""
        return sum(place <= cell for place in self.reduction_cells)

    def check_size(self, image_size: int) -> None:
        """Raise RlnasError if a reduction would halve a map of one pixel. image_size: height and width in pixels."""
        side = -(-image_size // self.stem_stride)
        for reduction in range(1, self.reductions + 1):
            if side < 2:
                raise RlnasError(
                    f"images of {image_size} pixels are one pixel wide before reduction cell {reduction} of "
                    f"{self.reductions} with space.stem_stride={self.stem_stride}; set a smaller space.stem_stride or "
                    "space.reductions"
                )
            side = -(-side // 2)


class Network:
    """Collects the nodes of the network of a normal and a reduction cell, for square images."""

    def __init__(self, normal: Cell, reduction: Cell, plan: Plan, image_channels: int, image_size: int):
        plan.check_size(image_size)
        self.kinds = {"normal": normal, "reduce": reduction}
        self.plan = plan
        self.builder = GraphBuilder(image_channels, (image_size, image_size))
        stem = self.builder.add(
            "stem",
            [INPUT],
            channels=plan.filters * plan.stem_multiplier,
            key="stem",
            stride=(plan.stem_stride, plan.stem_stride),
        )
        # outputs[cell]: its output nodes by name; of cells -1 and -2, the stem
        self.outputs: dict[int, dict[str, int]] = {-1: {"stem": stem}, -2: {"stem": stem}}

    def whole(self, classes: int) -> Graph:
        """Return the network: all cells, global pooling and a linear classifier."""
        features, names = self._features(self.plan.cells - 1)
        self.builder.add("head", [features], channels=classes, key=f"head{names}")
        return self.builder.build()

    def auxiliary(self, classes: int) -> Graph | None:
        """Return the network up to the last reduction cell with a classifier of its own, as NASNet and DARTS train.

        ReLU, mean over a 2x2 grid (the papers: 5x5 pooling of 8x8 maps to 2x2), 1x1 convolution to 128 channels,
        2x2 convolution to 768, both with BN and ReLU, linear classifier. None for maps of one pixel, or fewer than
        three cells.
        """
        place = self.plan.reduction_cells[-1]
        if self.plan.cells < AUXILIARY_CELLS:
            return None
        features, names = self._features(place)
        if min(self.builder.output_size(features)) < 2:
            return None
        key = f"auxiliary{names}"
        small = self.builder.add(
            "auxiliary_project", [features], channels=128, key=f"{key}/project", size=(2, 2), layer=place + 1
        )
        vector = self.builder.add(
            "auxiliary_conv", [small], channels=768, key=f"{key}/conv", stride=(2, 2), layer=place + 1
        )
        self.builder.add("head", [vector], channels=classes, key=f"{key}/head")
        return self.builder.build()

    def _features(self, last: int) -> tuple[int, str]:
        """Add the cells up to `last` that its output needs; return that output and its part of a weight key."""
        needed = {last}
        for cell in range(last, -1, -1):
            if cell in needed:
                needed |= {cell - 2 + source for source in self._reads(cell) if source < 2}
        for cell in range(last + 1):
            if cell in needed:
                self.outputs[cell] = self._cell(cell)
        found = self.outputs[last]
        names = "" if self.plan.output == "all" else f"/from{'_'.join(found)}"
        return self._concatenated(list(found.values()), last + 1), names

    def _reads(self, place: int) -> set[int]:
        """Return the nodes that the hidden nodes of the cell at `place` read."""
        return {source for node in self.kinds[self._kind(place)] for source in node.sources}

    def _kind(self, cell: int) -> str:
        return "reduce" if cell in self.plan.reduction_cells else "normal"

    def _concatenated(self, nodes: Sequence[int], layer: int) -> int:
        return nodes[0] if len(nodes) == 1 else self.builder.add("concat", nodes, layer=layer)

    def _cell(self, place: int) -> dict[str, int]:
        """Add the cell at `place`; return its outputs by name."""
        kind, plan = self._kind(place), self.plan
        cell, layer = self.kinds[kind], place + 1
        channels = plan.filters * 2 ** plan.level(place)
        nodes: dict[int, int] = {}  # number in the cell -> node
        for number, hidden in enumerate(cell, 2):
            front = f"cell{layer}/{kind}/node{number}"
            parts, names = [], []
            for source, operator in zip(hidden.sources, hidden.operators, strict=True):
                if source < 2 and source not in nodes:
                    nodes[source] = self._input(place, source, channels)
                again = "/again" if (source, operator) in names else ""  # both operators have weights of their own
                names.append((source, operator))
                parts.append(self._operator(place, number, source, nodes[source], operator, again))
            nodes[number] = self._joined(hidden, parts, front, layer)
        chosen = range(2, len(cell) + 2) if plan.output == "all" else loose(cell)
        return {str(number): nodes[number] for number in chosen}

    def _operator(self, place: int, number: int, source: int, node: int, operator: str, again: str = "") -> int:
        """Add an operator of hidden node `number` of the cell at `place`, which reads node `source` of the cell.

        node: the index of that node. again: end of the weight key.
        """
        kind, layer = self._kind(place), place + 1
        stride = 2 if kind == "reduce" and source < 2 else 1
        name = network_operator(operator, stride)
        key = f"cell{layer}/{kind}/node{number}/from{source}/{operator}{again}" if name != "identity" else None
        return self.builder.add(name, [node], key=key, stride=(stride, stride), layer=layer)

    def _input(self, place: int, source: int, channels: int) -> int:
        """Add the preparation of a cell's input: ReLU, 1x1 convolution and BN, with half the resolution if needed.

        With output=loose the concatenated nodes differ between architectures: the convolution over the concatenation
        is then a sum of one for each node, which has weights of its own.
        """
        before, layer = place - 2 + source, place + 1
        halved = source == 0 and self.plan.level(before) < self.plan.level(place - 1)
        step = 2 if halved else 1
        key, found = f"cell{layer}/input{source}", self.outputs[before]

        def add(operator: str, inputs: Sequence[int], key: str | None, stride: int = 1) -> int:
            return self.builder.add(operator, inputs, channels=channels, key=key, stride=(stride, stride), layer=layer)

        if self.plan.output == "all":
            whole = "relu_reduce" if halved else "relu_conv1x1"
            return add(whole, [self._shared_concat(before)], key, step)
        raw = "relu_raw_reduce" if halved else "relu_raw_conv1x1"
        parts = [add(raw, [node], f"{key}/from{name}", step) for name, node in found.items()]
        joined = parts[0] if len(parts) == 1 else add("sum", parts, None)
        return add("norm", [joined], f"{key}/norm")

    def _shared_concat(self, cell: int) -> int:
        """Return the concatenation of a cell's outputs, which the two cells after it read."""
        found = self.outputs[cell]
        if len(found) > 1:
            self.outputs[cell] = found = {"concat": self._concatenated(list(found.values()), max(cell + 1, 0))}
        return next(iter(found.values()))

    def _joined(self, hidden: HiddenNode, parts: list[int], front: str, layer: int) -> int:
        """Add what joins the outputs of a node's two operators.

        concat: each output has a 1x1 convolution of its own, their sum is one over the concatenation; then BN, since
        all nodes of a cell have as many channels. product: BN keeps products of products from growing. Drop path drops
        operators other than the identity without stride, as DARTS does; a dropped factor would leave nothing, so
        products are kept.
        """
        own = tuple(place for place, part in enumerate(parts) if self.builder.nodes[part].operator != "identity")
        if hidden.summarisation == "product":
            joined = self.builder.add("product", parts, layer=layer)
            return self.builder.add("norm", [joined], key=f"{front}/product/norm", layer=layer)
        if hidden.summarisation == "concat":
            first, second = hidden.sources
            keys = [f"{front}/concat/from{first}", f"{front}/concat/from{second}{'/again' * (first == second)}"]
            projected = [
                self.builder.add("raw_conv1x1", [part], key=key, layer=layer)
                for part, key in zip(parts, keys, strict=True)
            ]
            joined = self.builder.add("sum", projected, layer=layer, own=own)
            return self.builder.add("norm", [joined], key=f"{front}/concat/norm", layer=layer)
        return self.builder.add("sum", parts, layer=layer, own=own)
