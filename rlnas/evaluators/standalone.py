"""Trains every child from scratch and scores it: slow; the reference for shared weights."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from rlnas.config.schema import RetrainConfig, StandaloneConfig
from rlnas.data import ImageData
from rlnas.evaluators.alone import Recipe, to_train, train_from_scratch
from rlnas.evaluators.base import Evaluator, Score
from rlnas.evaluators.measures import BESIDE_ACCURACY, restored
from rlnas.execution.settings import Execution
from rlnas.executors import Executor
from rlnas.seeding import torch_stream
from rlnas.spaces import Architecture
from rlnas.spaces.networks import Networks


class StandaloneEvaluator(Evaluator):
    """Accuracy, soft accuracy and log-likelihood on validation images after `epochs` of training with the settings of
    the group `retrain`.

    Every child has the same seed, batches and validation images, so a score depends only on the architecture and is
    cached. `executor` trains the children of one call in parallel. A diverged training has the lowest values, with
    the reason.
    """

    value_names = BESIDE_ACCURACY

    def __init__(
        self,
        config: StandaloneConfig,
        recipe: RetrainConfig,
        networks: Networks,
        data: ImageData,
        execution: Execution,
        executor: Executor,
        *,
        seed: int,
    ):
        self.networks = networks
        self.executor = executor
        images = data.valid.in_content_order()
        if 0 < config.images < len(images):
            chosen = torch.randperm(len(images), generator=torch_stream(seed, "evaluation/0"))[: config.images]
            images = images.take(chosen.to(images.labels.device))
        # one thread each: several may train at once, and results must not depend on how many
        alone = replace(execution, threads=1, scoring_threads=1)
        self.recipe = Recipe(replace(recipe, epochs=config.epochs), data, images, alone, seed, config.batch_size)
        self._known: dict[Architecture, Score] = {}

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return the scores in order; equal architectures are trained once."""
        new = [one for one in dict.fromkeys(architectures) if one not in self._known]
        items = [to_train(self.networks, architecture, self.recipe.config) for architecture in new]
        computed = dict(self.executor.map(train_from_scratch, self.recipe, items))
        fresh = {architecture: computed[index] for index, architecture in enumerate(new)}
        self._known |= {architecture: replace(score, seconds=0.0, cached=True) for architecture, score in fresh.items()}
        # only the first of equal architectures has the seconds
        return [fresh.pop(architecture, self._known[architecture]) for architecture in architectures]

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return parameters and FLOPs of the network."""
        return vars(self.networks.cost(architecture))

    def state(self) -> dict[str, Any]:
        """Return the cached scores."""
        text = self.networks.space.text
        known = [(text(one), dict(score.values), score.images, score.failed) for one, score in self._known.items()]
        return {"known": known}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        parse = self.networks.space.parse
        self._known = {
            parse(text): Score(restored(values), cached=True, images=images, failed=failed)
            for text, values, images, failed in state["known"]
        }
