"""Shuffled, augmented, normalised mini-batches with a state that can be saved and restored."""

from typing import Any

import torch
from torch import Tensor

from rlnas.data import ImageData
from rlnas.execution.settings import Execution
from rlnas.seeding import torch_stream


class Batches:
    """Endless mini-batches of the training images, reshuffled each epoch; an incomplete last batch is dropped.

    purpose: names the random streams, so that search and retraining use different ones.
    """

    def __init__(
        self,
        data: ImageData,
        *,
        batch_size: int,
        execution: Execution,
        seed: int,
        purpose: str,
    ):
        self.data = data
        self.size = min(batch_size, len(data.train))
        self.per_epoch = len(data.train) // self.size
        self.execution = execution
        self.order_stream = torch_stream(seed, f"{purpose}/order")
        self.augment_stream = torch_stream(seed, f"{purpose}/augment", execution.device)
        self.order = torch.empty(0, dtype=torch.int64, device=execution.device)
        self.position = self.per_epoch  # the first batch draws an order

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next normalised images (b, c, h, w) and labels (b,)."""
        if self.position == self.per_epoch:
            order = torch.randperm(len(self.data.train), generator=self.order_stream)
            self.order = order.to(self.execution.device)  # once an epoch, so that no step copies it
            self.position = 0
        index = self.order[self.position * self.size : (self.position + 1) * self.size]
        self.position += 1
        batch = self.data.train.take(index)
        pixels = self.data.augment(batch.pixels, self.augment_stream)  # (b, c, h, w) uint8
        return self.data.prepare(pixels, self.execution.channels_last), batch.labels

    def state(self) -> dict[str, Any]:
        """Return all that the next batches depend on."""
        return {
            "order": self.order.to("cpu", copy=True),
            "position": self.position,
            "order_stream": self.order_stream.get_state(),
            "augment_stream": self.augment_stream.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.order, self.position = state["order"].to(self.execution.device), state["position"]
        self.order_stream.set_state(state["order_stream"])
        self.augment_stream.set_state(state["augment_stream"])
