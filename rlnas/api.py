"""The Python interface: a space, an environment, a result. Deliberately small."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlnas.config.build import build_space_config
from rlnas.config.presets import space_options
from rlnas.config.quoting import run_command
from rlnas.config.schema import ObjectiveConfig
from rlnas.envs import NASEnv
from rlnas.envs.episodes import StepUnit
from rlnas.envs.scorer import Scorer
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.files import expand
from rlnas.objective import Objective
from rlnas.spaces import Architecture, Space
from rlnas.spaces import make_space as _make_space


class FunctionEvaluator(Evaluator):
    """A plain function as an evaluator: architecture -> accuracy in 0..1, one at a time."""

    def __init__(self, function: Callable[[Architecture], float]):
        self.function = function

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """Return one score for each architecture, in order."""
        return [Score({"accuracy": float(self.function(architecture))}) for architecture in architectures]


def make_space(name: str, **options: Any) -> Space:
    """Make the space of `space=NAME` with changed options: `make_space("nasrl", layers=12, filters=36)`.

    name: of a file in conf/space, including presets such as nasrl_small.

    Raises RlnasError for an unknown name or option, or an invalid value.
    """
    preset = space_options(name)
    return _make_space(build_space_config({**preset, **options, "name": preset["name"]}))


def make_env(
    space: Space | str,
    evaluator: Evaluator | Callable[[Architecture], float],
    *,
    step_unit: StepUnit = "layer",
    objective: Mapping[str, Any] | None = None,
    scale: str = "none",
    render_mode: str | None = None,
) -> NASEnv:
    """Make the gymnasium environment in which one episode builds one architecture; see `rlnas.envs.NASEnv`.

    space: a space or its name. evaluator: an `Evaluator`, or a function from an architecture to its accuracy, 0..1.
    objective: terms as in the group `objective`, by default the accuracy. scale: as `reward.scale`.
    `gymnasium.make("rlnas/NAS-v0", ...)` takes the same arguments.
    """
    chosen = make_space(space) if isinstance(space, str) else space
    if not isinstance(evaluator, Evaluator) and not callable(evaluator):
        raise RlnasError(
            f"evaluator is {type(evaluator).__name__}, expected a subclass of rlnas.evaluators.Evaluator or a "
            "function from an architecture to its accuracy"
        )
    scored_by = evaluator if isinstance(evaluator, Evaluator) else FunctionEvaluator(evaluator)
    terms = {} if objective is None else {"terms": dict(objective)}
    scorer = Scorer(scored_by, Objective(ObjectiveConfig(**terms), chosen), scale)
    return NASEnv(chosen, scorer, step_unit, render_mode)


def load_result(run_folder: str | Path) -> dict[str, Any]:
    """Read result.json of a finished run. Raises RlnasError if there is none, or it is damaged."""
    path = expand(run_folder) / "result.json"
    if not path.exists():
        unfinished = f"the run is not finished; resume it by {run_command(resume=path.parent)}"
        state = unfinished if path.parent.is_dir() else f"no such folder: {run_folder}"
        raise RlnasError(f"{path} does not exist; {state}")
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RlnasError(f"{path} is damaged: {error}") from None
    return result
