"""Trains many stand-alone networks of equal operators at once: one grouped convolution in place of many small ones.

Networks that choose the same operators and differ only in their skips have the same layers. Their channels are put
side by side, every convolution becomes a grouped one with a group for each network, and a skip that a network does not
have is multiplied by 0. No value passes from one network to another, so each is trained exactly as by
rlnas.children.retrain with the same seed, except for rounding (tests/test_benchmarks.py compares). That takes a
fraction of the time, as a small convolution spends most of it in calls.

Axes: b images, n networks, c channels of one network, h height, w width, k classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rlnas.children.batches import Batches
from rlnas.children.retrain import one_cycle
from rlnas.children.weights import Weights
from rlnas.config.schema import RetrainConfig
from rlnas.data import ImageData, Images
from rlnas.execution.settings import Execution
from rlnas.networks.graph import INPUT, Graph, Node
from rlnas.networks.operators import Stage, stages

Parameter = tuple[str, int, str]  # weight key, stage, "weight" or "bias"


@dataclass(frozen=True)
class Member:
    """One of the networks. graph: of the architecture. seed: of its initial weights and batches."""

    graph: Graph
    seed: int


class Packed:
    """The networks of `members`: subgraphs of `whole`, which has every skip.

    seeds: the different seeds, in order; members of one seed must be adjacent, as they see the same batches.
    """

    def __init__(self, whole: Graph, members: Sequence[Member], execution: Execution):
        self.whole = whole
        self.members = tuple(members)
        self.count = len(self.members)
        self.seeds = tuple(dict.fromkeys(member.seed for member in members))
        if self.count % len(self.seeds) or [m.seed for m in members] != [
            seed for seed in self.seeds for _ in range(self.count // len(self.seeds))
        ]:
            raise ValueError("members of one seed must be adjacent and every seed must have as many of them")
        self.parameters: dict[Parameter, Tensor] = {}
        self.means: dict[tuple[str, int], Tensor] = {}
        self.variances: dict[tuple[str, int], Tensor] = {}
        self._initialise(execution)
        self._masks = self._skip_masks()

    def _initialise(self, execution: Execution) -> None:
        """Copy the initial values that each network would have alone; those of a key it lacks are never used."""
        alone = []
        for seed in self.seeds:
            weights = Weights(seed, track_statistics=True, device=execution.device, channels_last=False)
            weights.ensure(self.whole)
            alone += [weights] * (self.count // len(self.seeds))
        for node in self.whole.nodes:
            if node.key is None:
                continue
            for place, layer in enumerate(alone[0].by_key[node.key]):  # type: ignore[arg-type]
                for name, _ in layer.named_parameters(recurse=False):
                    values = [getattr(weights.by_key[node.key][place], name) for weights in alone]  # type: ignore[index]
                    packed = torch.stack if values[0].ndim == 2 else torch.cat  # a linear layer: (n, k, c)
                    both = packed([value.detach() for value in values]).clone()
                    if node.operator == "head" and name == "bias":
                        both = both.view(self.count, -1)
                    self.parameters[node.key, place, name] = both.requires_grad_()

    def _skip_masks(self) -> dict[tuple[int, int], Tensor]:
        """Return for each sum's input that some network lacks its 0 or 1 for each channel: (1, n * c, 1, 1)."""
        masks = {}
        for index, node in enumerate(self.whole.nodes):
            if node.operator != "sum":
                continue
            for position, source in enumerate(node.inputs):
                has = [self._joins(member.graph, node.layer, self.whole.nodes[source].layer) for member in self.members]
                if position not in node.own and not all(has):
                    values = torch.tensor(has, dtype=torch.float32).repeat_interleave(node.channels)
                    masks[index, position] = values.view(1, -1, 1, 1)
        return masks

    @staticmethod
    def _joins(graph: Graph, layer: int, source: int) -> bool:
        """Return whether the sum of `layer` has an input from layer `source`."""
        return any(
            graph.nodes[place].layer == source
            for node in graph.nodes
            if node.operator == "sum" and node.layer == layer
            for place in node.inputs
        )

    def __call__(self, images: Tensor, *, training: bool) -> Tensor:
        """Return the class scores (n, b, k) of images (seeds, b, c, h, w), or of the same for all: (1, b, c, h, w)."""
        outputs: list[Tensor] = []
        for index, node in enumerate(self.whole.nodes):
            if node.operator == "sum":
                parts = [
                    outputs[source] * self._masks[index, place] if (index, place) in self._masks else outputs[source]
                    for place, source in enumerate(node.inputs)
                ]
                outputs.append(sum(parts[1:], parts[0]))
            elif node.inputs[0] == INPUT:
                outputs.append(self._first(node, images, training))
            else:
                outputs.append(self._apply(node, outputs[node.inputs[0]], range(len(stages(node.operator))), training))
        return outputs[-1]

    def _first(self, node: Node, images: Tensor, training: bool) -> Tensor:
        """Return the stem's output: one ordinary convolution a seed, as its networks share the images."""
        weight = self.parameters[str(node.key), 0, "weight"].chunk(len(images))
        side = padding(stages(node.operator)[0])
        parts = [
            F.conv2d(one.contiguous(memory_format=torch.channels_last), own, stride=node.stride, padding=side)
            for one, own in zip(images, weight, strict=True)
        ]
        x = torch.cat(parts, dim=1)  # (b, n * c, h, w)
        return self._apply(node, x, range(1, len(stages(node.operator))), training)

    def _apply(self, node: Node, x: Tensor, places: Sequence[int], training: bool) -> Tensor:
        """Return the output (b, n * c, h, w) of these stages of a node, or the class scores (n, b, k)."""
        key = str(node.key)
        for place in places:
            stage = stages(node.operator)[place]
            stride = node.stride if stage.strided else (1, 1)
            side = padding(stage)
            if stage.kind in ("conv", "depthwise"):
                weight = self.parameters[key, place, "weight"]
                groups = self.count if stage.kind == "conv" else x.shape[1]
                x = F.conv2d(x, weight, None, stride, side, stage.dilation, groups)
            elif stage.kind == "norm":
                x = self._norm(key, place, x, training)
            elif stage.kind == "relu":
                x = F.relu(x)
            elif stage.kind == "avg_pool":
                even = stage.kernel[0] % 2 == 0
                x = F.avg_pool2d(x, stage.kernel, stride, side, ceil_mode=even, count_include_pad=False)
            elif stage.kind == "max_pool":
                x = F.max_pool2d(x, stage.kernel, stride, side)
            elif stage.kind == "global_pool":
                x = x.mean(dim=(2, 3)).view(len(x), self.count, -1).transpose(0, 1)  # (n, b, c)
            else:
                weight, bias = self.parameters[key, place, "weight"], self.parameters[key, place, "bias"]
                x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))  # (n, b, k)
        return x

    def _norm(self, key: str, place: int, x: Tensor, training: bool) -> Tensor:
        mean = self.means.setdefault((key, place), torch.zeros(x.shape[1]))
        variance = self.variances.setdefault((key, place), torch.ones(x.shape[1]))
        weight, bias = self.parameters[key, place, "weight"], self.parameters[key, place, "bias"]
        return F.batch_norm(x, mean, variance, weight, bias, training=training)


