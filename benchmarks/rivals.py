"""rlnas and two plain baselines, in alternating processes, so that both sides of a ratio come from the same run.

Allocator settings apply to a whole process and cannot be reverted, hence the processes. While one runs, the others
block on their next call and use no processor time.
"""

import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.plain import PlainChild, score, train_step
from rlnas.children.supernet import Supernet
from rlnas.config.schema import ChildConfig, ExecutionConfig, SharedWeightsConfig
from rlnas.data import ImageData, Images
from rlnas.data.augment import Augmentation
from rlnas.data.images import Decoded, statistics
from rlnas.evaluators import SharedWeightsEvaluator
from rlnas.execution.rule import Layers
from rlnas.execution.settings import Execution, set_up
from rlnas.spaces import Architecture, NasrlSpace
from rlnas.spaces.networks import Networks

LABELS = {"ours": "rlnas", "plain": "(a) plain fp32 NCHW", "best": "(b) plain, best setting"}


@dataclass(frozen=True)
class Work:
    """The workload of every rival. layers, filters: of ENAS's space; images: to score; batch: images per pass."""

    layers: int = 12
    filters: int = 36
    images: int = 1000
    batch: int = 500
    train_batch: int = 128
    memory_mb: int = 1024
    threads: int = 0
    precision: str = "auto"


class Rival:
    """Runs the workload in the child process."""

    def __init__(self, name: str, work: Work, recorded: dict[str, Any] | None):
        self.name = name
        self.work = work
        options = ExecutionConfig(threads=work.threads, memory_mb=work.memory_mb, precision=work.precision)
        if name == "plain":
            options = ExecutionConfig(
                threads=work.threads, precision="float32", memory_format="contiguous", keep_buffers=False
            )
            recorded = None
        layers = Layers(work.train_batch, work.filters, (32, 32))
        self.execution: Execution = set_up(options, recorded, layers)
        self.space = NasrlSpace(work.layers, filters=work.filters)
        self.networks = Networks(self.space, 3, 32, 10)
        self.data = random_images(4 * work.train_batch, work.images)
        config = ChildConfig(batch_size=work.train_batch, dropout=0.0)
        self.supernet = Supernet(config, self.data, track_statistics=False, execution=self.execution, seed=0)
        evaluation = SharedWeightsConfig(images=work.images, batch_size=work.batch)
        self.evaluator = SharedWeightsEvaluator(evaluation, self.supernet, self.data, self.networks, seed=0)
        self.plain: dict[Architecture, tuple[PlainChild, torch.optim.Optimizer]] = {}

    def about(self) -> dict[str, Any]:
        """Return device and execution settings."""
        return self.execution.describe()

    def prepare(self, architectures: list[Architecture]) -> None:
        """Create what is not measured: weights, plain modules and their optimizers."""
        self.plain = {}
        for architecture in architectures:
            graph = self.networks.graph(architecture)
            self.supernet.weights.ensure(graph)
            if self.name != "ours" and architecture not in self.plain:
                child = PlainChild(graph, self.supernet.weights, self.execution)
                sgd = torch.optim.SGD(child.parameters(), lr=0.01, momentum=0.9, weight_decay=2.5e-4, nesterov=True)
                self.plain[architecture] = (child, sgd)

    def score(self, architectures: list[Architecture]) -> tuple[float, list[float]]:
        """Return the seconds to score all architectures on the whole validation split, uncached, and the accuracies."""
        start = time.perf_counter()
        if self.name == "ours":
            found = [one.accuracy for one in self.evaluator.evaluate_fully(architectures)]
        else:
            children = [self.plain[architecture][0] for architecture in architectures]
            found = score(children, self.data, self.work.batch, self.execution)
        return time.perf_counter() - start, found

    def train(self, architectures: list[Architecture]) -> float:
        """Return the seconds for one training step on each architecture, augmentation included."""
        start = time.perf_counter()
        if self.name == "ours":
            self.supernet.train(map(self.networks.graph, architectures), len(architectures))
        else:
            for architecture in architectures:
                images, labels = self.supernet.batches.next()
                child, sgd = self.plain[architecture]
                train_step(child, sgd, images, labels, self.supernet.config.clip, self.execution)
        return time.perf_counter() - start

    def peak_mb(self) -> float:
        """Return the largest resident size of this process so far, MiB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _serve(connection: Connection, name: str, work: Work, recorded: dict[str, Any] | None) -> None:
    rival = Rival(name, work, recorded)
    while (order := connection.recv()) is not None:
        method, arguments = order
        connection.send(getattr(rival, method)(*arguments))


class Order:
    """A rival in another process."""

    def __init__(self, name: str, work: Work, recorded: dict[str, Any] | None = None):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, name, work, recorded), daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Call a method of the rival; wait for its result and return it."""
        self.connection.send((method, arguments))
        return self.connection.recv()

    def stop(self) -> None:
        """End the process."""
        self.connection.send(None)
        self.process.join()


@contextmanager
def rivals(work: Work, names: Sequence[str] = ("ours", "plain", "best")) -> Iterator[dict[str, Order]]:
    """Start the processes, by name; `best` uses the number format and layout that `ours` chose."""
    ours = Order("ours", work)
    recorded = ours("about")
    found = {name: ours if name == "ours" else Order(name, work, recorded) for name in names}
    try:
        yield found
    finally:
        for order in {id(order): order for order in (ours, *found.values())}.values():
            order.stop()


def take_turns(
    found: dict[str, Order], do: Callable[[Order], float], repeats: int, plain_repeats: int | None = None
) -> dict[str, float]:
    """Return the median seconds of each rival over `repeats` turns; (a), the slowest, over the first plain_repeats."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(repeats):
        for name, order in found.items():
            if name != "plain" or plain_repeats is None or turn < plain_repeats:
                seconds[name].append(do(order))
    return {name: median(values) for name, values in seconds.items()}


def batches_of(space: NasrlSpace, count: int, seed: int = 0) -> dict[str, list[Architecture]]:
    """Return typical batches of a search: random; two mutations of one architecture each (evolution); drawn from a
    converging policy, which takes nine of ten decisions from its preferred architecture.
    """
    rng = np.random.default_rng(seed)
    favourite = space.sample(rng)
    policy = []
    for _ in range(count):
        drawn = space.sample(rng)
        keep = rng.random(len(favourite)) < 0.9
        policy.append(tuple(f if k else d for f, d, k in zip(favourite, drawn, keep, strict=True)))
    return {
        "random": [space.sample(rng) for _ in range(count)],
        "mutated": [space.mutate(space.mutate(favourite, rng), rng) for _ in range(count)],
        "policy": policy,
    }


def close(ratios: dict[str, float], about: dict[str, Any]) -> None:
    """Print the last lines of a benchmark: execution settings, the machine with its load, the ratios as JSON."""
    print(f"{about['precision']}, {about['memory_format']}, {about['threads']} threads; {describe()}")
    print(f"load averages {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    print(json.dumps({name: round(value, 3) for name, value in ratios.items()}))


def random_images(training: int, validation: int) -> ImageData:
    """Return noise in CIFAR-10's shape: the time does not depend on the images' content."""
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> Images:
        pixels = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return Images(pixels, torch.randint(10, (count,), generator=generator))

    train, valid = draw(training), draw(validation)
    mean, std = statistics(train.pixels)
    classes = tuple("0123456789")

    def no_test() -> Decoded:
        raise AssertionError("a benchmark has no test split")

    return ImageData("noise", classes, 3, 32, train, valid, mean, std, Augmentation(crop=4, flip=True), no_test)
