"""Training the shared weights: every mini-batch trains the architectures drawn for it (ENAS, section 2.2)."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch

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

    purpose: names the random streams of its training.
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
        purpose: str = "child",
    ):
        self.config = config
        self.execution = execution
        self.weights = Weights(
            seed,
            track_statistics=track_statistics,
            device=execution.device,
            channels_last=execution.channels_last,
            compile=execution.compile,
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
        self.version = 0

    @property
    def epoch(self) -> float:
        """How many epochs the weights have been trained for."""
        return self.trainer.steps / self.batches.per_epoch

    def learning_rate(self, step: int) -> float:
        """Of the step before which `step` others were taken."""
        return cosine_restarts(
            step / self.batches.per_epoch,
            high=self.config.learning_rate,
            low=self.config.learning_rate_min,
            first=self.config.restart_epochs,
            factor=self.config.restart_factor,
        )

    def steps_until(self, epochs: float) -> int:
        """Steps that are missing until the weights have been trained for `epochs` in all.

        Counted from the start, so that parts of an epoch never add up to a step more than the whole, which
        would be the first of the next cosine: one step at its high rate undoes the annealing.
        """
        return max(0, round(epochs * self.batches.per_epoch) - self.trainer.steps)

    def train(self, graphs: Iterable[Graph], steps: int, *, what: str) -> float:
        """Take `steps` steps, each on the next `architectures_per_step` graphs; returns the mean loss.

        Raises Diverged, naming `what` was being trained, when the loss is not finite.
        """
        train_mode(self.weights)
        supply = iter(graphs)
        total = torch.zeros((), device=self.execution.device)
        for _ in range(steps):
            chosen = list(itertools.islice(supply, self.config.architectures_per_step))
            total += self.trainer.step(chosen, self.learning_rate(self.trainer.steps))
        self.version += 1
        loss = float(total) / max(steps, 1)  # read once: no synchronisation in each step
        if not math.isfinite(loss):
            raise Diverged(
                f"{what}: the loss of the shared weights is {loss}; lower child.learning_rate "
                f"(now {self.config.learning_rate:g}) or set child.clip (now {self.config.clip:g}, 0 is off)"
            )
        return loss

    def alone(
        self,
        graph: Graph,
        data: ImageData,
        *,
        epochs: float,
        seed: int,
        from_shared: bool = True,
        stopped: Callable[[], bool] = lambda: False,
    ) -> "Supernet":
        """Weights of their own for `graph`, trained for `epochs` (> 0) with this graph only.

        Weights that serve all architectures suit none; after a short training of its own, what an
        architecture can do shows better. Same recipe, one cosine, and for every graph the same batches.
        The shared weights stay as they are.

        from_shared: start from a copy of the shared weights; else from new ones, as a network from scratch.
        stopped: asked before each step.

        Raises Diverged when the loss is not finite, InterruptedError when `stopped()`.
        """
        self.weights.ensure(graph)
        config = replace(self.config, restart_epochs=epochs, architectures_per_step=1)
        track_statistics = self.weights.track_statistics
        # several may train at once, and none may depend on how many do
        execution = replace(self.execution, threads=1, scoring_threads=1)
        copy = Supernet(
            config, data, track_statistics=track_statistics, execution=execution, seed=seed, purpose="alone"
        )
        copy.weights.ensure(graph)
        if from_shared:
            shared = self.weights.state_dict()
            copy.weights.load_state_dict({name: shared[name] for name in copy.weights.state_dict()})
        steps = max(1, copy.steps_until(epochs))

        def supply() -> Iterator[Graph]:
            while not stopped():
                yield graph
            raise InterruptedError("the training of an architecture alone was stopped")

        copy.train(supply(), steps, what="an architecture alone")
        return copy

    def state(self) -> dict[str, Any]:
        """Everything the next training depends on."""
        return {"trainer": self.trainer.state(), "version": self.version}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.trainer.restore(state["trainer"])
        self.version = state["version"]
