"""Train the shared weights: every mini-batch trains the architectures drawn for it (ENAS, section 2.2)."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from rlnas.children.average import AverageWeights
from rlnas.children.batches import Batches
from rlnas.children.network import Noise
from rlnas.children.norm import train_mode
from rlnas.children.trainer import Sgd, Trainer
from rlnas.children.weights import Weights
from rlnas.config.schema import ChildConfig
from rlnas.data import ImageData
from rlnas.errors import Diverged
from rlnas.execution.settings import Execution
from rlnas.networks.graph import Graph
from rlnas.seeding import torch_stream


def cosine_restarts(epoch: float, *, high: float, low: float, first: float, factor: float) -> float:
    """Return the learning rate at `epoch` (fractional): a cosine from `high` to `low` over `first` epochs, the next
    over `first * factor`, and so on (Loshchilov & Hutter 2017).
    """
    length = first
    while epoch >= length:
        epoch -= length
        length *= factor
    return low + (high - low) * (1 + math.cos(math.pi * epoch / length)) / 2


class Supernet:
    """The shared weights and their training.

    purpose: names the random streams of the training.
    version: incremented by every call of `train`, so that scores can be cached by it.
    """

    def __init__(
        self,
        config: ChildConfig,
        data: ImageData,
        *,
        track_statistics: bool,
        execution: Execution,
        seed: int,
        purpose: str = "child",
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
            purpose=purpose,
        )
        noise = Noise(config.dropout, config.drop_path, torch_stream(seed, f"{purpose}/noise", execution.device))
        sgd = Sgd(config.momentum, config.weight_decay, config.clip, config.label_smoothing)
        self.trainer = Trainer(self.weights, self.batches, noise, sgd)
        self.average: AverageWeights | None = None
        if config.average_epochs:
            self.average = AverageWeights(self.weights, config.average_epochs * self.batches.per_epoch)
        self.version = 0

    @property
    def scored(self) -> Weights:
        """The weights to score with: their moving average if `child.average_epochs` is set, else those trained."""
        return self.weights if self.average is None else self.average.weights

    @property
    def epoch(self) -> float:
        """Number of epochs the weights have been trained for."""
        return self.trainer.steps / self.batches.per_epoch

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of step `step`, counted from 0."""
        return cosine_restarts(
            step / self.batches.per_epoch,
            high=self.config.learning_rate,
            low=self.config.learning_rate_min,
            first=self.config.restart_epochs,
            factor=self.config.restart_factor,
        )

    def steps_until(self, epochs: float) -> int:
        """Return the number of steps left until the weights have been trained for `epochs` in total.

        Counted from the start, so that rounding of fractional epochs never adds an extra step. That step would be
        the first of the next cosine, and one step at its high rate undoes the annealing.
        """
        return max(0, round(epochs * self.batches.per_epoch) - self.trainer.steps)

    def train(self, graphs: Iterable[Graph], steps: int) -> float:
        """Take `steps` optimizer steps, each on the next `architectures_per_step` graphs; return the mean loss.

        Raises Diverged when the loss is not finite.
        """
        supply = iter(graphs)

        def step(learning_rate: float) -> Tensor:
            chosen = list(itertools.islice(supply, self.config.architectures_per_step))
            return self.trainer.step(chosen, learning_rate)

        return self.repeat(step, steps)

    def repeat(self, step: Callable[[float], Tensor], steps: int) -> float:
        """Take `steps` optimizer steps of any kind; return the mean loss.

        step: takes one step of `trainer` at the learning rate that it is given, and returns the loss, a scalar tensor.

        Raises Diverged when the loss is not finite.
        """
        train_mode(self.weights)
        total = torch.zeros((), device=self.execution.device)
        for _ in range(steps):
            total += step(self.learning_rate(self.trainer.steps))
            if self.average is not None:
                self.average.update()
        self.version += 1
        loss = float(total) / max(steps, 1)  # read once, to avoid a synchronisation in each step
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss of the shared weights is {loss}; lower child.learning_rate "
                f"(now {self.config.learning_rate:g}) or set child.clip (now {self.config.clip:g}, 0 is off)"
            )
        return loss

    def state(self) -> dict[str, Any]:
        """Return all that the next training depends on."""
        average = {} if self.average is None else {"average": self.average.state()}
        return {"trainer": self.trainer.state(), "version": self.version, **average}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.trainer.restore(state["trainer"])
        if self.average is not None:
            self.average.restore(state["average"])
        self.version = state["version"]
