"""Train one architecture from scratch, alone."""

import math
from collections.abc import Callable
from typing import Any

import torch

from rlnas.children.batches import Batches
from rlnas.children.network import Child, Noise, run_merged
from rlnas.children.norm import train_mode
from rlnas.children.trainer import Sgd, Trainer
from rlnas.children.weights import Weights
from rlnas.config.schema import RetrainConfig
from rlnas.data import ImageData, Images
from rlnas.errors import Diverged
from rlnas.execution.settings import Execution
from rlnas.networks.graph import Graph
from rlnas.seeding import torch_stream


def one_cycle(progress: float, *, peak: float, warmup: float) -> float:
    """Return the learning rate at a share `progress` of all steps: up to `peak` over `warmup`, then a cosine to 0."""
    if progress < warmup:
        return peak * (0.1 + 0.9 * progress / warmup)
    return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def drop_path_rate(step: int, steps: int, *, last: float, schedule: str) -> float:
    """Return the probability of drop path at step `step` of `steps`, counted from 0.

    constant: `last`. linear: from 0 at the first step to `last` at the last one (the ScheduledDropPath of NASNet, Zoph
    et al. 2018). DARTS (Liu et al. 2019) raises it once an epoch, so it ends an epoch's share below `last`.
    """
    return last if schedule == "constant" else last * step / max(steps - 1, 1)


def new_child(graph: Graph, data: ImageData, *, execution: Execution, seed: int) -> Child:
    """Create an untrained stand-alone child on the device."""
    weights = Weights(
        seed,
        track_statistics=True,
        device=execution.device,
        channels_last=execution.channels_last,
    )
    child = Child(graph, weights, classes=data.classes, mean=data.mean, std=data.std, dtype=execution.dtype)
    return child.to(execution.device)


class Retraining:
    """Trains one child; can be saved and resumed after every epoch.

    auxiliary: a second network that shares nodes with `graph` and ends in a head of its own, see `Space.auxiliary`.
    With it the loss is that of the child + retrain.auxiliary * that of the auxiliary network
    (DARTS: 0.4). Both see the same batch, and shared nodes run once. Its own weights are dropped after the training.
    """

    def __init__(
        self,
        config: RetrainConfig,
        graph: Graph,
        data: ImageData,
        *,
        execution: Execution,
        seed: int,
        auxiliary: Graph | None = None,
    ):
        self.config = config
        self.execution = execution
        self.child = new_child(graph, data, execution=execution, seed=seed)
        self.graphs = [graph]
        self.loss_weights: tuple[float, ...] | None = None
        if auxiliary is not None and config.auxiliary:
            self.graphs, self.loss_weights = [graph, auxiliary], (1.0, config.auxiliary)
        batches = Batches(
            data,
            batch_size=config.batch_size,
            execution=execution,
            seed=seed,
            purpose="retrain",
        )
        noise = Noise(config.dropout, config.drop_path, torch_stream(seed, "retrain/noise", execution.device))
        sgd = Sgd(config.momentum, config.weight_decay, config.clip, config.label_smoothing)
        self.trainer = Trainer(self.child.weights, batches, noise, sgd, execution.repeated(run_merged))

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self.trainer.steps // self.trainer.batches.per_epoch

    def train(self, after_epoch: Callable[[int, float], None]) -> Child:
        """Train to the last epoch, calling `after_epoch(epochs done, mean loss)`; return the child.

        Raises Diverged when the loss is not finite.
        """
        per_epoch = self.trainer.batches.per_epoch
        total_steps = per_epoch * self.config.epochs
        while self.epoch < self.config.epochs:
            train_mode(self.child.weights)
            total = torch.zeros((), device=self.execution.device)
            for _ in range(per_epoch):
                progress = self.trainer.steps / total_steps
                rate = one_cycle(progress, peak=self.config.learning_rate, warmup=self.config.warmup)
                self.trainer.noise.drop_path = drop_path_rate(
                    self.trainer.steps, total_steps, last=self.config.drop_path, schedule=self.config.drop_path_schedule
                )
                total += self.trainer.step(self.graphs, rate, self.loss_weights)
            loss = float(total) / per_epoch
            if not math.isfinite(loss):
                raise Diverged(
                    f"retraining, epoch {self.epoch}: the loss is {loss}; lower retrain.learning_rate "
                    f"(now {self.config.learning_rate:g}) or set retrain.clip (now {self.config.clip:g})"
                )
            after_epoch(self.epoch, loss)
        self.child.weights.keep(self.child.graph)
        self.child.eval()
        return self.child

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return self.trainer.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.trainer.restore(state)


def accuracy(child: Child, images: Images, batch_size: int = 500) -> float:
    """Return the share in 0..1 of `images` whose label has the highest probability of `child.predict`."""
    found = child.predict(images.pixels, batch_size).argmax(dim=1)  # (b,)
    return int((found == images.labels.to(found.device)).sum()) / len(images)
