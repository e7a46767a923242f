"""Scores children with the shared weights, all of an update on the same validation images."""

import time
from collections.abc import Iterator, Mapping, Sequence
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
from rlnas.config.schema import SharedWeightsConfig
from rlnas.data import ImageData, Images
from rlnas.evaluators.alone import Alone, ShortTraining, train_shortly
from rlnas.evaluators.base import Draw, Score, SelectingEvaluator, SharedWeights, Training
from rlnas.evaluators.measures import BESIDE_ACCURACY, answers, measured, restored, right
from rlnas.evaluators.racing import hopeless
from rlnas.executors import Executor, LocalExecutor
from rlnas.networks.graph import Graph
from rlnas.networks.merge import Merged, merge_within
from rlnas.seeding import torch_stream
from rlnas.spaces import Architecture
from rlnas.spaces.networks import Networks


class SharedWeightsEvaluator(SelectingEvaluator):
    """Accuracy, soft accuracy and log-likelihood of children of a supernet on validation images.

    For each version of the weights, `images` of the validation split are drawn once; every child of that version is
    scored on the same ones. A different draw for each child would add about three points of noise at 128 images, more
    than the differences between children. Scores are cached by (architecture, version).

    Children are scored with the averaged weights where `child.average_epochs` is set (`Supernet.scored`).

    The batch order depends only on the content of the images. Batch statistics and racing need batches that are
    samples of the split: in files sorted by class a batch holds only some of the classes.

    executor: trains finalists alone; default: LocalExecutor with the workers of `supernet.execution`.
    """

    value_names = BESIDE_ACCURACY

    def __init__(
        self,
        config: SharedWeightsConfig,
        supernet: Supernet,
        data: ImageData,
        networks: Networks,
        *,
        seed: int,
        executor: Executor | None = None,
    ):
        self.config = config
        self.supernet = supernet
        self.shared = SharedWeights(supernet, data, networks)
        self.data = data
        self.valid = data.valid.in_content_order()
        self.networks = networks
        self.executor = executor or LocalExecutor(supernet.execution.workers)
        self._seed = seed
        self._cache: dict[Architecture, Score] = {}
        self._cache_version = -1
        self._batches: list[tuple[Tensor, Tensor]] = []

    @property
    def version(self) -> int:  # type: ignore[override]
        """Version of the shared weights."""
        return self.supernet.version

    def train(self, draw: Draw, epoch: float) -> Training:
        """Train the shared weights until `epoch`; every step trains `architectures_per_step` drawn architectures."""
        net = self.supernet
        steps = net.steps_until(epoch)
        loss = None
        if steps:
            drawn = draw(steps * net.config.architectures_per_step)
            loss = net.train((self.networks.graph(architecture) for architecture in drawn), steps)
        return Training(loss, net.epoch, net.learning_rate(max(net.trainer.steps - 1, 0)))

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return scores on this version's validation images; equal architectures are computed once."""
        if self._cache_version != self.supernet.version:
            self._cache, self._cache_version = {}, self.supernet.version
            self._batches = []
        if not self._batches:
            self._batches = self._split(self._draw())
        new = [architecture for architecture in dict.fromkeys(architectures) if architecture not in self._cache]
        found = self._score(self.supernet, [self.networks.graph(one) for one in new], self._batches, self.config.racing)
        computed = dict(zip(new, found, strict=True))
        self._cache |= {one: replace(score, seconds=0.0, cached=True) for one, score in computed.items()}
        # only the first of equal architectures has the seconds
        return [computed.pop(architecture, self._cache[architecture]) for architecture in architectures]

    def evaluate_fully(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return scores on the whole validation split; they are not cached."""
        return self._score_fully(self.supernet, [self.networks.graph(architecture) for architecture in architectures])

    def evaluate_alone(
        self,
        architectures: Sequence[Architecture],
        epochs: float,
        *,
        from_shared: bool = True,
        repeats: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        """Yield in order each score on the whole validation split after `epochs` (> 0) of training alone.

        from_shared: start from a copy of the shared weights, else from scratch, as stand-alone networks. repeats: for
        each architecture the number of the random streams of its training. A diverged training has the lowest values,
        with the reason.
        """
        form = self.networks.graph if from_shared else self.networks.standalone
        graphs = [form(architecture) for architecture in architectures]
        weights = self.supernet.scored
        if from_shared:
            for graph in graphs:
                weights.ensure(graph)
        common = ShortTraining(
            self.supernet.config,
            self.data,
            weights.track_statistics,
            self.supernet.execution,
            self._seed,
            epochs,
            weights.state_dict() if from_shared else None,
            score=lambda alone, graph: self._score_fully(alone, [graph])[0],
        )
        items = [Alone(graph, repeat) for graph, repeat in zip(graphs, repeats or [0] * len(graphs), strict=True)]
        for _, score in self.executor.map(train_shortly, common, items):
            yield score

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return parameters and FLOPs of the network in the search."""
        return vars(self.networks.cost(architecture))

    def state(self) -> dict[str, Any]:
        """Return the shared weights and the cached scores; the images follow from seed and version."""
        text = self.networks.space.text
        cache = [(text(one), dict(score.values), score.images) for one, score in self._cache.items()]
        return {"supernet": self.supernet.state(), "version": self._cache_version, "cache": cache}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.supernet.restore(state["supernet"])
        parse = self.networks.space.parse
        self._cache_version = state["version"]
        self._cache = {
            parse(text): Score(restored(values), cached=True, images=images) for text, values, images in state["cache"]
        }
        self._batches = []

    def _draw(self) -> Images:
        """Draw this version's validation images, from the seed and the version only."""
        count = self.config.images
        if count == 0 or count >= len(self.valid):
            return self.valid
        stream = torch_stream(self._seed, f"evaluation/{self.supernet.version}")
        chosen = torch.randperm(len(self.valid), generator=stream)[:count]
        return self.valid.take(chosen.to(self.valid.labels.device))

    def _split(self, images: Images) -> list[tuple[Tensor, Tensor]]:
        """Return normalised batches (b, c, h, w) of about equal size with labels (b,).

        With the `batch` policy a small last batch would be normalised by poor statistics.
        """
        parts = -(-len(images) // self.config.batch_size)
        return [
            (self.data.prepare(pixels, self.supernet.execution.channels_last), labels)
            for pixels, labels in zip(images.pixels.tensor_split(parts), images.labels.tensor_split(parts), strict=True)
        ]

    def _score_fully(self, supernet: Supernet, graphs: list[Graph]) -> list[Score]:
        return self._score(supernet, graphs, self._split(self.valid))

    @torch.no_grad()
    def _score(
        self, supernet: Supernet, graphs: list[Graph], batches: list[tuple[Tensor, Tensor]], error: float = 0.0
    ) -> list[Score]:
        """Score all graphs in as few merged passes as memory allows; a pass's seconds are split among its graphs.

        supernet: the weights to score. error: 0 scores all on all batches; above 0 they race, batch by batch
        (rlnas.evaluators.racing).
        """
        for graph in graphs:
            supernet.scored.ensure(graph)
        stages = [[batch] for batch in batches] if error else [batches]
        tests = max(1, len(graphs) * (len(graphs) - 1) * (len(stages) - 1))
        parts: list[list[NDArray[np.float32]]] = [[] for _ in graphs]  # answers of each, (2, images of a stage)
        seconds = [0.0 for _ in graphs]
        racing = list(range(len(graphs)))
        for number, stage in enumerate(stages, 1):
            for members, found, share in self._passes(supernet, [graphs[which] for which in racing], stage):
                for position, one in zip(members, found, strict=True):
                    parts[racing[position]].append(one)
                    seconds[racing[position]] += share
            if number < len(stages):
                hits = [right(np.concatenate(parts[which], axis=1)) for which in racing]
                stopped = set(hopeless(hits, error, tests))
                racing = [which for position, which in enumerate(racing) if position not in stopped]
        whole = [np.concatenate(one, axis=1) for one in parts]
        return [
            Score(measured(found), spent, images=found.shape[1]) for found, spent in zip(whole, seconds, strict=True)
        ]

    def _passes(
        self, supernet: Supernet, graphs: list[Graph], batches: list[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[list[int], NDArray[np.float32], float]]:
        """Yield for each merged pass its graphs, their `answers` (graphs, 2, images), and seconds a graph."""
        weights, execution = supernet.scored, supernet.execution
        largest = max(len(labels) for _, labels in batches)
        if self.config.norm == "recalibrate":
            largest = max(largest, min(self.config.batch_size, len(self.data.train)))
        for members, merged in merge_within(graphs, execution.values_allowed // largest):
            start = time.perf_counter()
            parts = []
            with execution.scoring(), execution.autocast(), self._normalising(supernet, merged) as before:
                for images, labels in batches:
                    scores = run_merged(merged, weights, images, before=before)  # (b, k) each
                    # one graph at a time: a copy of the scores of all would exceed the memory that the merge allows
                    parts.append(torch.stack([answers(one, one.softmax(dim=1), labels) for one in scores]))
            found = torch.cat(parts, dim=2).cpu().numpy()  # the only synchronisation of a pass
            yield members, found, (time.perf_counter() - start) / len(members)

    @contextmanager
    def _normalising(self, supernet: Supernet, merged: Merged) -> Iterator[BeforeNode | None]:
        """Apply the configured BN policy to the nodes of `merged`."""
        weights = supernet.scored
        if self.config.norm == "recalibrate":
            with recalibrated(weights, merged, self._training_batches(supernet)) as before:
                yield before
            return
        policy = use_batch_statistics if self.config.norm == "batch" else use_running_statistics
        policy(weights, merged.graph)
        yield None

    def _training_batches(self, supernet: Supernet) -> Iterator[Any]:
        """Yield batches of unaugmented training images, the same for every child of a version."""
        stream = torch_stream(self._seed, f"recalibrate/{supernet.version}")
        count = min(self.config.batch_size * self.config.recalibrate_batches, len(self.data.train))
        chosen = torch.randperm(len(self.data.train), generator=stream)[:count]
        for part in chosen.split(self.config.batch_size):
            pixels = self.data.train.take(part.to(self.data.train.labels.device)).pixels
            yield self.data.prepare(pixels, self.supernet.execution.channels_last)
