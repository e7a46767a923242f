"""The loop of a search as a controller sees it, without the search."""

from collections.abc import Callable
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from rlnas.config.schema import ControllerConfig
from rlnas.controllers import Problem, make_controller
from rlnas.envs.scorer import Scorer
from rlnas.seeding import global_rng_state, set_global_rng_state


class Turns:
    """Ends when so many architectures were scored in all; calls `at_boundary(its number, from 0)` before each batch.

    already: how many of them were scored before the scorer was made, as when a search is resumed.
    """

    def __init__(
        self,
        scorer: Scorer,
        architectures: int,
        at_boundary: Callable[[int], Any] = lambda number: None,
        already: int = 0,
    ):
        self.evaluator: Any = scorer.evaluator
        self.architectures = architectures
        self.at_boundary = at_boundary
        self.already = already
        self.number = 0

    def boundary(self) -> bool:
        self.at_boundary(self.number)
        self.number += 1
        return self.already + len(self.evaluator.seen) < self.architectures

    def batches(self, size: int) -> int:
        return -(-self.architectures // size)


def controller_of(scorer: Scorer, seed: int = 0, **options: Any) -> Any:
    """A controller of these options on the scorer's space."""
    return make_controller(ControllerConfig(**options), Problem(scorer.space, scorer, seed))


def scorer_of(controller: Any) -> Scorer:
    """What the controller has its architectures scored by."""
    found = controller.problem.scorer if hasattr(controller, "problem") else controller.env.scorer
    assert isinstance(found, Scorer)
    return found


def run(
    controller: Any, architectures: int, at_boundary: Callable[[int], Any] = lambda number: None, already: int = 0
) -> list[Any]:
    """Search until so many architectures were scored in all; returns those that this scorer saw, in order."""
    scorer: Any = scorer_of(controller)
    controller.run(Turns(scorer, architectures, at_boundary, already))
    return list(scorer.evaluator.seen)


def goes_on_exactly(
    make: Callable[[], Any], through_disk: Callable[[Any], Any], boundaries: int, architectures: int
) -> tuple[Any, Any]:
    """Controllers of `make()`: one that searched without a stop, one resumed from its state after `boundaries`.

    AssertionError if they did not score the same architectures.
    """
    through, resumed = make(), make()
    states: list[dict[str, Any]] = []

    def capture(number: int) -> None:
        if number == boundaries:
            count = len(scorer_of(through).evaluator.seen)  # type: ignore[attr-defined]
            states.append(through_disk({"controller": through.state(), "rng": global_rng_state(), "already": count}))

    expected = run(through, architectures, capture)
    (state,) = states
    resumed.restore(state["controller"])
    set_global_rng_state(state["rng"])
    found = run(resumed, architectures, already=state["already"])
    assert 0 < len(found) < len(expected)
    assert found == expected[-len(found) :]
    return through, resumed


class Illegal(BaseCallback):
    """Collects how many choices of each architecture were illegal."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def _on_step(self) -> bool:
        self.counts += [info["illegal"] for info in self.locals["infos"] if "illegal" in info]
        return True
