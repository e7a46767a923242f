"""The search loop: train the shared weights, score a batch of architectures, update the controller, record it.

A controller calls `boundary` before each batch. It closes a complete round (row, checkpoint) and opens the next
(trains the shared weights on architectures sampled from the controller, or on random ones).
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from rlnas.config.schema import BudgetConfig, SearchConfig
from rlnas.controllers import Controller, GradientController
from rlnas.errors import Diverged, RlnasError
from rlnas.evaluators import Evaluator, Training
from rlnas.evaluators.base import Draw
from rlnas.runs.clock import Clock
from rlnas.runs.progress import Progress
from rlnas.runs.tables import Table
from rlnas.search.budget import UNLIMITED, BudgetSpent
from rlnas.search.collapse import Collapse
from rlnas.search.recorder import Recorder
from rlnas.search.statistics import diversity, feature_mean, mean, operator_shares, standard_gap, unique_share
from rlnas.seeding import global_rng_state, numpy_stream, set_global_rng_state
from rlnas.spaces import Architecture, Space
from rlnas.spaces.fair import random_samples


class Rounds:
    """Rounds of a search, from the warm-up to the end of the budget.

    checkpoint: called with the search's state between two rounds, and between two warm-up epochs. weights: the table of
    the architecture parameters of a GradientController, None for other controllers.
    """

    def __init__(
        self,
        config: SearchConfig,
        budget: BudgetConfig,
        *,
        space: Space,
        recorder: Recorder,
        evaluator: Evaluator,
        controller: Controller,
        table: Table,
        clock: Clock,
        progress: Progress,
        seed: int,
        collapse: Collapse,
        checkpoint: Callable[[dict[str, Any]], None],
        weights: Table | None = None,
    ):
        self.config = config
        self.budget = budget
        self.space = space
        self.recorder = recorder
        self.evaluator = evaluator
        self.controller = controller
        self.table = table
        self.clock = clock
        self.progress = progress
        self.seed = seed
        self.collapse = collapse
        self.checkpoint = checkpoint
        self.weights = weights
        self.round = 0  # closed rounds
        self.warm_epochs = 0
        self.stopped_by = recorder.allowed_by
        self._open = False
        self._first_row = 0  # of the open round, in history
        self._sampled: list[Architecture] = []  # controller's samples that the open round's training used
        self._training: Training | None = None  # of the open round
        self._rng: dict[str, Any] | None = None  # to restore at the next boundary
        self._before: dict[str, float] = {}
        self._stage: str | None = None  # the last one that was reported
        self._saved_at = time.monotonic()

    # -- the loop ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Warm up the shared weights, then search until a budget is spent."""
        batch, size = self.controller.batch, self.config.architectures_per_round
        if batch > size:
            raise RlnasError(
                f"search.architectures_per_round is {size}, but the controller scores {batch} architectures at a time "
                "(controller.episodes); raise the first or lower the second"
            )
        if hasattr(self.controller, "train_weights") and not self.config.epochs_per_round:
            raise RlnasError(
                "search.epochs_per_round is 0, but this controller learns only while the shared weights are trained; "
                "set search=gradient"
            )
        self.warm_up()
        with self.clock.phase("controller"):
            try:
                self.controller.run(self)
            except BudgetSpent as spent:
                self.stopped_by = str(spent)
            except Diverged as error:
                raise Diverged(f"round {self.round + 1}: {error}") from error
        if self._open and len(self.recorder.history) > self._first_row:
            self._close_round()  # the budget ended within a round

    def warm_up(self) -> None:
        """Train the shared weights on random architectures before the controller starts (one-shot)."""
        while self.warm_epochs < self.config.warmup_epochs and not self._out_of_time():
            rng = numpy_stream(self.seed, f"warmup/{self.warm_epochs}")
            what = f"warm-up epoch {self.warm_epochs + 1}"

            def draw(count: int, rng: Any = rng, what: str = what) -> Iterable[Architecture]:
                drawn = random_samples(self.space, rng, count, self.config.warmup_sampling)
                return self.progress.track(drawn, count, what)

            with self.clock.phase("warmup"):
                training = self._train(draw, self.warm_epochs + 1, what)
            self.warm_epochs += 1
            if training is not None and training.loss is not None:
                self.progress.warmed_up(self.warm_epochs, self.config.warmup_epochs, training.loss)
            self.checkpoint(self.state())

    def boundary(self) -> bool:
        """Close a complete round and open the next; return False when the budget is spent."""
        if self._rng is not None:
            set_global_rng_state(self._rng)
            self._rng = None
        # A round ends at a multiple of its size, or with the batch that passes it, so that rounds do not drift.
        scored, size = len(self.recorder.history), self.config.architectures_per_round
        if scored >= (self.round + 2) * size:  # the shared weights would miss a round's training
            raise RlnasError(
                f"search.architectures_per_round is {size}, but an update of the controller takes "
                f"{scored - self._first_row} architectures; raise it, or lower controller.params.n_steps"
            )
        if self._open and scored >= (self.round + 1) * size:
            self._close_round()
            self._save()
        if self._out_of_time():
            self.stopped_by = "budget.minutes"
            return False
        if not self._open:
            if self.recorder.allowed and scored >= self.recorder.allowed:
                return False
            self._open_round()
        return True

    def batches(self, size: int) -> int:
        """Return the maximum number of batches of `size` architectures."""
        return -(-self.recorder.allowed // size) if self.recorder.allowed else UNLIMITED // size

    def stop(self, by: str, text: str) -> None:
        """End the search because of the controller's option `by`; the reason `text` goes to screen and result."""
        self.stopped_by = by
        text = f"round {self.round + 1}: {text}"
        self.collapse.warnings.append({"kind": "stopped", "round": self.round + 1, "text": text})
        self.progress.say(f"warning: {text}")

    def _train(self, draw: Draw, epoch: float, what: str) -> Training | None:
        try:
            return self.evaluator.train(draw, epoch)
        except Diverged as error:
            raise Diverged(f"{what}: {error}") from error

    def _train_by(self, controller: GradientController, epoch: float, what: str) -> Training:
        try:
            return controller.train_weights(epoch)
        except Diverged as error:
            raise Diverged(f"{what}: {error}") from error

    def _open_round(self) -> None:
        """Train the shared weights, by default on architectures sampled from the controller (ENAS, section 2.2)."""
        number = self.round + 1
        if self.space.stage != self._stage:
            self._stage = self.space.stage
            self.progress.say(f"round {number}: the space is at {self._stage}")
        self.recorder.round = number
        self._first_row = len(self.recorder.history)
        self._before = self.clock.read()
        self._open, self._sampled = True, []

        rng = numpy_stream(self.seed, f"training/{number}")

        def draw(count: int) -> Iterable[Architecture]:
            if self.config.sampling == "controller":
                with self.clock.phase("controller"):
                    drawn = self._sampled = self.controller.sample(count)
            else:
                drawn = random_samples(self.space, rng, count, self.config.sampling)
            return self.progress.track(drawn, count, f"round {number}")

        with self.clock.phase("child"):
            epoch = self.config.warmup_epochs + number * self.config.epochs_per_round
            if isinstance(self.controller, GradientController):
                self._training = self._train_by(self.controller, epoch, f"round {number}")
            else:
                self._training = self._train(draw, epoch, f"round {number}")

    def _close_round(self) -> None:
        """Write the round's row, with uniformly random architectures as the control."""
        self.round += 1
        self._open = False
        recorder, space = self.recorder, self.space
        rows, scored = recorder.history.rows[self._first_row :], recorder.scored[self._first_row :]
        rng = numpy_stream(self.seed, f"control/{self.round}")
        space.advance(self._first_row)  # the control is of the stage in which the round began
        control = [space.sample(rng) for _ in range(self.config.random_control)]
        space.advance(len(recorder.history))
        with self.clock.phase("evaluation"):
            scores = self.evaluator.evaluate(control)
        drawn = self._sampled or scored
        now = self.clock.read()
        spent = {name: seconds - self._before.get(name, 0.0) for name, seconds in now.items()}
        training = self._training
        penalties = [recorder.objective.penalty(architecture) for architecture in scored]
        rewards = [recorder.value(*pair) for pair in zip(control, scores, strict=True)]
        reward = mean([float(row["reward"]) for row in rows])
        pools, identities = operator_shares(space, drawn) or (None, None)
        row = {
            "round": self.round,
            "epoch": training.epoch if training else None,
            "child_loss": training.loss if training else None,
            "learning_rate": training.learning_rate if training else None,
            "architectures": len(recorder.history),
            "reward_mean": reward,
            "accuracy_mean": mean([float(row["accuracy"]) for row in rows]),
            "accuracy_best": recorder.best_accuracy,
            "random_accuracy_mean": mean([score.accuracy for score in scores]),
            "random_reward_mean": mean(rewards),
            "random_reward_gap": standard_gap(reward, rewards),
            "entropy": diversity(space, drawn),
            "skip_rate": feature_mean(space, drawn, "skip_rate"),
            "unique_share": unique_share(scored),
            "unique_share_total": unique_share(recorder.scored),
            "pool_share": pools,
            "identity_share": identities,
            "skip_penalty_mean": mean(penalties),
            "seconds_child": round(spent.get("child", 0.0), 4),
            "seconds_evaluation": round(spent.get("evaluation", 0.0), 4),
            "seconds_controller": round(spent.get("controller", 0.0), 4),
            "seconds_rest": round(spent.get("rest", 0.0), 4),
        }
        with self.clock.phase("rest"):
            self.table.append([row])
            if self.weights is not None and isinstance(self.controller, GradientController):
                self.weights.append([{"round": self.round, **one} for one in self.controller.architecture_weights()])
            done = self._done_share()
            self.progress.round_closed(row, len(rows), done, self.controller.logged())
            for text in self.collapse.notice(row, len(rows), done):
                self.progress.say(f"warning: {text}")

    # -- budgets -----------------------------------------------------------------------------------------

    def _out_of_time(self) -> bool:
        return bool(self.budget.minutes) and self.clock.total >= 60 * self.budget.minutes

    def _done_share(self) -> float:
        """Return the used share of the tightest budget, 0..1."""
        budget, recorder = self.budget, self.recorder
        shares = [
            len(recorder.history) / recorder.allowed if recorder.allowed else 0.0,
            self.clock.total / 60 / budget.minutes if budget.minutes else 0.0,
            recorder.seconds / budget.table_seconds if budget.table_seconds else 0.0,
        ]
        return min(max(shares), 1.0)

    # -- saving ------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Write a checkpoint unless the last one is newer than `checkpoint_seconds`: repeating that work is faster."""
        if time.monotonic() - self._saved_at >= self.evaluator.checkpoint_seconds:
            with self.clock.phase("rest"):
                self.checkpoint(self.state())
            self._saved_at = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Return all that the next round depends on; exact between two updates."""
        return {
            "round": self.round,
            "warm_epochs": self.warm_epochs,
            "evaluator": self.evaluator.state(),
            "controller": self.controller.state(),
            "rng": global_rng_state(),
            "history_rows": len(self.recorder.history),
            "rounds_rows": len(self.table),
            "warnings": list(self.collapse.warnings),
            **({} if self.weights is None else {"weights_rows": len(self.weights)}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; the tables were truncated to it when they were opened."""
        self.round, self.warm_epochs = state["round"], state["warm_epochs"]
        self.collapse.warnings = list(state.get("warnings", []))  # absent of earlier versions
        self.evaluator.restore(state["evaluator"])
        self.controller.restore(state["controller"])
        self._rng = state["rng"]
