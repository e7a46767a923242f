"""BN policies: with which statistics a child normalises when it is scored.

batch: those of the evaluated batch. Nothing is remembered, so no path pollutes another and no validation
    image enters a buffer. The default.
recalibrate: running statistics, estimated anew for each child on a few training batches.
running: running statistics as training left them, mixed over all paths; cheap, and the known trap.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from rlnas.child.network import run
from rlnas.child.weights import Weights
from rlnas.graph import Graph


def use_batch_statistics(weights: Weights, graph: Graph) -> None:
    """Normalise by the batch in hand and leave every buffer alone."""
    weights.eval()
    for norm in weights.norms(graph):
        norm.train()
        norm.track_running_stats = False  # torch's own switch: batch statistics, buffers untouched


def use_running_statistics(weights: Weights, graph: Graph) -> None:
    """Normalise by the running statistics, without changing them."""
    weights.eval()
    for norm in weights.norms(graph):
        norm.track_running_stats = True


def train_mode(weights: Weights) -> None:
    """Back to training: batch statistics, and running ones updated where they are kept."""
    weights.train()
    for norm in weights.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.track_running_stats = weights.track_statistics


@torch.no_grad()
def recalibrate(weights: Weights, graph: Graph, batches: Iterable[Tensor]) -> None:
    """Estimate this graph's running statistics anew: their mean over training batches (b, c, h, w)."""
    weights.eval()
    norms = list(weights.norms(graph))
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.track_running_stats = True
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
        norm.train()
    for batch in batches:
        run(graph, weights, batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
