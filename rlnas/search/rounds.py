"""THE loop: train the shared weights, score a batch of architectures, update the controller, write it down.

stable-baselines3 wants `learn` called once, so the loop hangs on the moment between two updates: the start
of a rollout. There a round is closed (row, checkpoint) and the next one opened (shared weights trained on
what the controller samples now).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from rlnas.children.supernet import Supernet
from rlnas.config.schema import BudgetConfig, SearchConfig
from rlnas.controllers import Controller
from rlnas.errors import RlnasError
from rlnas.evaluators import Evaluator, ResumableEvaluator
from rlnas.networks.graph import Graph
from rlnas.objective import Outcome, Scorer, Shaping
from rlnas.runs.clock import Clock
from rlnas.runs.progress import Progress
from rlnas.runs.tables import Table
from rlnas.seeding import global_rng_state, numpy_stream, set_global_rng_state
from rlnas.spaces import Architecture, ChainSpace, Space

UNLIMITED = 10**12  # environment steps, where only the clock ends a search


class BudgetSpent(Exception):
    """Raised inside `learn` to leave it; the argument names the budget."""


def architectures_allowed(config: SearchConfig, budget: BudgetConfig) -> tuple[int, str]:
    """How many architectures may be scored, and which budget says so; 0 if only a clock ends the search.

    A round is a number of architectures, so that equal rounds are equal budgets for every controller.
    """
    limits = [(budget.architectures, "budget.architectures")] if budget.architectures else []
    if budget.rounds:
        limits.append((budget.rounds * config.architectures_per_round, "budget.rounds"))
    return min(limits, default=(0, ""))


class RecordingScorer(Scorer):
    """The environment's scorer: writes a row for each architecture and stops exactly at the budget.

    An architecture that exceeds `architectures_allowed`, or whose evaluation by a table would end after
    `budget.table_seconds`, is not written and not learned from.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        shaping: Shaping,
        history: Table,
        clock: Clock,
        config: SearchConfig,
        budget: BudgetConfig,
        costs_of: Callable[[Architecture], Mapping[str, int | None]],
    ):
        unrank = shaping.space.unrank
        super().__init__(
            evaluator, shaping, seen=[(unrank(int(row["code"])), float(row["reward"])) for row in history.rows]
        )
        self.history = history
        self.clock = clock
        self.budget = budget
        self.allowed, self.allowed_by = architectures_allowed(config, budget)
        self.costs_of = costs_of
        self.round = 0
        self.best_accuracy = max((float(row["accuracy"]) for row in history.rows), default=-math.inf)
        self.seconds = sum(float(row["seconds"]) for row in history.rows)

    def score(self, architectures: Sequence[Architecture]) -> list[Outcome]:
        """The outcome of each architecture; raises BudgetSpent when not all could be scored."""
        room = self.allowed - len(self.history) if self.allowed else len(architectures)
        with self.clock.phase("evaluation"):
            outcomes = super().score(architectures[:room])
        rows: list[dict[str, Any]] = []
        spent = self.allowed_by if room < len(architectures) else None
        for architecture, outcome in zip(architectures, outcomes, strict=False):
            if self.budget.table_seconds and self.seconds + outcome.score.seconds > self.budget.table_seconds:
                spent = "budget.table_seconds"
                break
            self.seconds += outcome.score.seconds
            rows.append(
                {
                    "index": len(self.history) + len(rows),
                    "round": self.round,
                    "architecture": self.shaping.space.text(architecture),
                    "code": self.shaping.space.rank(architecture),
                    "reward": outcome.reward,
                    "accuracy": outcome.score.accuracy,
                    **self.costs_of(architecture),
                    "seconds": round(outcome.score.seconds, 6),
                    "cached": int(outcome.score.cached),
                    "score": outcome.score.true,
                    "images": outcome.score.images,
                }
            )
            self.best_accuracy = max(self.best_accuracy, outcome.score.accuracy)
        self.history.append(rows)
        if spent:
            raise BudgetSpent(spent)
        return outcomes


