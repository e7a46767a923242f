"""Children scored with the shared weights, all of an update on the same validation images."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from rlnas.child.network import run
from rlnas.child.norm import recalibrate, use_batch_statistics, use_running_statistics
from rlnas.child.supernet import Supernet
from rlnas.config import EvaluatorConfig
from rlnas.data import ImageData, Images
from rlnas.evaluators.score import Score
from rlnas.graph import Graph
from rlnas.seeding import torch_stream
from rlnas.spaces import Architecture


class SharedWeightsEvaluator:
    """Accuracy of children of a supernet on validation images.

    For each version of the weights, `images` of the validation split are drawn once; every child scored
    with that version sees the same ones. A different draw for each child would add about three points of
    noise at 128 images, more than children differ by. Scores are remembered by (architecture, version).
    """

    def __init__(
        self,
        config: EvaluatorConfig,
        supernet: Supernet,
        data: ImageData,
        graph_of: Callable[[Architecture], Graph],
        *,
        seed: int,
    ):
        self.config = config
        self.supernet = supernet
        self.data = data
        self.graph_of = graph_of
        self._seed = seed
        self._cache: dict[Architecture, float] = {}
        self._cache_version = -1
        self._batches: list[tuple[Tensor, Tensor]] = []

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Scores on this version's draw of validation images; of equal architectures one is computed."""
        if self._cache_version != self.supernet.version:
            self._cache, self._cache_version = {}, self.supernet.version
            self._batches = []
        if not self._batches:
            self._batches = self._split(self._draw())
        scores = []
        for architecture in architectures:
            cached = architecture in self._cache
            start = time.perf_counter()
            if not cached:
                self._cache[architecture] = self._accuracy(architecture, self._batches)
            seconds = time.perf_counter() - start
            scores.append(Score(self._cache[architecture], seconds, cached))
        return scores

    def evaluate_fully(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Scores on the whole validation split, not remembered."""
        batches = self._split(self.data.valid)
        scores = []
        for architecture in architectures:
            start = time.perf_counter()
            accuracy = self._accuracy(architecture, batches)
            scores.append(Score(accuracy, time.perf_counter() - start))
        return scores

    def evaluate_alone(self, architecture: Architecture, epochs: float) -> Score:
        """Score on the whole validation split with the weights trained on for `epochs` (> 0) for this one alone.

        Raises Diverged when that training does.
        """
        start = time.perf_counter()
        alone = self.supernet.alone(self.graph_of(architecture), self.data, epochs=epochs, seed=self._seed)
        score = SharedWeightsEvaluator(self.config, alone, self.data, self.graph_of, seed=self._seed).evaluate_fully(
            [architecture]
        )[0]
        return Score(score.accuracy, time.perf_counter() - start)

    def state(self) -> dict[str, Any]:
        """The scores that are remembered; the images follow from seed and version."""
        return {"version": self._cache_version, "cache": list(self._cache.items())}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._cache_version = state["version"]
        self._cache = {tuple(architecture): accuracy for architecture, accuracy in state["cache"]}
        self._batches = []

    def _draw(self) -> Images:
        """This version's validation images; the draw depends on the seed and the version alone."""
        count = self.config.images
        if count == 0 or count >= len(self.data.valid):
            return self.data.valid
        stream = torch_stream(self._seed, f"evaluation/{self.supernet.version}")
        chosen = torch.randperm(len(self.data.valid), generator=stream)[:count]
        return self.data.valid.take(chosen.to(self.data.valid.labels.device))

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
    def _accuracy(self, architecture: Architecture, batches: list[tuple[Tensor, Tensor]]) -> float:
        graph = self.graph_of(architecture)
        weights, execution = self.supernet.weights, self.supernet.execution
        weights.ensure(graph)
        if self.config.norm == "batch":
            use_batch_statistics(weights, graph)
        else:
            if self.config.norm == "recalibrate":
                with execution.autocast():
                    recalibrate(weights, graph, self._training_batches())
            use_running_statistics(weights, graph)
        correct = torch.zeros((), dtype=torch.int64, device=execution.device)
        for images, labels in batches:
            with execution.autocast():
                scores = run(graph, weights, images)  # (b, k)
            correct += (scores.argmax(dim=1) == labels).sum()
        return int(correct) / sum(len(labels) for _, labels in batches)

    def _training_batches(self) -> Iterator[Any]:
        """The same unaugmented training images for every child of a version."""
        stream = torch_stream(self._seed, f"recalibrate/{self.supernet.version}")
        count = min(self.config.batch_size * self.config.recalibrate_batches, len(self.data.train))
        chosen = torch.randperm(len(self.data.train), generator=stream)[:count]
        for part in chosen.split(self.config.batch_size):
            pixels = self.data.train.take(part.to(self.data.train.labels.device)).pixels
            yield self.data.prepare(pixels, self.supernet.execution.channels_last)
