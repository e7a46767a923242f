"""Runs a relaxation: the interpreter of rlnas.children.network with mixed nodes.

Axes: b images, c channels, h height, w width, k classes, r choices, a alternatives.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlnas.children.network import Noise, apply
from rlnas.children.weights import Weights
from rlnas.networks.graph import INPUT
from rlnas.networks.relaxation import Relaxation


def run_relaxed(
    relaxation: Relaxation,
    weights: Weights,
    images: Tensor,
    shares: Tensor,
    noise: Noise | None = None,
    chosen: Sequence[int] | None = None,
) -> Tensor:
    """Return class scores (b, k) of normalised images (b, c, h, w).

    shares: (r, a), the weight of each alternative of each choice; columns past a choice's own alternatives are unused.
    chosen: one alternative of each choice; then only the nodes that these need run, each mixed node with the weight of
    its one alternative (GDAS). None: all. noise: None outside training; drop path has no effect on mixed nodes.
    """
    nodes = relaxation.graph.nodes
    order = range(len(nodes)) if chosen is None else relaxation.path(chosen)
    outputs: dict[int, Tensor] = {INPUT: images}
    for index in order:
        node = nodes[index]
        used = relaxation.inputs(index, chosen)
        if index in relaxation.mixtures:
            row = shares[relaxation.mixtures[index].choice]  # (a,)
            found = [row[alternative] * outputs[source] for alternative, source in used]
            shape = (len(images), node.channels, *node.size)
            outputs[index] = sum(found[1:], found[0]) if found else images.new_zeros(shape)
        else:
            outputs[index] = apply(node, [outputs[source] for _, source in used], weights.of(node), noise)
    return outputs[len(nodes) - 1]


def masked_logits(logits: Tensor, counts: Sequence[int]) -> Tensor:
    """Return logits (r, a) with -inf past each choice's number of alternatives, `counts`."""
    columns = torch.arange(logits.shape[1], device=logits.device)
    limits = torch.tensor(list(counts), device=logits.device).unsqueeze(1)  # (r, 1)
    return logits.masked_fill(columns >= limits, float("-inf"))