class Search(BaseCallback):
    """Rounds of a search; the callback of the controller's `learn`.

    supernet: None where there is nothing to train: architectures are looked up.
    checkpoint: called with the search's state between two rounds, and between two warm-up epochs.
    """

    def __init__(
        self,
        config: SearchConfig,
        budget: BudgetConfig,
        *,
        space: Space,
        supernet: Supernet | None,
        scorer: RecordingScorer,
        evaluator: ResumableEvaluator,
        controller: Controller,
        graph_of: Callable[[Architecture], Graph] | None,
        rounds: Table,
        clock: Clock,
        progress: Progress,
        seed: int,
        checkpoint: Callable[[dict[str, Any]], None],
    ):
        super().__init__()
        self.config = config
        self.budget = budget
        self.space = space
        self.supernet = supernet
        self.scorer = scorer
        self.evaluator = evaluator
        self.controller = controller
        self.graph_of = graph_of
        self.rounds = rounds
        self.clock = clock
        self.progress = progress
        self.seed = seed
        self.checkpoint = checkpoint
        self.round = 0  # closed rounds
        self.warm_epochs = 0
        self.stopped_by = scorer.allowed_by
        self._open = False
        self._first_row = 0  # of the open round, in history
        self._sampled: list[Architecture] = []  # what the shared weights of the open round were trained on
        self._child_loss: float | None = None
        self._rng: dict[str, Any] | None = None  # to be restored at the next boundary
        self._before: dict[str, float] = {}

    # -- the method --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Warm the shared weights up, then search until a budget is spent."""
        batch = self.controller.env.num_envs
        if batch > self.config.architectures_per_round:
            raise RlnasError(
                f"search.architectures_per_round is {self.config.architectures_per_round}, but the controller scores "
                f"{batch} architectures at a time (controller.episodes); raise the first or lower the second"
            )
        self.warm_up()
        batches = -(-self.scorer.allowed // batch) if self.scorer.allowed else UNLIMITED
        with self.clock.phase("controller"):
            try:
                self.controller.learn(batches * batch * self.controller.env.episodes.length, self)
            except BudgetSpent as spent:
                self.stopped_by = str(spent)
            except (ValueError, RuntimeError) as error:  # of a distribution, or of drawing from it
                if self.controller.sound():
                    raise
                raise RlnasError(
                    f"round {self.round + 1}: the controller's policy is nan or infinite; lower "
                    "controller.params.learning_rate"
                ) from error
        if self._open and len(self.scorer.history) > self._first_row:
            self._close_round()  # the budget ended in the middle of one

    def warm_up(self) -> None:
        """One-shot: train the shared weights on uniformly random architectures before the controller acts."""
        while self.supernet and self.warm_epochs < self.config.warmup_epochs and not self._out_of_time():
            steps = self.supernet.steps_until(self.warm_epochs + 1)
            rng = numpy_stream(self.seed, f"warmup/{self.warm_epochs}")
            self.warm_epochs += 1
            what = f"warm-up epoch {self.warm_epochs}"
            with self.clock.phase("warmup"):
                assert self.graph_of is not None
                count = steps * self.supernet.config.architectures_per_step
                graphs = map(self.graph_of, [self.space.sample(rng) for _ in range(count)])
                loss = self.supernet.train(self.progress.track(graphs, count, what), steps, what=what)
            self.progress.warmed_up(self.warm_epochs, self.config.warmup_epochs, loss)
            self.checkpoint(self.state())

    def between_updates(self) -> None:
        """Close the round that is complete, open the next; BudgetSpent when there must be none."""
        if self._rng is not None:
            set_global_rng_state(self._rng)
            self._rng = None
        # Rounds end at multiples of their size, or with the batch that passes one, so that they do not drift.
        scored, size = len(self.scorer.history), self.config.architectures_per_round
        if scored >= (self.round + 2) * size:  # then shared weights would miss a round's training
            raise RlnasError(
                f"search.architectures_per_round is {size}, but an update of the controller takes "
                f"{scored - self._first_row} architectures; raise it, or lower controller.params.n_steps"
            )
        if self._open and scored >= (self.round + 1) * size:
            self._close_round()
            self.checkpoint(self.state())
        if self._out_of_time():
            raise BudgetSpent("budget.minutes")
        if not self._open:
            self._check_budget()
            self._open_round()

    def _open_round(self) -> None:
        """Train the shared weights on architectures that the controller draws now (ENAS, section 2.2)."""
        self.scorer.round = self.round + 1
        self._first_row = len(self.scorer.history)
        self._before = self.clock.read()
        self._open, self._sampled, self._child_loss = True, [], None
        if self.supernet is None:
            return
        number = self.round + 1
        steps = self.supernet.steps_until(self.config.warmup_epochs + number * self.config.epochs_per_round)
        if steps:
            what = f"round {number}"
            self._sampled = self.controller.sample(steps * self.supernet.config.architectures_per_step)
            assert self.graph_of is not None
            with self.clock.phase("child"):
                graphs: Iterator[Graph] = map(self.graph_of, self._sampled)
                self._child_loss = self.supernet.train(
                    self.progress.track(graphs, len(self._sampled), what), steps, what=what
                )

    def _close_round(self) -> None:
        """Write the round's row, with uniformly random architectures as its control."""
        self.round += 1
        self._open = False
        rows = self.scorer.history.rows[self._first_row :]
        scored = [self.space.unrank(int(row["code"])) for row in rows]
        rng = numpy_stream(self.seed, f"control/{self.round}")
        control = [self.space.sample(rng) for _ in range(self.config.random_control)]
        with self.clock.phase("evaluation"):
            scores = self.evaluator.evaluate(control)
        drawn = self._sampled or scored
        now = self.clock.read()
        net = self.supernet
        spent = {name: seconds - self._before.get(name, 0.0) for name, seconds in now.items()}
        row = {
            "round": self.round,
            "epoch": net.epoch if net else None,
            "child_loss": self._child_loss,
            "learning_rate": net.learning_rate(max(net.trainer.steps - 1, 0)) if net else None,
            "architectures": len(self.scorer.history),
            "reward_mean": _mean([float(row["reward"]) for row in rows]),
            "accuracy_mean": _mean([float(row["accuracy"]) for row in rows]),
            "accuracy_best": self.scorer.best_accuracy,
            "random_accuracy_mean": _mean([score.accuracy for score in scores]),
            "random_reward_mean": _mean(
                [
                    self.scorer.shaping.reward(architecture, score.accuracy)
                    for architecture, score in zip(control, scores, strict=True)
                ]
            ),
            "entropy": diversity(self.space, drawn),
            "skip_rate": skip_rate(self.space, drawn),
            "skip_penalty_mean": _mean([self.scorer.shaping.skip_penalty(architecture) for architecture in scored]),
            "seconds_child": round(spent.get("child", 0.0), 4),
            "seconds_evaluation": round(spent.get("evaluation", 0.0), 4),
            "seconds_controller": round(spent.get("controller", 0.0), 4),
            "seconds_rest": round(spent.get("rest", 0.0), 4),
        }
        with self.clock.phase("rest"):
            self.rounds.append([row])
            self.progress.round_closed(row, len(rows), self._done_share(), self.controller.logged())

    # -- budgets -----------------------------------------------------------------------------------------

    def _check_budget(self) -> None:
        if self.scorer.allowed and len(self.scorer.history) >= self.scorer.allowed:
            raise BudgetSpent(self.scorer.allowed_by)

    def _out_of_time(self) -> bool:
        return bool(self.budget.minutes) and self.clock.total >= 60 * self.budget.minutes

    def _done_share(self) -> float:
        """How much of the tightest budget is used, 0..1."""
        budget = self.budget
        shares = [
            len(self.scorer.history) / self.scorer.allowed if self.scorer.allowed else 0.0,
            self.clock.total / 60 / budget.minutes if budget.minutes else 0.0,
            self.scorer.seconds / budget.table_seconds if budget.table_seconds else 0.0,
        ]
        return min(max(shares), 1.0)

    # -- stable-baselines3's callback --------------------------------------------------------------------

    def _on_rollout_start(self) -> None:
        self.between_updates()

    def _on_training_end(self) -> None:
        self.between_updates()

    def _on_step(self) -> bool:
        return True

    # -- saving ------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything the next round depends on; exact between two updates."""
        return {
            "round": self.round,
            "warm_epochs": self.warm_epochs,
            "supernet": self.supernet.state() if self.supernet else None,
            "evaluator": self.evaluator.state(),
            "controller": self.controller.state(),
            "rng": global_rng_state(),
            "history_rows": len(self.scorer.history),
            "rounds_rows": len(self.rounds),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; the tables were cut back to it when they were opened."""
        self.round, self.warm_epochs = state["round"], state["warm_epochs"]
        if self.supernet:
            self.supernet.restore(state["supernet"])
        self.evaluator.restore(state["evaluator"])
        self.controller.restore(state["controller"])
        self._rng = state["rng"]


def diversity(space: Space, architectures: Sequence[Architecture]) -> float:
    """Mean entropy of the decisions over these architectures: 1 if all choices are used equally often, 0 if
    all architectures are equal. Each decision's entropy is divided by that of a uniform choice.
    """
    values = np.array(architectures)  # (architectures, decisions)
    shares = []
    for column, choices in zip(values.T, space.choices, strict=True):
        if choices > 1:
            p = np.bincount(column, minlength=choices) / len(column)
            shares.append(float(-(p[p > 0] * np.log(p[p > 0])).sum()) / math.log(choices))
    return _mean(shares) or 0.0


def skip_rate(space: Space, architectures: Sequence[Architecture]) -> float | None:
    """Share of the possible skips that these architectures have; None in a space without skips."""
    if not isinstance(space, ChainSpace) or space.layers < 3:
        return None
    possible = (space.layers - 1) * (space.layers - 2) // 2
    return _mean([len(space.skips(architecture)) / possible for architecture in architectures])


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
