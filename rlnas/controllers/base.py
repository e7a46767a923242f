"""Interfaces of controllers and strategies, and the problem they are given."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from rlnas.envs.scorer import Outcome, Scorer
from rlnas.evaluators import Training
from rlnas.spaces import Architecture, Space


class Problem(NamedTuple):
    """The space that is searched and the scorer of its architectures.

    scorer: holds the run's evaluator and objective; it stops the search when the budget is spent.
    """

    space: Space
    scorer: Scorer
    seed: int


class Rounds(Protocol):
    """The search loop, as a controller sees it."""

    def boundary(self) -> bool:
        """End a complete round and begin the next. Call it before each batch of architectures.

        Returns False when the budget is spent: the controller must stop.
        """
        ...

    def batches(self, size: int) -> int:
        """Return the maximum number of batches of `size` architectures."""
        ...

    def stop(self, by: str, text: str) -> None:
        """End the search because of the controller's option `by`, for the reason `text`. The controller must return."""
        ...


class Controller(Protocol):
    """Chooses architectures and learns from their rewards.

    batch: number of architectures scored together.
    """

    batch: int

    def run(self, rounds: Rounds) -> None:
        """Choose architectures, score them and learn, until `rounds.boundary()` is False.

        Raises Diverged when its parameters are no longer finite.
        """
        ...

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures without learning."""
        ...

    def logged(self) -> dict[str, float]:
        """Return the metrics of the last update, by name."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that the next batch depends on except the global random generators; exact at a boundary."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...


@runtime_checkable
class GradientController(Controller, Protocol):
    """A controller that trains the shared weights itself, together with its architecture parameters."""

    def train_weights(self, epoch: float) -> Training:
        """Train until the shared weights have `epoch` epochs in total, warm-up included.

        Raises Diverged when a loss or a parameter is not finite.
        """
        ...

    def architecture_weights(self) -> list[dict[str, Any]]:
        """Return rows of architecture_weights.csv without the round."""
        ...


class Strategy(Protocol):
    """A search that proposes architectures and receives their objectives, without an environment.

    Constructed as (space, rng, **controller.params). It draws from `rng` only, whose state is saved with its own.
    An attribute `share`, in (0, 1], is optional: the share of the evaluator's effort after which the last proposals are
    to be scored (`Evaluator.evaluate_partly`). So is `fits`: true for a strategy that calls linear algebra of numpy or
    scipy, which then has one thread, so that its proposals do not depend on the number of cores.
    """

    def ask(self, count: int) -> list[Architecture]:
        """Propose the next architectures to score, 1 to `count`."""
        ...

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Receive the outcomes of the last proposals, in any order; a higher `Outcome.objective` is better."""
        ...

    def sample(self, count: int) -> list[Architecture]:
        """Sample architectures the strategy currently favours. Changes no state except the generator's."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that the next proposal depends on except the generator, as plain data."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...
