"""BN policies: the statistics with which a child normalises when it is scored.

batch: of the evaluated batch (default). Nothing is stored, so architectures do not affect each other and no
    validation image enters a buffer.
recalibrate: running statistics, re-estimated for each child on a few training batches.
running: running statistics from training, mixed over all paths; cheap, and known to mislead.
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
    """Normalise by the current batch without changing any buffer."""
    weights.eval()
    for norm in weights.norms(graph):
        norm.train()
        norm.track_running_stats = False  # torch's switch for batch statistics with unchanged buffers


def use_running_statistics(weights: Weights, graph: Graph) -> None:
    """Normalise by the running statistics, without changing them."""
    weights.eval()
    for norm in weights.norms(graph):
        norm.track_running_stats = True


def train_mode(weights: Weights) -> None:
    """Set the weights to training: batch statistics, and running ones updated where they are kept."""
    weights.train()
    for norm in weights.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats = weights.track_statistics


@contextmanager
def recalibrated(weights: Weights, merged: Merged, batches: Iterable[Tensor]) -> Iterator[BeforeNode]:
    """Normalise each node, within the context, by its mean statistics over training batches (b, c, h, w).

    Statistics are kept for each node, since nodes of two architectures may share a weight key but have different
    inputs. Yields the function that `run_merged` must call before a node; on exit every layer's buffers are restored.
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
