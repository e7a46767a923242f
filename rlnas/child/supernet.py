"""Training the shared weights: every mini-batch trains the architectures drawn for it (ENAS, section 2.2)."""

import itertools
import math
from collections.abc import Iterable
from typing import Any

import torch

from rlnas.child.batches import Batches
from rlnas.child.network import Noise
from rlnas.child.norm import train_mode
from rlnas.child.trainer import Sgd, Trainer
from rlnas.child.weights import Weights
from rlnas.config import ChildConfig
from rlnas.data import ImageData
from rlnas.errors import RlnasError
from rlnas.execution import Execution
from rlnas.graph import Graph
from rlnas.seeding import torch_stream


def cosine_restarts(epoch: float, *, high: float, low: float, first: float, factor: float) -> float:
    """Learning rate at `epoch` (fractional): a cosine from `high` to `low` over `first` epochs, then again
    over `first * factor`, and so on (Loshchilov & Hutter 2017).
    """
    length = first
    while epoch >= length:
        epoch -= length
        length *= factor
    return low + (high - low) * (1 + math.cos(math.pi * epoch / length)) / 2


class Supernet:
    """The shared weights with all that trains them.

    version: grows with every training run, so that scores can be cached by it.
    """

    def __init__(
        self,
        config: ChildConfig,
        data: ImageData,
        *,
        track_statistics: bool,
        execution: Execution,
        seed: int,
    ):
        self.config = config
        self.execution = execution
        self.weights = Weights(
            seed,
            track_statistics=track_statistics,
            device=execution.device,
            channels_last=execution.channels_last,
        )
        self.batches = Batches(
            data,
            batch_size=config.batch_size,
            execution=execution,
            seed=seed,
            purpose="child",
        )
        noise = Noise(config.dropout, config.drop_path, torch_stream(seed, "child/noise", execution.device))
        sgd = Sgd(config.momentum, config.weight_decay, config.clip, config.label_smoothing)
        self.trainer = Trainer(self.weights, self.batches, noise, sgd)
        self.version = 0

    @property
    def epoch(self) -> float:
        """How many epochs the weights have been trained for."""
        return self.trainer.steps / self.batches.per_epoch

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return cosine_restarts(
            self.epoch,
            high=self.config.learning_rate,
            low=self.config.learning_rate_min,
            first=self.config.restart_epochs,
            factor=self.config.restart_factor,
        )

    def steps_for(self, epochs: float) -> int:
        """Mini-batches in this many epochs."""
        return round(epochs * self.batches.per_epoch)

    def train(self, graphs: Iterable[Graph], steps: int, *, what: str) -> float:
        """Take `steps` steps, each on the next `architectures_per_step` graphs; returns the mean loss.

        Raises RlnasError, naming `what` was being trained, when the loss is not finite.
        """
        train_mode(self.weights)
        supply = iter(graphs)
        total = torch.zeros((), device=self.execution.device)
        for _ in range(steps):
            chosen = list(itertools.islice(supply, self.config.architectures_per_step))
            total += self.trainer.step(chosen, self.learning_rate)
        self.version += 1
        loss = float(total) / max(steps, 1)  # read once: no synchronisation in each step
        if not math.isfinite(loss):
            raise RlnasError(
                f"{what}: the loss of the shared weights is {loss}; lower child.learning_rate "
                f"(now {self.config.learning_rate:g}) or set child.clip (now {self.config.clip:g}, 0 is off)"
            )
        return loss

    def state(self) -> dict[str, Any]:
        """Everything the next training depends on."""
        return {"trainer": self.trainer.state(), "version": self.version}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.trainer.restore(state["trainer"])
        self.version = state["version"]