def padding(stage: Stage) -> tuple[int, int]:
    """Return "same" padding for odd kernels, none for even ones."""
    height, width = stage.kernel
    return (height // 2 * stage.dilation, width // 2 * stage.dilation) if height % 2 else (0, 0)


def train(packed: Packed, config: RetrainConfig, data: Sequence[ImageData], execution: Execution) -> None:
    """Train all networks with the recipe of `config` (clip, dropout and drop path must be 0). data: of each seed."""
    if config.clip or config.dropout or config.drop_path:
        raise ValueError("packed training has no gradient clipping, dropout or drop path")
    batches = [
        Batches(own, batch_size=config.batch_size, execution=execution, seed=seed, purpose="retrain")
        for seed, own in zip(packed.seeds, data, strict=True)
    ]
    optimizer = torch.optim.SGD(
        packed.parameters.values(),
        lr=0.1,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.momentum > 0,
        fused=True,
    )
    total = batches[0].per_epoch * config.epochs
    each = packed.count // len(packed.seeds)
    for step in range(total):
        optimizer.param_groups[0]["lr"] = one_cycle(step / total, peak=config.learning_rate, warmup=config.warmup)
        drawn = [one.next() for one in batches]
        images = torch.stack([pixels for pixels, _ in drawn])  # (seeds, b, c, h, w)
        labels = torch.stack([own for _, own in drawn]).repeat_interleave(each, dim=0)  # (n, b)
        optimizer.zero_grad(set_to_none=True)
        scores = packed(images, training=True)  # (n, b, k)
        losses = F.cross_entropy(
            scores.flatten(0, 1), labels.flatten(), label_smoothing=config.label_smoothing, reduction="sum"
        )
        (losses / labels.shape[1]).backward()  # the mean over the images, summed over the networks
        optimizer.step()


@torch.no_grad()
def evaluate(
    packed: Packed, data: Sequence[ImageData], images: Sequence[Images], clip: float
) -> list[tuple[float, float]]:
    """Return each network's accuracy (0..1) and mean log-likelihood (nats, at least -clip an image).

    images: of each seed, equally many.
    """
    right = torch.zeros(packed.count, dtype=torch.float64)
    likelihood = torch.zeros(packed.count, dtype=torch.float64)
    each = packed.count // len(packed.seeds)
    for start in range(0, len(images[0]), 250):
        parts = [
            (own.prepare(one.pixels[start : start + 250], True), one.labels[start : start + 250])
            for own, one in zip(data, images, strict=True)
        ]
        labels = torch.stack([own for _, own in parts]).repeat_interleave(each, dim=0)  # (n, b)
        scores = packed(torch.stack([pixels for pixels, _ in parts]), training=False)  # (n, b, k)
        right += (scores.argmax(dim=2) == labels).sum(dim=1)
        logs = scores.log_softmax(dim=2).gather(2, labels[..., None])[..., 0]  # (n, b)
        likelihood += logs.double().clamp(min=-clip).sum(dim=1)
    count = len(images[0])
    return [(float(a) / count, float(b) / count) for a, b in zip(right, likelihood, strict=True)]
