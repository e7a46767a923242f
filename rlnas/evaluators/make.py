"""Builds an evaluator from the config group `evaluator`."""

from collections.abc import Callable
from typing import NamedTuple

from rlnas.children.supernet import Supernet
from rlnas.config.own import make_own
from rlnas.config.schema import Config
from rlnas.data import ImageData
from rlnas.errors import RlnasError
from rlnas.evaluators.base import Evaluator
from rlnas.evaluators.program import ProgramEvaluator
from rlnas.evaluators.shared_weights import SharedWeightsEvaluator
from rlnas.evaluators.standalone import StandaloneEvaluator
from rlnas.evaluators.surrogate import SurrogateEvaluator
from rlnas.evaluators.tabular import TabularEvaluator
from rlnas.execution.settings import Execution
from rlnas.executors import LocalExecutor
from rlnas.spaces import IndependentSpace, ProgramSpace, Space
from rlnas.spaces.networks import Networks


class Trainable(NamedTuple):
    """Data, networks and execution settings of an evaluator of networks."""

    data: ImageData
    networks: Networks
    execution: Execution


def make_evaluator(config: Config, space: Space, images: Trainable | None, data: ImageData | None = None) -> Evaluator:
    """Build the evaluator of `config.evaluator`. images: None if the space builds no networks. data: of the run.

    A user's class gets evaluator.options and those of `space`, `seed`, `data`, `networks` and `execution` that its
    constructor takes. Raises RlnasError for an evaluator that does not fit the space.
    """
    name = config.evaluator.name
    if name == "program":
        return _program(config, space, data)
    if name in EVALUATORS:
        return EVALUATORS[name](config, space, images)
    parts = {} if images is None else images._asdict()
    own = make_own(name, "evaluator.name", config.evaluator.options, space=space, seed=config.seed, **parts)
    if not isinstance(own, Evaluator):
        raise RlnasError(f"evaluator.name={name}: expected a subclass of rlnas.evaluators.Evaluator")
    return own


def _images(space: Space, images: Trainable | None, name: str) -> Trainable:
    if images is None:
        raise RlnasError(
            f"evaluator={name} trains networks, but space={space.name} builds none; set an evaluator that looks its "
            "architectures up or computes their value, such as evaluator=tabular"
        )
    return images


def _shared_weights(config: Config, space: Space, images: Trainable | None) -> Evaluator:
    return _of_a_supernet(config, *_images(space, images, "shared_weights"))


def _of_a_supernet(config: Config, data: ImageData, networks: Networks, execution: Execution) -> SharedWeightsEvaluator:
    supernet = Supernet(
        config.child,
        data,
        track_statistics=config.evaluator.norm != "batch",
        execution=execution,
        seed=config.seed,
    )
    return SharedWeightsEvaluator(config.evaluator, supernet, data, networks, seed=config.seed)


def _surrogate(config: Config, space: Space, images: Trainable | None) -> Evaluator:
    data, networks, execution = _images(space, images, "surrogate")
    inner = _of_a_supernet(config, data, networks, execution)
    return SurrogateEvaluator(config.evaluator, inner, networks, seed=config.seed)


def _standalone(config: Config, space: Space, images: Trainable | None) -> Evaluator:
    data, networks, execution = _images(space, images, "standalone")
    executor = LocalExecutor(execution.workers)
    return StandaloneEvaluator(config.evaluator, config.retrain, networks, data, execution, executor, seed=config.seed)


def _tabular(config: Config, space: Space, images: Trainable | None) -> Evaluator:
    if not isinstance(space, IndependentSpace) or space.benchmark is None:
        raise RlnasError(
            f"evaluator=tabular looks architectures up, but space={space.name} has no table; set space=table or "
            "space=nasrl_bench, or evaluator=shared_weights"
        )
    return TabularEvaluator(space, seed=config.seed)


def _program(config: Config, space: Space, data: ImageData | None) -> Evaluator:
    if not isinstance(space, ProgramSpace):
        raise RlnasError(f"evaluator=program runs programs, but space={space.name} has none; set space=program")
    assert data is not None
    return ProgramEvaluator(config.evaluator, space.memory, data, seed=config.seed)


EVALUATORS: dict[str, Callable[[Config, Space, Trainable | None], Evaluator]] = {
    "shared_weights": _shared_weights,
    "standalone": _standalone,
    "surrogate": _surrogate,
    "tabular": _tabular,
}
