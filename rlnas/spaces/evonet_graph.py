"""The graph of an open network, and the count of parameters and FLOPs that bounds it."""

from dataclasses import dataclass

from rlnas.networks.graph import INPUT, Cost, Graph, GraphBuilder
from rlnas.spaces.edits import OpenNetwork


@dataclass(frozen=True)
class Shape:
    """What surrounds the layers.

    filters: channels of the stem. stem_stride: its stride. prefix: of every weight key.
    """

    filters: int
    stem_stride: int
    prefix: str = ""


def compiled(network: OpenNetwork, shape: Shape, channels: int, size: int, classes: int) -> Graph:
    """Return stem, layers with their skips, and head, for images of `channels` and `size` x `size` pixels."""
    builder, prefix = GraphBuilder(channels, (size, size)), shape.prefix
    stride = (shape.stem_stride, shape.stem_stride)
    node = builder.add("stem", [INPUT], channels=shape.filters, key=f"{prefix}stem", stride=stride)
    outputs = {0: node}
    for number, layer in enumerate(network.layers, 1):
        before = builder.output_channels(node)
        if layer.kernel:
            strided = "/s2" if layer.stride == 2 else ""  # a torch module has one stride
            key = f"{prefix}slot{layer.slot}/{layer.operator}/{before}to{layer.channels}{strided}"
            stride = (layer.stride, layer.stride)
            operator = f"plain_{layer.operator}"
            node = builder.add(operator, [node], channels=layer.channels, key=key, stride=stride, layer=number)
        else:
            node = builder.add("identity", [node], layer=number)
        sources = [source for source, target in network.skips if target == layer.slot]
        fitted = [
            _fitted(builder, outputs[source], node, f"{prefix}skip{source}to{layer.slot}", number) for source in sources
        ]
        if fitted:
            node = builder.add("sum", [node, *fitted], layer=number, own=(0,))
        outputs[layer.slot] = node
    last = builder.output_channels(node)
    builder.add("head", [node], channels=classes, key=f"{prefix}head/{last}")
    return builder.build()


def _fitted(builder: GraphBuilder, source: int, target: int, name: str, layer: int) -> int:
    """Return the node `source`, made as large as `target`: halved by `reduce`, or projected by a 1x1 convolution, BN.

    The first reduction changes the channels.
    """
    before, after = builder.output_channels(source), builder.output_channels(target)
    key = f"{name}/{before}to{after}"
    node, reductions = source, 0
    while builder.output_size(node) != builder.output_size(target):
        reductions += 1
        at = f"{key}/reduce{reductions}"
        node = builder.add("reduce", [node], channels=after, key=at, stride=(2, 2), layer=layer)
    if not reductions and before != after:
        node = builder.add("raw_conv1x1", [node], channels=after, key=f"{key}/project", layer=layer)
        node = builder.add("norm", [node], key=f"{key}/norm", layer=layer)
    return node


def counted(network: OpenNetwork, filters: int, pixels: tuple[int, ...]) -> Cost:
    """Return parameters and FLOPs of the layers and their skips, as `rlnas.networks.graph.cost` counts them.

    Stem and head are left out: so a network costs no less than any chain of its first layers, and building it layer by
    layer never exceeds a bound that the whole respects. filters: channels of the stem. pixels: of a map after 0, 1, ...
    halvings.
    """
    params = flops = level = 0
    channels = filters
    at = {0: (channels, level)}  # slot -> channels, halvings before its output
    for slot, kernel, stride, after in network.layers:
        if kernel:
            level += stride - 1
            fan = kernel * kernel * channels * after
            params += fan + 2 * after
            flops += 2 * fan * pixels[level]
            channels = after
        at[slot] = channels, level
    for source, target in network.skips:
        (before, high), (after, low) = at[source], at[target]
        if high == low and before != after:
            params += before * after + 2 * after
            flops += 2 * before * after * pixels[low]
        for halvings in range(high + 1, low + 1):
            fan = before * after
            params += fan + 2 * after
            flops += 2 * fan * pixels[halvings]
            before = after
    return Cost(params, flops)
