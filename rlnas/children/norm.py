"""BN policies: with which statistics a child normalises when it is scored.

batch: those of the evaluated batch. Nothing is remembered, so no path pollutes another and no validation
    image enters a buffer. The default.
recalibrate: running statistics, estimated anew for each child on a few training batches.
running: running statistics as training left them, mixed over all paths; cheap, and the known trap.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rlnas.children.network import BeforeNode, run_merged
from rlnas.children.weights import Weights
from rlnas.networks.graph import Graph
from rlnas.networks.merge import Merged


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
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = weights.track_statistics


@contextmanager
def recalibrated(weights: Weights, merged: Merged, batches: Iterable[Tensor]) -> Iterator[BeforeNode]:
    """Within, each node normalises by its own mean of statistics over training batches (b, c, h, w).

    By its own, since nodes of two architectures may share a weight key and see different inputs. Yields
    what `run_merged` has to call before a node; afterwards every layer has its old buffers again.
    """
    of_node: dict[int, list[dict[str, Tensor]]] = {}
    norms = list(dict.fromkeys(weights.norms(merged.graph)))  # in order, each once
    old = [(norm.momentum, dict(norm.named_buffers())) for norm in norms]

    def enter(index: int, module: nn.Sequential) -> None:
        mine = [layer for layer in module if isinstance(layer, nn.BatchNorm2d)]
        if index not in of_node:
            for norm in mine:
                for name, buffer in norm.named_buffers():
                    setattr(norm, name, torch.empty_like(buffer))
                norm.reset_running_stats()
            of_node[index] = [dict(norm.named_buffers()) for norm in mine]
        for norm, buffers in zip(mine, of_node[index], strict=True):
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)

    try:
        weights.eval()
        for norm in norms:
            norm.track_running_stats = True
            norm.momentum = None  # cumulative mean
            norm.train()
        with torch.no_grad():
            for batch in batches:
                run_merged(merged, weights, batch, before=enter)
        for norm in norms:
            norm.eval()
        yield enter
    finally:
        for norm, (momentum, buffers) in zip(norms, old, strict=True):
            norm.momentum = momentum
            for name, buffer in buffers.items():
                setattr(norm, name, buffer)
