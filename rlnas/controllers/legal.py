"""Which controller searches which space: found by building the one for the other, so that a new one joins by itself."""

from collections.abc import Sequence

from rlnas.config.build import UNGROWING
from rlnas.config.schema import ControllerConfig, ObjectiveConfig
from rlnas.controllers.base import Problem
from rlnas.controllers.make import load_algorithm, make_controller
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.objective import Objective
from rlnas.spaces import Architecture, Space

IMAGES = {"image_channels": 3, "image_size": 32, "classes": 10}


class _Nothing(Evaluator):
    """Scores nothing, and has every kind of score that a controller may ask for."""

    rungs = True

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        raise NotImplementedError("it is only asked what it has")


def refusal(config: ControllerConfig, space: Space) -> str | None:
    """Return why this controller does not search this space, whatever the evaluator; None if it does."""
    try:
        algorithm = load_algorithm(config.algorithm)
        if hasattr(algorithm, "train_weights"):
            space.relaxation(**IMAGES)
            return None
        if hasattr(algorithm, "share") and not space.builds_networks:
            raise RlnasError(
                f"controller {config.algorithm} needs evaluator=standalone, but space={space.name} has no networks "
                "to train"
            )
        if space.stage is not None and config.algorithm in UNGROWING:
            raise RlnasError(f"controller {config.algorithm} goes on with architectures of earlier stages of the space")
        make_controller(config, Problem(space, Scorer(_Nothing(), Objective(ObjectiveConfig(), space)), 0))
    except RlnasError as error:
        return str(error)
    return None
