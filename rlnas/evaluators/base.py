"""Interface of evaluators: train, score architectures, save and restore."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rlnas.children.supernet import Supernet
from rlnas.data import ImageData
from rlnas.errors import RlnasError
from rlnas.spaces import Architecture
from rlnas.spaces.networks import Networks

Draw = Callable[[int], Iterable[Architecture]]  # draw(n) samples n architectures to train on


@dataclass(frozen=True)
class Score:
    """The result of evaluating an architecture.

    values: by name; `accuracy` is always present: the share in 0..1 of the evaluation images, or what a table or a
    user's evaluator measures, in its unit, higher is better; evaluators of images add those of
    rlnas.evaluators.measures. seconds: duration of the evaluation, for a table the recorded one. cached: whether the
    score was computed before. true: the true score of a table, which no controller receives. images: number of images
    the values were measured on; with racing it may differ between children; None without images. failed: why there is
    no real score (a diverged training), otherwise None.
    """

    values: Mapping[str, float]
    seconds: float = 0.0
    cached: bool = False
    true: float | None = None
    images: int | None = None
    failed: str | None = None

    @property
    def accuracy(self) -> float:
        """values["accuracy"]."""
        return self.values["accuracy"]


class Training(NamedTuple):
    """Summary of a training of the shared weights.

    loss: mean cross-entropy in nats, None if no step was due. epoch: total epochs trained. learning_rate: of the
    last step.
    """

    loss: float | None
    epoch: float
    learning_rate: float


class SharedWeights(NamedTuple):
    """What a gradient controller needs: the supernet, its images, and the networks of the space."""

    supernet: Supernet
    data: ImageData
    networks: Networks


class Evaluator(ABC):
    """Scores architectures, many in one call and all on the same images.

    A user's class inherits from it and implements `evaluate`; by default the other methods do nothing.

    version: changes whenever an architecture may get a different score than before. default_scale: value of
    reward.scale=auto. value_names: names of a score's values other than the accuracy. checkpoint_seconds: minimum
    time between two checkpoints, for evaluators whose rounds take less time than writing a checkpoint. rungs:
    whether `evaluate_partly` scores after less effort, as the value `epochs` says: the best of a run is one of the
    longest trained. shared: the shared weights that a gradient controller
    trains, None without any. say: prints one line of progress; a run sets it.
    """

    version: int = 0
    default_scale: str = "none"
    value_names: tuple[str, ...] = ()
    checkpoint_seconds: float = 0.0
    rungs: bool = False
    shared: "SharedWeights | None" = None
    say: Callable[[str], None] = staticmethod(lambda line: None)

    @abstractmethod
    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return one score for each architecture, in order."""

    def evaluate_partly(self, architectures: Sequence[Architecture], share: float) -> list[Score]:
        """Return one score for each architecture, in order, after a share in (0, 1] of the effort of `evaluate`.

        Raises RlnasError if the evaluator has no smaller effort, or none so small.
        """
        raise RlnasError(
            "this controller scores architectures after short trainings first, but the evaluator has scores of one "
            "kind only; set evaluator=standalone search=untrained"
        )

    def train(self, draw: Draw, epoch: float) -> Training | None:
        """Train until `epoch` epochs are done in total, on as many architectures from `draw` as needed.

        Returns None if there is nothing to train. Raises Diverged when the loss is not finite.
        """
        return None

    def costs(self, architecture: Architecture) -> Mapping[str, float | None]:
        """Return `params`, `flops` and other costs of the architecture as scored, by name; None if not known."""
        return {}

    def fitted_to(self) -> frozenset[Architecture]:
        """Return the architectures whose own training the scores rest on: no fair test of how well scores rank."""
        return frozenset()

    def conclude(self, found: Architecture, scored: Sequence[Architecture]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return entries of result.json and of its `best`. scored: all architectures of the search, in order."""
        return {}, {}

    def state(self) -> dict[str, Any]:
        """Return all that the next scores depend on, as tensors and plain data."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        return


class SelectingEvaluator(Evaluator):
    """An evaluator whose scores in the search are estimates and that can score a few architectures better."""

    @abstractmethod
    def evaluate_fully(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return scores on the whole validation split; they are not cached."""

    @abstractmethod
    def evaluate_alone(
        self,
        architectures: Sequence[Architecture],
        epochs: float,
        *,
        from_shared: bool = True,
        repeats: Sequence[int] | None = None,
    ) -> Iterable[Score]:
        """Return in order each score on the whole validation split after `epochs` (> 0) of training alone.

        repeats: for each architecture the number, from 0, of the random streams of its training: initial weights,
        order of the images, augmentation, dropout. Equal architectures with equal numbers have equal scores. None: 0
        for all.
        """


class HeldOutEvaluator(Evaluator):
    """An evaluator that can score architectures on data which its scores in the search never saw.

    The best architectures of the search are scored so, and the best of these is the found one.
    """

    @abstractmethod
    def evaluate_held_out(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return in order each score on the held-out data; they are not cached."""
