"""Trains every child from scratch and scores it: slow; the reference for shared weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from rlnas.config.schema import RetrainConfig, StandaloneConfig
from rlnas.data import ImageData
from rlnas.errors import RlnasError
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

    Every child has the same seed, batches and validation images, so a score depends only on the architecture and the
    epochs, and is cached. `executor` trains the children of one call in parallel. A diverged training has the lowest
    values, with the reason.
    """

    value_names = (*BESIDE_ACCURACY, "epochs")
    rungs = True

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
        self._known: dict[tuple[Architecture, int], Score] = {}  # by architecture and epochs

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return the scores in order; equal architectures are trained once."""
        return self._trained(architectures, self.recipe.config.epochs)

    def evaluate_partly(self, architectures: Sequence[Architecture], share: float) -> list[Score]:
        """Return the scores after the nearest whole number of epochs, >= 1, each with a schedule of that length.

        A training does not go on from a shorter one, whose learning rate has ended at its lowest.
        """
        full = self.recipe.config.epochs
        epochs = round(share * full)
        if epochs < 1:
            raise RlnasError(
                f"evaluator.epochs is {full}, expected at least {math.ceil(1 / share)}: the controller scores after "
                f"1/{1 / share:g} of them first; raise it, or lower controller.params.rungs"
            )
        return self._trained(architectures, epochs)

    def _trained(self, architectures: Sequence[Architecture], epochs: int) -> list[Score]:
        new = [one for one in dict.fromkeys(architectures) if (one, epochs) not in self._known]
        recipe = replace(self.recipe, config=replace(self.recipe.config, epochs=epochs))
        items = [to_train(self.networks, architecture, recipe.config) for architecture in new]
        fresh = {
            new[index]: replace(score, values={**score.values, "epochs": float(epochs)})
            for index, score in self.executor.map(train_from_scratch, recipe, items)
        }
        known = {architecture: replace(score, seconds=0.0, cached=True) for architecture, score in fresh.items()}
        self._known |= {(architecture, epochs): score for architecture, score in known.items()}
        # only the first of equal architectures has the seconds
        return [fresh.pop(one, self._known[one, epochs]) for one in architectures]

    def conclude(self, found: Architecture, scored: Sequence[Architecture]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return `epochs_trained`, of all different trainings of these architectures together: the search's cost."""
        searched = set(scored)
        return {"epochs_trained": sum(epochs for one, epochs in self._known if one in searched)}, {}

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return parameters and FLOPs of the network."""
        return vars(self.networks.cost(architecture))

    def state(self) -> dict[str, Any]:
        """Return the cached scores."""
        text = self.networks.space.text
        return {
            "known": [
                (text(architecture), dict(score.values), score.images, score.failed)
                for (architecture, _), score in self._known.items()
            ]
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        parse = self.networks.space.parse
        self._known = {}
        for text, values, images, failed in state["known"]:
            epochs = int(values.get("epochs", self.recipe.config.epochs))  # absent of earlier versions
            known = {**restored(values), "epochs": float(epochs)}
            self._known[parse(text), epochs] = Score(known, cached=True, images=images, failed=failed)
