"""Children scored with the shared weights, all of an update on the same validation images."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlnas.children.network import BeforeNode, run_merged
from rlnas.children.norm import recalibrated, use_batch_statistics, use_running_statistics
from rlnas.children.supernet import Supernet
from rlnas.config.schema import EvaluatorConfig
from rlnas.data import ImageData, Images
from rlnas.errors import Diverged
from rlnas.evaluators.racing import hopeless
from rlnas.evaluators.score import Score
from rlnas.execution.settings import side_by_side
from rlnas.networks.graph import Graph
from rlnas.networks.merge import Merged, merge_within
from rlnas.seeding import torch_stream
from rlnas.spaces import Architecture


class SharedWeightsEvaluator:
    """Accuracy of children of a supernet on validation images.

    For each version of the weights, `images` of the validation split are drawn once; every child scored
    with that version sees the same ones. A different draw for each child would add about three points of
    noise at 128 images, more than children differ by. Scores are remembered by (architecture, version).

    Images are batched in an order that depends on their content alone. Batch statistics and racing need batches that
    are samples of the split: in files sorted by class a batch holds some of the classes only.
    """

    def __init__(
        self,
        config: EvaluatorConfig,
        supernet: Supernet,
        data: ImageData,
        graph_of: Callable[[Architecture], Graph],
        *,
        seed: int,
        valid: Images | None = None,
    ):
        """valid: the validation split in content order, where it is known already."""
        self.config = config
        self.supernet = supernet
        self.data = data
        self.valid = data.valid.in_content_order() if valid is None else valid
        self.graph_of = graph_of
        self._seed = seed
        self._cache: dict[Architecture, tuple[float, int | None]] = {}  # accuracy, on how many images
        self._cache_version = -1
        self._batches: list[tuple[Tensor, Tensor]] = []

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Scores on this version's draw of validation images; of equal architectures one is computed."""
        if self._cache_version != self.supernet.version:
            self._cache, self._cache_version = {}, self.supernet.version
            self._batches = []
        if not self._batches:
            self._batches = self._split(self._draw())
        new = [architecture for architecture in dict.fromkeys(architectures) if architecture not in self._cache]
        computed = dict(zip(new, self._score(new, self._batches, self.config.racing), strict=True))
        self._cache.update({architecture: (one.accuracy, one.images) for architecture, one in computed.items()})
        scores = []
        for architecture in architectures:
            accuracy, images = self._cache[architecture]
            # the first of equal ones carries the cost
            scores.append(computed.pop(architecture, Score(accuracy, cached=True, images=images)))
        return scores

    def evaluate_fully(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Scores on the whole validation split, not remembered."""
        return self._score(architectures, self._split(self.valid))

    def evaluate_alone(
        self, architectures: Sequence[Architecture], epochs: float, *, from_shared: bool = True
    ) -> Iterator[Score | Diverged]:
        """For each its score on the whole validation split after `epochs` (> 0) of training alone, in order.

        from_shared: from the shared weights on, else from scratch. Diverged stands for a training that did.
        """
        for architecture in architectures:  # before any thread reads the shared weights
            self.supernet.weights.ensure(self.graph_of(architecture))

        def train(architecture: Architecture, stopped: Callable[[], bool]) -> Score | Diverged:
            start = time.perf_counter()
            graph = self.graph_of(architecture)
            try:
                alone = self.supernet.alone(
                    graph, self.data, epochs=epochs, seed=self._seed, from_shared=from_shared, stopped=stopped
                )
            except Diverged as error:
                return error
            evaluator = SharedWeightsEvaluator(
                self.config, alone, self.data, self.graph_of, seed=self._seed, valid=self.valid
            )
            score = evaluator.evaluate_fully([architecture])[0]
            return replace(score, seconds=time.perf_counter() - start)

        return side_by_side(train, architectures, self.supernet.execution.workers)

    def state(self) -> dict[str, Any]:
        """The scores that are remembered; the images follow from seed and version."""
        return {"version": self._cache_version, "cache": list(self._cache.items())}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._cache_version = state["version"]
        self._cache = {tuple(architecture): tuple(known) for architecture, known in state["cache"]}
        self._batches = []

    def _draw(self) -> Images:
        """This version's validation images; the draw depends on the seed and the version alone."""
        count = self.config.images
        if count == 0 or count >= len(self.valid):
            return self.valid
        stream = torch_stream(self._seed, f"evaluation/{self.supernet.version}")
        chosen = torch.randperm(len(self.valid), generator=stream)[:count]
        return self.valid.take(chosen.to(self.valid.labels.device))

    def _split(self, images: Images) -> list[tuple[Tensor, Tensor]]:
        """Normalised batches (b, c, h, w) of about equal size with labels (b,).

        Equal, because under the `batch` policy a small rest would be normalised by poor statistics.
        """
        parts = -(-len(images) // self.config.batch_size)
        return [
            (self.data.prepare(pixels, self.supernet.execution.channels_last), labels)
            for pixels, labels in zip(images.pixels.tensor_split(parts), images.labels.tensor_split(parts), strict=True)
        ]

    @torch.no_grad()
    def _score(
        self, architectures: Sequence[Architecture], batches: list[tuple[Tensor, Tensor]], error: float = 0.0
    ) -> list[Score]:
        """Scores of all in as few merged passes as memory allows; each is charged its share of its passes.

        error: 0 scores all on all batches; above it they race, batch by batch (rlnas.evaluators.racing).
        """
        graphs = [self.graph_of(architecture) for architecture in architectures]
        for graph in graphs:
            self.supernet.weights.ensure(graph)
        stages = [[batch] for batch in batches] if error else [batches]
        tests = max(1, len(graphs) * (len(graphs) - 1) * (len(stages) - 1))
        hits: list[list[NDArray[np.bool_]]] = [[] for _ in graphs]
        seconds = [0.0 for _ in graphs]
        racing = list(range(len(graphs)))
        for number, stage in enumerate(stages, 1):
            for members, right, share in self._passes([graphs[which] for which in racing], stage):
                for position, row in zip(members, right, strict=True):
                    hits[racing[position]].append(row)
                    seconds[racing[position]] += share
            if number < len(stages):
                stopped = set(hopeless([np.concatenate(hits[which]) for which in racing], error, tests))
                racing = [which for position, which in enumerate(racing) if position not in stopped]
        found = [np.concatenate(parts) for parts in hits]
        return [
            Score(int(right.sum()) / len(right), spent, images=len(right))
            for right, spent in zip(found, seconds, strict=True)
        ]

    def _passes(
        self, graphs: list[Graph], batches: list[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[list[int], NDArray[np.bool_], float]]:
        """For each merged pass: which graphs, whether each has each image right (graphs, images), seconds a graph."""
        weights, execution = self.supernet.weights, self.supernet.execution
        largest = max(len(labels) for _, labels in batches)
        if self.config.norm == "recalibrate":
            largest = max(largest, min(self.config.batch_size, len(self.data.train)))
        for members, merged in merge_within(graphs, execution.values_allowed // largest):
            start = time.perf_counter()
            parts = []
            with execution.scoring(), execution.autocast(), self._normalising(merged) as before:
                for images, labels in batches:
                    scores = run_merged(merged, weights, images, before=before)  # (b, k) each
                    parts.append(torch.stack([one.argmax(dim=1) == labels for one in scores]))  # (graphs, b)
            right = torch.cat(parts, dim=1).cpu().numpy()  # the one synchronisation of a pass
            yield members, right, (time.perf_counter() - start) / len(members)

    @contextmanager
    def _normalising(self, merged: Merged) -> Iterator[BeforeNode | None]:
        """The configured BN policy, in force for the nodes of `merged`."""
        weights = self.supernet.weights
        if self.config.norm == "recalibrate":
            with recalibrated(weights, merged, self._training_batches()) as before:
                yield before
            return
        policy = use_batch_statistics if self.config.norm == "batch" else use_running_statistics
        policy(weights, merged.graph)
        yield None

    def _training_batches(self) -> Iterator[Any]:
        """The same unaugmented training images for every child of a version."""
        stream = torch_stream(self._seed, f"recalibrate/{self.supernet.version}")
        count = min(self.config.batch_size * self.config.recalibrate_batches, len(self.data.train))
        chosen = torch.randperm(len(self.data.train), generator=stream)[:count]
        for part in chosen.split(self.config.batch_size):
            pixels = self.data.train.take(part.to(self.data.train.labels.device)).pixels
            yield self.data.prepare(pixels, self.supernet.execution.channels_last)
