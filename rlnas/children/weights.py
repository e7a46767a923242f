"""The shared weights: one torch module for each weight key, created when a graph first needs it.

A parameter's initial value depends only on the seed and its key, not on the order in which architectures are
sampled, so a resumed search, a stand-alone child and another sampling order start from the same values.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from rlnas.children.layers import BatchNorm, MaxPool, PointConv, RingConv
from rlnas.networks.graph import Graph, Node
from rlnas.networks.operators import Stage, stages
from rlnas.seeding import torch_stream

# operator, input channels, output channels, vertical and horizontal stride: defines the module of a key
Spec = tuple[str, int, int, int, int]


class Weights(nn.Module):
    """The parameters of every weight key needed so far.

    A supernet shares one instance among all architectures; a stand-alone child has a private one.

    seed: of the initial values. track_statistics: keep running BN statistics (the stand-alone child and the
    BN policies `running` and `recalibrate` need them).
    """

    def __init__(
        self,
        seed: int,
        *,
        track_statistics: bool,
        device: torch.device,
        channels_last: bool,
    ):
        super().__init__()
        self.seed = seed
        self.track_statistics = track_statistics
        self.device = device
        self.channels_last = channels_last
        self.by_key = nn.ModuleDict()
        self.specs: dict[str, Spec] = {}

    def ensure(self, graph: Graph) -> None:
        """Create the modules that this graph needs and that do not exist yet."""
        for node in graph.nodes:
            if node.key is None:
                continue
            spec = (node.operator, graph.in_channels(node), node.channels, *node.stride)
            if self.specs.get(node.key, spec) != spec:
                raise ValueError(f"weight key {node.key} stands for {self.specs[node.key]} and {spec}")
            if node.key not in self.specs:
                self.make(node.key, spec)

    def make(self, key: str, spec: Spec) -> None:
        """Create the module of a key."""
        operator, in_channels, channels, down, right = spec
        module = build_operator(operator, in_channels, channels, (down, right), self.track_statistics)
        initialise(module, torch_stream(self.seed, f"weights/{key}"))
        module.train(self.training)
        memory_format = torch.channels_last if self.channels_last else torch.contiguous_format
        self.by_key[key] = module.to(device=self.device, memory_format=memory_format)  # type: ignore[call-overload]
        self.specs[key] = spec

    def keep(self, graph: Graph) -> None:
        """Remove the modules that this graph does not need."""
        needed = {node.key for node in graph.nodes}
        for key in [key for key in self.specs if key not in needed]:
            del self.by_key[key], self.specs[key]

    def of(self, node: Node) -> nn.Sequential | None:
        """Return the module of a node, None for a node without parameters."""
        if node.key is None:
            return None
        module = self.by_key[node.key]
        assert isinstance(module, nn.Sequential)
        return module

    def norms(self, graph: Graph) -> Iterator[nn.BatchNorm2d]:
        """Yield the BN layers that this graph uses."""
        for node in graph.nodes:
            module = self.of(node)
            for layer in () if module is None else module:
                if isinstance(layer, nn.BatchNorm2d):
                    yield layer


def build_operator(
    operator: str, in_channels: int, channels: int, stride: tuple[int, int], track_statistics: bool
) -> nn.Sequential:
    """Build the torch module of an operator, with uninitialised parameters."""
    layers: list[nn.Module] = []
    current = in_channels
    for place, stage in enumerate(stages(operator)):
        out = channels if stage.widens else current
        layers.append(
            # in place where it is safe: not on the node's input, which other nodes may read
            nn.ReLU(inplace=place > 0)
            if stage.kind == "relu"
            else _layer(stage, current, out, stride if stage.strided else (1, 1), track_statistics)
        )
        current = out
    return nn.Sequential(*layers)


def _layer(stage: Stage, channels: int, out: int, stride: tuple[int, int], track_statistics: bool) -> nn.Module:
    height, width = stage.kernel
    # "same" padding for odd kernels; the even 2x2 mean of a reduction needs none
    padding = (height // 2 * stage.dilation, width // 2 * stage.dilation) if height % 2 else (0, 0)
    if stage.kind in ("conv", "depthwise"):
        groups = channels if stage.kind == "depthwise" else 1
        if stage.centre != (0, 0):
            return RingConv(channels, out, stage.kernel, stage.centre, stride, stage.dilation, groups)
        kind = PointConv if stage.kernel == (1, 1) and stride != (1, 1) else nn.Conv2d
        # skip_init: torch's initialisation would draw from the global generator
        conv: nn.Module = nn.utils.skip_init(
            kind, channels, out, stage.kernel, stride, padding, stage.dilation, groups, bias=False
        )
        return conv
    if stage.kind == "avg_pool":
        return nn.AvgPool2d(stage.kernel, stride, padding, ceil_mode=height % 2 == 0, count_include_pad=False)
    if stage.kind == "grid_pool":
        return nn.AdaptiveAvgPool2d(stage.kernel)
    if stage.kind == "max_pool":
        return MaxPool(stage.kernel, stride, padding, ceil_mode=height % 2 == 0)
    if stage.kind == "norm":
        return BatchNorm(channels, track_running_stats=track_statistics)
    if stage.kind == "global_pool":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    linear: nn.Module = nn.utils.skip_init(nn.Linear, channels, out)
    return linear


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Initialise convolutions by He (fan out) and the classifier by N(0, 0.01), from `generator`.

    A convolution without the centre of its kernel gets the values that a whole kernel would have there.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(layer, RingConv):
            whole = torch.empty(layer.shape)
            layer.fill(nn.init.kaiming_normal_(whole, mode="fan_out", nonlinearity="relu", generator=generator))
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01, generator=generator)
            nn.init.zeros_(layer.bias)


def named_tensors(weights: Weights) -> dict[str, Tensor]:
    """Return parameters and BN statistics by name, detached, on the CPU, as checkpoints and exports store them."""
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in weights.state_dict().items()}


def restore(weights: Weights, specs: Iterable[tuple[str, Spec]], tensors: dict[str, Tensor]) -> None:
    """Create the missing modules of `specs` and set every value; raise RuntimeError if names do not match."""
    for key, spec in specs:
        if key not in weights.specs:
            weights.make(key, spec)
    weights.load_state_dict(tensors, strict=True)
