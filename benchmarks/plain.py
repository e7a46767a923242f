"""The baseline: stand-alone PyTorch modules, one for each architecture, run one by one as in other packages."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rlnas.children.layers import BatchNorm, MaxPool
from rlnas.children.weights import Weights, build_operator
from rlnas.data import ImageData
from rlnas.execution.settings import Execution
from rlnas.networks.graph import INPUT, Graph


class PlainChild(nn.Module):
    """An ordinary module of one architecture with copies of the shared weights; BN by the batch's statistics."""

    def __init__(self, graph: Graph, weights: Weights, execution: Execution):
        super().__init__()
        self.graph = graph
        operators: list[nn.Module] = []
        for node in graph.nodes:
            if node.key is None:
                operators.append(nn.Identity())
                continue
            module = build_operator(node.operator, graph.in_channels(node), node.channels, node.stride, False)
            module.load_state_dict(weights.by_key[node.key].state_dict(), strict=False)
            operators.append(nn.Sequential(*map(_plain, module)))
        self.operators = nn.ModuleList(operators)
        layout = torch.channels_last if execution.channels_last else torch.contiguous_format
        self.to(device=execution.device, memory_format=layout)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (b, k) of images (b, c, h, w). Each output is freed after its last use."""
        outputs: dict[int, Tensor] = {INPUT: images}
        for index, (node, operator) in enumerate(zip(self.graph.nodes, self.operators, strict=True)):
            inputs = [outputs[source] for source in node.inputs]
            if node.operator == "sum":
                outputs[index] = sum(inputs[1:], start=inputs[0])
            else:
                outputs[index] = operator(inputs[0])
            for source in self.graph.last_uses[index]:
                del outputs[source]
        return outputs[len(self.graph.nodes) - 1].float()


def _plain(layer: nn.Module) -> nn.Module:
    """Return the torch module that corresponds to a layer of rlnas."""
    if isinstance(layer, MaxPool):
        return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, BatchNorm):
        norm = nn.BatchNorm2d(layer.num_features, track_running_stats=False)
        norm.load_state_dict(layer.state_dict(), strict=False)
        return norm
    return layer


@torch.no_grad()
def score(children: Sequence[PlainChild], data: ImageData, batch: int, execution: Execution) -> list[float]:
    """Return the accuracy of each child on the validation split, in batches of at most `batch` images."""
    valid = data.valid.in_content_order()  # as rlnas takes them
    total = len(valid)
    parts = -(-total // batch)
    batches = [
        (data.prepare(pixels, execution.channels_last), labels)  # (b, c, h, w), (b,)
        for pixels, labels in zip(valid.pixels.tensor_split(parts), valid.labels.tensor_split(parts), strict=True)
    ]
    found = []
    for child in children:
        correct = torch.zeros((), dtype=torch.int64, device=execution.device)
        for images, labels in batches:
            with execution.autocast():
                scores = child(images)  # (b, k)
            correct += (scores.argmax(dim=1) == labels).sum()
        found.append(int(correct) / total)
    return found


def train_step(
    child: PlainChild,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    clip: float,
    execution: Execution,
) -> None:
    """Take one optimizer step."""
    optimizer.zero_grad(set_to_none=True)
    with execution.autocast():
        scores = child(images)
    F.cross_entropy(scores, labels).backward()
    nn.utils.clip_grad_norm_(child.parameters(), clip)
    optimizer.step()
