"""The space of Genetic CNN (Xie & Yuille 2017, section 3.1): stages whose connections are bits."""

from collections.abc import Callable, Sequence

from rlnas.config.spaces import GeneticCnnConfig
from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, GraphBuilder
from rlnas.spaces.diagram import Arrow, Box, Diagram
from rlnas.spaces.independent import Decisions, IndependentSpace
from rlnas.spaces.motifs import pairs
from rlnas.spaces.resolution import check_reducible

DEFAULTS = GeneticCnnConfig()
NO_BITS = "."  # text of a stage of one node

Edges = tuple[tuple[int, int], ...]  # (i, j): node j reads node i; nodes from 1, i < j


class GeneticCnnSpace(IndependentSpace):
    """Stages of ordered nodes with a bit for each pair of nodes: 2^(sum of K(K-1)/2) architectures.

    nodes: K of each stage, >= 1. filters: channels of the first stage. widen: factor on the channels from a stage to
    the next (the paper: 2). kernel: side of every convolution in pixels, odd. stem_stride: stride of the first
    convolution.

    Every node is a convolution, BN and ReLU of the sum of its inputs. Node j reads node i < j if the bit (i, j) is 1.
    A stage has two nodes more, which are not encoded: the input node reads the stage's input and feeds every node
    without predecessor; the output node sums every node without successor. A node with neither is isolated and left
    out. A stage without any connection has one convolution, that of its input node, not two (the paper). 2x2 maximum
    pooling separates stages.

    Deviations: in place of pooling after the last stage and a hidden fully connected layer, the head is a global mean
    and a linear classifier, as in every space here. There is no stem: the first stage's input node reads the images.

    A step is a stage, so that the crossover of controller=genetic exchanges stages as the paper's does. Its components
    are the bits (1,2), (1,3), (2,3), (1,4), ... The text is the paper's: bits of node 2, node 3, ... joined by `-`,
    stages by ` | `: `1-01 | 0-01-100`; a stage of one node is `.`.

    A weight is shared by all architectures in which its node is not left out: the keys are stage and node. Drop path is
    refused: every connection ends in a convolution, so none leads past an operator.
    """

    name = "genetic_cnn"
    builds_networks = True

    def __init__(
        self,
        nodes: Sequence[int] = tuple(DEFAULTS.nodes),
        filters: int = DEFAULTS.filters,
        widen: int = DEFAULTS.widen,
        kernel: int = DEFAULTS.kernel,
        stem_stride: int = DEFAULTS.stem_stride,
    ):
        self.nodes = tuple(nodes)
        if not self.nodes or any(count < 1 for count in self.nodes):
            raise RlnasError(
                f"space.nodes is {list(self.nodes)}, expected the number of nodes of each stage, at least one stage "
                "and one node a stage, such as [3,4,5]"
            )
        if kernel % 2 == 0:
            raise RlnasError(f"space.kernel is {kernel}, expected an odd number of pixels, such as 3")
        self.filters = filters
        self.widen = widen
        self.kernel = kernel
        self.stem_stride = stem_stride
        bits = [count * (count - 1) // 2 for count in self.nodes]
        nvec = (2,) * max(*bits, 1)  # a step has at least one component
        super().__init__(choices=(2,) * sum(bits), nvec=nvec, layout=[range(count) for count in bits])

    def split(self, architecture: Sequence[int]) -> list[Edges]:
        """Return the connections of each stage, by target and then by source."""
        bits = iter(self.check(architecture))
        return [tuple(pair for pair in pairs(count) if next(bits)) for count in self.nodes]

    def join(self, stages: Sequence[Edges]) -> Decisions:
        """Return the architecture with these connections, the inverse of `split`."""
        return tuple(
            int(pair in edges) for count, edges in zip(self.nodes, stages, strict=True) for pair in pairs(count)
        )

    # -- forms ---------------------------------------------------------------------------------------

    def text(self, architecture: Sequence[int]) -> str:
        """Return the bits in the paper's notation: `1-01 | 0-01-100`."""
        bits = iter(map(str, self.check(architecture)))
        words = ["-".join("".join(next(bits) for _ in range(node)) for node in range(1, count)) for count in self.nodes]
        return " | ".join(word or NO_BITS for word in words)

    def parse(self, text: str) -> Decisions:
        """Return the architecture of a text form; RlnasError says which stage is wrong."""
        words = [word.strip() for word in text.split("|")]
        if len(words) != len(self.nodes):
            raise RlnasError(f"expected {len(self.nodes)} stages separated by |, got {len(words)}: '{text}'")
        found: list[int] = []
        for stage, (word, count) in enumerate(zip(words, self.nodes, strict=True), 1):
            groups = word.split("-") if count > 1 else []
            right = [len(group) for group in groups] == list(range(1, count)) and set(word) <= set("01-")
            if not (right if count > 1 else word == NO_BITS):
                form = "-".join("0" * node for node in range(1, count)) or NO_BITS
                raise RlnasError(
                    f"stage {stage} is '{word}', expected one bit, 0 or 1, for each pair of its {count} nodes, in "
                    f"groups by the later node, such as {form}"
                )
            found += [int(bit) for group in groups for bit in group]
        return tuple(found)

    def features(self, architecture: Sequence[int]) -> dict[str, str | float]:
        """Return stage1/edge12 as 0 or 1 for each bit; stage1/nodes, how many are not isolated; stage1/depth, the most
        nodes on a path; skip_rate, the used share of the bits between nodes that are not neighbours.
        """
        found: dict[str, str | float] = {}
        used = possible = 0
        for stage, (count, edges) in enumerate(zip(self.nodes, self.split(architecture), strict=True), 1):
            depth: dict[int, int] = {}
            for i, j in edges:
                depth[j] = max(depth.get(j, 1), depth.setdefault(i, 1) + 1)
            for i, j in pairs(count):
                sign = "" if j < 10 else "to"
                found[f"stage{stage}/edge{i}{sign}{j}"] = float((i, j) in edges)
            found[f"stage{stage}/nodes"] = float(len(depth))
            found[f"stage{stage}/depth"] = float(max(depth.values(), default=0))
            used += sum(j - i > 1 for i, j in edges)
            possible += sum(j - i > 1 for i, j in pairs(count))
        if possible:
            found["skip_rate"] = used / possible
        return found

    def references(self) -> dict[str, Decisions]:
        """Return stages that resemble hand-made networks, as the paper does in section 3.1. Equal ones are named once.

        chain: every node reads the one before (VGGNet). residual: the chain, and every second node also reads the node
        two before (ResNet). dense: all bits (DenseNet's connections, summed).
        """
        forms: dict[str, Callable[[int, int], bool]] = {
            "residual": lambda i, j: j - i == 1 or (j - i == 2 and j % 2 == 1),
            "dense": lambda i, j: True,
            "chain": lambda i, j: j - i == 1,
        }
        found: dict[str, Decisions] = {}
        for name, chosen in forms.items():
            made = self.join([tuple(pair for pair in pairs(count) if chosen(*pair)) for count in self.nodes])
            if made not in found.values():
                found[name] = made
        return found

    def diagrams(self, architecture: Sequence[int]) -> tuple[Diagram, ...]:
        """Return a diagram of each stage: input node, nodes that are not isolated, output node."""
        operator = f"conv{self.kernel}x{self.kernel}"
        drawn = []
        for stage, edges in enumerate(self.split(architecture), 1):
            boxes = [Box("input", "input", operator)]
            arrows: list[Arrow] = []
            if edges:
                boxes += [Box(str(node), str(node), operator) for node in used_nodes(edges)]
                boxes.append(Box("output", "output", operator))
                arrows += [Arrow("input", str(node)) for node in sources(edges)]
                arrows += [Arrow(str(i), str(j)) for i, j in edges]
                arrows += [Arrow(str(node), "output") for node in sinks(edges)]
            drawn.append(Diagram(f"stage {stage}", tuple(boxes), tuple(arrows)))
        return tuple(drawn)

    # -- networks ------------------------------------------------------------------------------------

    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """Return the stages and the head. Weight keys: stage and node.

        Raises RlnasError if the images are too small for the number of stages.
        """
        builder = GraphBuilder(image_channels, (image_size, image_size))
        source = INPUT
        first = 1  # layer of the stage's input node
        for stage, (count, edges) in enumerate(zip(self.nodes, self.split(architecture), strict=True), 1):
            strides = (1, 1) if stage > 1 else (self.stem_stride, self.stem_stride)
            if stage > 1:
                fewer = f"fewer stages than space.nodes={list(self.nodes)}"
                check_reducible(builder.output_size(source), f"stage {stage - 1}", image_size, fewer)
                source = builder.add("max_reduce", [source], key=f"stage{stage}/pool", stride=(2, 2), layer=first)
            source = self._stage(builder, edges, source, stage, first, strides)
            first += count + 2
        builder.add("head", [source], channels=classes, key="head")
        return builder.build()

    def _stage(
        self, builder: GraphBuilder, edges: Edges, source: int, stage: int, first: int, stride: tuple[int, int]
    ) -> int:
        """Append the nodes of a stage that reads graph node `source`; return the graph node of its output."""

        def convolve(inputs: Sequence[int], name: str, layer: int, stride: tuple[int, int] = (1, 1)) -> int:
            joined = inputs[0] if len(inputs) == 1 else builder.add("sum", inputs, layer=layer)
            return builder.add(
                f"plain_conv{self.kernel}x{self.kernel}",
                [joined],
                channels=self.filters * self.widen ** (stage - 1),
                key=f"stage{stage}/{name}",
                stride=stride,
                layer=layer,
            )

        begin = convolve([source], "input", first, stride)
        if not edges:
            return begin
        outputs: dict[int, int] = {}
        for node in used_nodes(edges):
            inputs = [outputs[i] for i, j in edges if j == node] or [begin]
            outputs[node] = convolve(inputs, f"node{node}", first + node)
        last = first + self.nodes[stage - 1] + 1
        return convolve([outputs[node] for node in sinks(edges)], "output", last)


def used_nodes(edges: Edges) -> list[int]:
    """Return the nodes that are not isolated, in order."""
    return sorted({node for edge in edges for node in edge})


def sources(edges: Edges) -> list[int]:
    """Return the nodes that have a successor and no predecessor, in order."""
    return sorted({i for i, _ in edges} - {j for _, j in edges})


def sinks(edges: Edges) -> list[int]:
    """Return the nodes that have a predecessor and no successor, in order."""
    return sorted({j for _, j in edges} - {i for i, _ in edges})
