"""The interpreter: runs a graph with a set of weights, for supernet and stand-alone child alike.

Axes: b images, c channels, h height, w width, k classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rlnas.children.checks import check_normalised, check_pixels
from rlnas.children.weights import Weights
from rlnas.data import prepare
from rlnas.errors import RlnasError
from rlnas.networks.graph import INPUT, Graph, Node
from rlnas.networks.merge import Merged, merge
from rlnas.networks.operators import JOINS

BeforeNode = Callable[[int, nn.Sequential], None]


@dataclass
class Noise:
    """Dropout and drop path in training, drawn from a generator on the tensors' device.

    dropout: share of the pooled features zeroed before the classifier.
    drop_path: probability, for each image, that a sum drops an input that is an operator's output (a layer with skips
        then outputs only the skips); a kept one is divided by 1 - drop_path (Larsson et al. 2017). `Node.own` says
        which inputs of a sum can be dropped; other sums are not changed.
    """

    dropout: float
    drop_path: float
    generator: torch.Generator

    def drop(self, features: Tensor, rate: float, shape: tuple[int, ...]) -> Tensor:
        """Zero parts of `features` with probability `rate`, one draw for each element of `shape`."""
        if rate == 0:
            return features
        draws = torch.rand(shape, generator=self.generator, device=features.device)
        return features * (draws >= rate).to(features.dtype) / (1 - rate)


def run(graph: Graph, weights: Weights, images: Tensor, noise: Noise | None = None) -> Tensor:
    """Return class scores (b, k) of normalised images (b, c, h, w); only the graph's nodes run.

    noise: None outside training.
    """
    return run_merged(merge([graph]), weights, images, noise)[0]


def run_merged(
    merged: Merged,
    weights: Weights,
    images: Tensor,
    noise: Noise | None = None,
    before: BeforeNode | None = None,
) -> list[Tensor]:
    """Return class scores (b, k) of each of the merged graphs for normalised images (b, c, h, w).

    An activation is freed after its last use. noise: None outside training; a node that graphs share
    draws once for all of them. before: called with a node's index and module before it runs.
    """
    outputs: list[Tensor | None] = []
    for index, (node, spent) in enumerate(zip(merged.graph.nodes, merged.graph.last_uses, strict=True)):
        inputs = [images if source == INPUT else outputs[source] for source in node.inputs]
        module = weights.of(node)
        if before is not None and module is not None:
            before(index, module)
        outputs.append(apply(node, [value for value in inputs if value is not None], module, noise))
        for source in spent:
            outputs[source] = None
    scores = [outputs[head] for head in merged.heads]
    return [value for value in scores if value is not None]


def apply(node: Node, inputs: list[Tensor], module: nn.Sequential | None, noise: Noise | None) -> Tensor:
    """Return the output (b, node.channels, h, w) of one node, or the class scores (b, k) of the head."""
    if node.operator in JOINS:
        return _joined(node, inputs, noise)
    x = inputs[0]  # (b, c, h, w)
    if node.operator == "pad":
        height, width = node.size
        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))
    if module is None:
        return x
    if node.operator == "head":
        features = module[0](x)  # (b, c)
        if noise is not None:
            features = noise.drop(features, noise.dropout, tuple(features.shape))
        scores: Tensor = module[1](features)  # (b, k)
        return scores.to(torch.promote_types(scores.dtype, torch.float32))
    out: Tensor = module(x)
    return out


def _joined(node: Node, inputs: list[Tensor], noise: Noise | None) -> Tensor:
    """Return the sum, product or concatenation of the inputs (b, c, h, w); a sum drops some of them in training."""
    if node.operator == "concat":
        return torch.cat(inputs, dim=1)  # (b, sum of c, h, w)
    if noise is not None and node.own:
        inputs = list(inputs)
        for place in node.own:
            inputs[place] = noise.drop(inputs[place], noise.drop_path, (inputs[place].shape[0], 1, 1, 1))
    x = inputs[0]
    if node.operator == "product":
        for other in inputs[1:]:
            x = x * other
        return x
    if len(inputs) > 1:
        x = x + inputs[1]
    for skip in inputs[2:]:
        x += skip  # in place: `x` is a new tensor here, and the gradient of addition needs no input
    return x


class Child(nn.Module):
    """A stand-alone network: one graph and a private set of weights.

    It computes as it was trained: operators in `dtype` (float32, or bfloat16 by autocast) and in the memory
    format of `weights`. On a processor without bfloat16, torch emulates it, more slowly.

    classes: names of the k classes. mean, std: per channel, on the scale 0..1, of the training images.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        *,
        classes: tuple[str, ...],
        mean: Tensor,
        std: Tensor,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        self.graph = graph
        self.weights = weights
        self.classes = classes
        self.dtype = dtype
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("std", std.float(), persistent=False)
        weights.ensure(graph)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (b, k), float32, of normalised float images (b, c, h, w).

        Normalised means (x - mean) / std with x in 0..1; `predict` normalises. Raises RlnasError for images that are
        not floating-point or differ in shape from the training images.
        """
        check_normalised(images, self.graph.channels, self.graph.size)
        layout = torch.channels_last if self.weights.channels_last else torch.contiguous_format
        images = images.to(self.mean).contiguous(memory_format=layout)  # the network's device and dtype
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return run(self.graph, self.weights, images)

    @torch.no_grad()
    def predict(self, pixels: Tensor, batch_size: int = 500) -> Tensor:
        """Return class probabilities (b, k), float32, of uint8 images (b, c, h, w) of the trained size, in eval mode.

        The accuracies in result.json count its highest probabilities. Images are processed `batch_size` (>= 1)
        at a time; another batch size may change the last digits.

        Raises RlnasError for images that are not uint8 or differ in shape from the training images.
        """
        check_pixels(pixels, self.graph.channels, self.graph.size)
        if batch_size < 1:
            raise RlnasError(f"batch_size is {batch_size}, expected at least 1")
        was_training = self.training
        self.eval()
        try:
            parts = [
                self(prepare(part.to(self.mean.device), self.mean, self.std, self.weights.channels_last)).softmax(dim=1)
                for part in pixels.split(batch_size)
            ]
        finally:
            self.train(was_training)
        return torch.cat(parts)
