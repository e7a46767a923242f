"""Train one child alone and score it on the validation split, as an independent piece of work."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from rlnas.children.network import Child
from rlnas.children.retrain import Retraining
from rlnas.children.supernet import Supernet
from rlnas.config.schema import ChildConfig, RetrainConfig
from rlnas.data import ImageData, Images
from rlnas.errors import Diverged
from rlnas.evaluators.base import Score
from rlnas.evaluators.measures import LOWEST, answers, measured
from rlnas.execution.settings import Execution
from rlnas.networks.graph import Graph
from rlnas.seeding import stream_seed
from rlnas.spaces import Architecture
from rlnas.spaces.networks import Networks


@dataclass(frozen=True)
class Recipe:
    """Settings common to all children that are trained from scratch.

    images: those that the children are scored on. batch_size: images in a forward pass of scoring.
    """

    config: RetrainConfig
    data: ImageData
    images: Images
    execution: Execution
    seed: int
    batch_size: int


class ToTrain(NamedTuple):
    """The networks of a training from scratch; auxiliary: see `Space.auxiliary`, None if its loss has no weight."""

    graph: Graph
    auxiliary: Graph | None = None


def to_train(networks: Networks, architecture: Architecture, config: RetrainConfig) -> ToTrain:
    """Return the stand-alone networks of one training; the auxiliary one if its loss has a weight."""
    auxiliary = networks.auxiliary(architecture) if config.auxiliary else None
    return ToTrain(networks.standalone(architecture), auxiliary)


def train_from_scratch(recipe: Recipe, network: ToTrain, stopped: Callable[[], bool]) -> Score:
    """Train a network from scratch and return its score, with running BN statistics as in later use."""
    start = time.perf_counter()

    def after_epoch(epoch: int, loss: float) -> None:
        if stopped():
            raise InterruptedError("the training of a child was stopped")

    training = Retraining(
        recipe.config,
        network.graph,
        recipe.data,
        execution=recipe.execution,
        seed=recipe.seed,
        auxiliary=network.auxiliary,
    )
    try:
        child = training.train(after_epoch)
    except Diverged as error:
        return Score(dict(LOWEST), time.perf_counter() - start, failed=str(error))
    found = _values(child, recipe.images, recipe.batch_size)
    return Score(found, time.perf_counter() - start, images=len(recipe.images))


def _values(child: Child, images: Images, batch_size: int) -> dict[str, float]:
    """Return accuracy, soft accuracy and log-likelihood of a network that was trained alone."""
    probabilities = child.predict(images.pixels, batch_size)  # (b, k)
    labels = images.labels.to(probabilities.device)
    return measured(answers(probabilities, probabilities, labels).cpu().numpy())


@dataclass(frozen=True)
class ShortTraining:
    """Settings common to all finalists that are trained alone.

    weights: the shared weights to start from, by name; None: from scratch. score: scores one trained network.
    """

    config: ChildConfig
    data: ImageData
    track_statistics: bool
    execution: Execution
    seed: int
    epochs: float
    weights: dict[str, Tensor] | None
    score: Callable[[Supernet, Graph], Score]


class Alone(NamedTuple):
    """One training alone. repeat: number of its random streams, >= 0; 0 names the streams of a single training."""

    graph: Graph
    repeat: int = 0


def seed_of(seed: int, repeat: int) -> int:
    """Return the seed of the training number `repeat` of a network: the run's own for number 0."""
    return stream_seed(seed, f"alone/{repeat}") if repeat else seed


def train_shortly(common: ShortTraining, item: Alone, stopped: Callable[[], bool]) -> Score:
    """Train a network alone for `epochs` (> 0) and return its score.

    Shared weights fit no single architecture well; a short training alone ranks architectures better. The learning
    rate follows one cosine and every network of a repeat gets the same batches. The shared weights are not changed.
    """
    start, graph = time.perf_counter(), item.graph
    alone = Supernet(
        replace(common.config, restart_epochs=common.epochs, architectures_per_step=1, average_epochs=0.0),
        common.data,
        track_statistics=common.track_statistics,
        # one thread each: several may train at once, and results must not depend on how many
        execution=replace(common.execution, threads=1, scoring_threads=1),
        seed=seed_of(common.seed, item.repeat),
        purpose="alone",
    )
    alone.weights.ensure(graph)
    if common.weights is not None:
        alone.weights.load_state_dict({name: common.weights[name] for name in alone.weights.state_dict()})
    steps = max(1, alone.steps_until(common.epochs))

    def supply() -> Any:
        while not stopped():
            yield graph
        raise InterruptedError("the training of an architecture alone was stopped")

    try:
        alone.train(supply(), steps)
    except Diverged as error:
        return Score(dict(LOWEST), time.perf_counter() - start, failed=str(error))
    return replace(common.score(alone, graph), seconds=time.perf_counter() - start)
