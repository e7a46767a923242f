"""Graph and Node, to which every space compiles its architectures.

Parameters, FLOPs, drawing, weight sharing and export all read the graph. Torch-free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rlnas.networks.operators import stages

INPUT = -1  # pseudo-node: the images


@dataclass(frozen=True)
class Node:
    """One operator application.

    operator: a name accepted by `rlnas.networks.operators.stages`.
    inputs: indices of earlier nodes, or INPUT for the images.
    channels, size: of the output; size is (height, width) in pixels.
    stride: (vertical, horizontal).
    key: the weight key, without a dot (it names a torch module). Two architectures share a parameter if and
        only if their nodes have the same key; None for a node that is no torch module (sum, product, concat, pad,
        identity).
    layer: the layer of the architecture the node belongs to, from 1; 0 for stem and head (drawing only).
    own: for a sum, the positions in `inputs` that drop path drops, each by its own draw: outputs of operators that the
        other inputs bypass (of a layer and its skips: the layer's operator). Empty for any other node.
    """

    operator: str
    inputs: tuple[int, ...]
    channels: int
    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    key: str | None = None
    layer: int = 0
    own: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A DAG of nodes in topological order; the last node outputs the class scores.

    channels, size: of the images: number of colour channels, (height, width) in pixels.
    """

    nodes: tuple[Node, ...]
    channels: int
    size: tuple[int, int]

    def in_channels(self, node: Node) -> int:
        """Return the channels of the first input of `node`: of every input, but for `concat`."""
        source = node.inputs[0]
        return self.channels if source == INPUT else self.nodes[source].channels

    @cached_property
    def last_uses(self) -> list[tuple[int, ...]]:
        """For each node, the nodes whose output is no longer needed after it has run."""
        last: dict[int, int] = {}
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                last[source] = index
        freed: list[list[int]] = [[] for _ in self.nodes]
        for source, index in last.items():
            if source != INPUT:
                freed[index].append(source)
        return [tuple(sources) for sources in freed]


@dataclass
class GraphBuilder:
    """Collects nodes and computes their sizes: a strided side of n pixels becomes ceil(n / stride)."""

    channels: int
    size: tuple[int, int]
    nodes: list[Node] = field(default_factory=list)

    def output_size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of node `index`, or of the images for INPUT."""
        return self.size if index == INPUT else self.nodes[index].size

    def output_channels(self, index: int) -> int:
        """Return the channels of node `index`, or of the images for INPUT."""
        return self.channels if index == INPUT else self.nodes[index].channels

    def add(
        self,
        operator: str,
        inputs: Sequence[int],
        *,
        channels: int | None = None,
        key: str | None = None,
        stride: tuple[int, int] = (1, 1),
        size: tuple[int, int] | None = None,
        layer: int = 0,
        own: tuple[int, ...] = (),
    ) -> int:
        """Append a node and return its index.

        channels: None keeps the first input's, of a concatenation it adds up all inputs'. size: None computes it from
        the first input and the stride.
        """
        if channels is None:
            joined = inputs if operator == "concat" else inputs[:1]
            channels = sum(self.output_channels(source) for source in joined)
        if size is None:
            height, width = self.output_size(inputs[0])
            size = (-(-height // stride[0]), -(-width // stride[1]))
        self.nodes.append(Node(operator, tuple(inputs), channels, size, stride, key, layer, own))
        return len(self.nodes) - 1

    def build(self) -> Graph:
        """Return the finished graph."""
        return Graph(tuple(self.nodes), self.channels, self.size)


@dataclass(frozen=True)
class Cost:
    """Parameters and FLOPs of a network.

    params: number of trainable parameters. flops: for one image, two for each multiply-add of a convolution or
    linear layer; normalisation, activations and pooling are not counted, as is usual. The centre that a kernel leaves
    out (`raw_conv5x5-3x3`) has neither, so that a network costs the same however finely its operators are cut.
    """

    params: int
    flops: int


def cost(graph: Graph) -> Cost:
    """Return the parameters and FLOPs of the stand-alone network of a graph."""
    params = flops = 0
    for node in graph.nodes:
        channels = graph.in_channels(node)
        before = graph.size if node.inputs[0] == INPUT else graph.nodes[node.inputs[0]].size
        pixels = before[0] * before[1]
        for stage in stages(node.operator):
            out = node.channels if stage.widens else channels
            if stage.strided:
                pixels = node.size[0] * node.size[1]
            if stage.kind in ("conv", "depthwise"):
                fan_in = (1 if stage.kind == "depthwise" else channels) * stage.positions
                params += fan_in * out
                flops += 2 * fan_in * out * pixels
            elif stage.kind == "linear":
                params += channels * out + out
                flops += 2 * channels * out
            elif stage.kind == "norm":
                params += 2 * channels
            channels = out
    return Cost(params, flops)
