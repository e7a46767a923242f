"""The Python interface: a space, an environment, a result. Small on purpose."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlnas.config.build import build_space_config
from rlnas.config.presets import space_options
from rlnas.config.quoting import run_command
from rlnas.config.schema import RewardConfig
from rlnas.envs import NASEnv
from rlnas.envs.episodes import StepUnit
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, Score
from rlnas.files import expand
from rlnas.objective import Scorer, Shaping
from rlnas.spaces import Architecture, Space
from rlnas.spaces import make_space as _make_space


class FunctionEvaluator:
    """A plain function as an evaluator: architecture -> accuracy in 0..1, one at a time."""

    def __init__(self, function: Callable[[Architecture], float]):
        self.function = function

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Score]:
        """One score for each architecture, in order."""
        return [Score(float(self.function(architecture))) for architecture in architectures]


def make_space(name: str, **options: Any) -> Space:
    """The space that `space=NAME` gives, with other options: `make_space("nasrl", layers=12, filters=36)`.

    name: of a file in conf/space, also of a sized one such as nasrl_small.

    Raises RlnasError for an unknown name, option or value.
    """
    preset = space_options(name)
    return _make_space(build_space_config({**preset, **options, "name": preset["name"]}))


def make_env(
    space: Space | str,
    evaluator: Evaluator | Callable[[Architecture], float],
    *,
    step_unit: StepUnit = "layer",
    reward: RewardConfig | None = None,
    render_mode: str | None = None,
) -> NASEnv:
    """The gymnasium environment in which one episode builds one architecture; see `rlnas.envs.NASEnv`.

    space: a space or its name. evaluator: anything with `evaluate(architectures) -> scores`, or a function
    from an architecture to its accuracy. `gymnasium.make("rlnas/NAS-v0", ...)` takes the same arguments.
    """
    chosen = make_space(space) if isinstance(space, str) else space
    judge = evaluator if hasattr(evaluator, "evaluate") else FunctionEvaluator(evaluator)
    shaping = Shaping(reward or RewardConfig(), chosen)
    return NASEnv(chosen, Scorer(judge, shaping), step_unit, render_mode)


def load_result(run_folder: str | Path) -> dict[str, Any]:
    """What a finished run wrote to result.json. Raises RlnasError if there is none, or it is damaged."""
    path = expand(run_folder) / "result.json"
    if not path.exists():
        unfinished = f"the run is not finished; go on with it by {run_command(resume=path.parent)}"
        state = unfinished if path.parent.is_dir() else f"no such folder: {run_folder}"
        raise RlnasError(f"{path} does not exist; {state}")
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RlnasError(f"{path} is damaged: {error}") from None
    return result
