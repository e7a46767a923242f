"""The search loop over an evaluator that computes its scores, so that a whole search takes a moment."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlnas.config.schema import BudgetConfig, Config, ControllerConfig, ObjectiveConfig, SearchConfig
from rlnas.controllers import Problem, make_controller
from rlnas.evaluators import Evaluator, Score, Training
from rlnas.objective import Objective
from rlnas.runs.clock import Clock
from rlnas.runs.progress import Progress
from rlnas.runs.tables import HISTORY, ROUNDS, Table
from rlnas.search.collapse import Collapse
from rlnas.search.recorder import Recorder
from rlnas.search.rounds import Rounds
from rlnas.spaces import Architecture, Space


class Computed(Evaluator):
    """The accuracy is `value(architecture)`; a training takes `steps` architectures and remembers them."""

    def __init__(self, value: Callable[[Architecture], float], steps: int = 12):
        self.value = value
        self.steps = steps
        self.trained: list[list[Architecture]] = []

    def train(self, draw: Any, epoch: float) -> Training:
        self.trained.append(list(draw(self.steps)))
        return Training(1.0, epoch, 0.1)

    def evaluate(self, architectures: Any) -> list[Score]:
        return [Score({"accuracy": self.value(architecture)}) for architecture in architectures]


class Lines(Progress):
    """Keeps what is printed."""

    def __init__(self) -> None:
        super().__init__("off")
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def search(
    folder: Path,
    space: Space,
    evaluator: Evaluator,
    *,
    options: dict[str, Any] | None = None,
    budget: dict[str, Any] | None = None,
    controller: ControllerConfig | None = None,
    seed: int = 0,
    saved: dict[str, Any] | None = None,
    policy: bool = False,
) -> Rounds:
    """Run a whole search, or from a state of `checkpoints`; its tables are closed then.

    options, budget: changes of SearchConfig (no warm-up, ten architectures a round) and BudgetConfig (two rounds).
    policy: of Collapse.
    """
    config = SearchConfig(**{"warmup_epochs": 0, "architectures_per_round": 10, **(options or {})})
    limits = BudgetConfig(**{"rounds": 2, **(budget or {})})
    clock, objective, rows = Clock(), Objective(ObjectiveConfig(), space), saved or {}
    history = Table(folder / "history.csv", HISTORY, keep=rows.get("history_rows", 0))
    table = Table(folder / "rounds.csv", ROUNDS, keep=rows.get("rounds_rows", 0))
    recorder = Recorder(evaluator, objective, "none", history, clock, config, limits)
    chosen = controller or ControllerConfig(algorithm="random")
    made = make_controller(chosen, Problem(space, recorder, seed))
    everything = Config(seed=seed, controller=chosen, search=config, budget=limits)
    checkpoints: list[dict[str, Any]] = []
    rounds = Rounds(
        config,
        limits,
        space=space,
        recorder=recorder,
        evaluator=evaluator,
        controller=made,
        table=table,
        clock=clock,
        progress=Lines(),
        seed=seed,
        collapse=Collapse(everything, space, policy=policy),
        checkpoint=lambda state: checkpoints.append(copy.deepcopy(state)),  # as a file would be
    )
    rounds.checkpoints = checkpoints  # type: ignore[attr-defined]
    if saved is not None:
        rounds.restore(saved)
    try:
        rounds.run()
    finally:
        history.close()
        table.close()
    return rounds
