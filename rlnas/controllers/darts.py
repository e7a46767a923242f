"""DARTS (Liu et al. 2019): gradient descent on a relaxation, with the shared weights of the search.

In each round the weights and the architecture parameters are trained in turn for `search.epochs_per_round` epochs; then
the discretised architecture, and samples around it, are scored with the shared weights, like the architectures of any
other controller. Deviations are in docs/controllers/darts.md.
"""

from typing import Any

import numpy as np
import torch

from rlnas.children.bilevel import Bilevel
from rlnas.children.mixing import Mixing, Softmax
from rlnas.controllers.base import Problem, Rounds
from rlnas.errors import RlnasError
from rlnas.evaluators import Training
from rlnas.seeding import numpy_stream
from rlnas.spaces import Architecture

STOPPED = "controller.params.max_identities"


class Darts:
    """A controller that trains the shared weights itself.

    batch: architectures scored together; the first is the discretised one.

    order: 1 or 2, see rlnas.children.bilevel. learning_rate, weight_decay: of Adam on the architecture parameters, > 0
    and >= 0. max_identities: end the search at the first round whose discretised architecture has at least so many
    identities (`Space.identities`) after one that had fewer, and keep that of the round before (after Liang et al.
    2019, DARTS+: two in the normal cell); 0 = off.

    Raises RlnasError for a space without a relaxation and an evaluator without shared weights.
    """

    name = "darts"

    def __init__(
        self,
        problem: Problem,
        batch: int,
        order: int = 1,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        max_identities: int = 0,
    ):
        shared = problem.scorer.evaluator.shared
        if shared is None:
            raise RlnasError(
                f"controller {self.name} trains shared weights by gradients, and this evaluator has none; set "
                "evaluator=shared_weights"
            )
        self.problem = problem
        self.batch = batch
        self.max_identities = max_identities
        self.supernet = shared.supernet
        self.bilevel = Bilevel(
            shared.supernet,
            shared.data,
            shared.networks.relaxation(),
            self._mixing(),
            order=order,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            seed=problem.seed,
            purpose=f"controller/{self.name}",
        )
        self.rng = numpy_stream(problem.seed, f"controller/{self.name}")
        self.steps = 0  # pairs of steps so far
        self.below = False  # whether a round was below max_identities
        self.collapsed: str | None = None  # why the search ends

    def _mixing(self) -> Mixing:
        return Softmax()

    # -- the loop ------------------------------------------------------------------------------------

    def run(self, rounds: Rounds) -> None:
        """Score the discretised architecture of each round, and samples, until the budget is spent or it collapses."""
        while rounds.boundary():
            if self.collapsed:
                rounds.stop(STOPPED, self.collapsed)
                return
            self.problem.scorer.score(self.sample(self.batch))

    def train_weights(self, epoch: float) -> Training:
        """Train weights and architecture parameters in turn until the weights have `epoch` epochs in total."""
        net, steps = self.supernet, self.supernet.steps_until(epoch)
        loss = None
        if steps:
            before = self.bilevel.parameters.detach().clone()
            loss = self.bilevel.train(steps)
            self.steps += steps
            self._look_for_collapse(before)
        return Training(loss, net.epoch, net.learning_rate(max(net.trainer.steps - 1, 0)))

    def _look_for_collapse(self, before: torch.Tensor) -> None:
        """Note a collapse and return to the parameters before it."""
        space, found = self.problem.space, self.discretised()
        count = space.identities(found)
        if not self.max_identities or count < self.max_identities:
            self.below = True
        elif self.below:
            self.collapsed = (
                f"the discretised architecture has {count} identities, {STOPPED} is {self.max_identities}: the search "
                f"ends with that of the round before. It would have been '{space.text(found)}'"
            )
            with torch.no_grad():
                self.bilevel.parameters.copy_(before)

    # -- architectures -------------------------------------------------------------------------------

    def discretised(self) -> Architecture:
        """Return the architecture of the strongest alternatives (DARTS, section 2.4)."""
        return self.problem.space.discretised(self.bilevel.probabilities())

    def sample(self, count: int) -> list[Architecture]:
        """Return the discretised architecture, then samples.

        A sample discretises log-probabilities with independent Gumbel noise. So each alternative is drawn by its
        probability, and of a node's edges the two with the highest noisy strength.
        """
        found = [self.discretised()][:count]
        tiny = np.finfo(float).tiny
        for _ in range(count - 1):
            rows = [np.log(np.maximum(row, tiny)) for row in self.bilevel.probabilities()]
            noisy = [(row + self.rng.gumbel(size=row.shape)).tolist() for row in rows]
            found.append(self.problem.space.discretised(noisy))
        return found

    def architecture_weights(self) -> list[dict[str, Any]]:
        """Return the weight of each alternative of each choice: `choice`, `alternative`, `weight` in 0..1."""
        choices = self.bilevel.relaxation.choices
        return [
            {"choice": choice.name, "alternative": value, "weight": round(weight, 6)}
            for choice, row in zip(choices, self.bilevel.probabilities(), strict=True)
            for value, weight in zip(choice.values, row, strict=True)
        ]

    def logged(self) -> dict[str, float]:
        """Return the mean entropy of the choices, 1 if every alternative is equally likely."""
        rows = [np.array(row) for row in self.bilevel.probabilities() if len(row) > 1]
        shares = [float(-(row * np.log(np.maximum(row, 1e-30))).sum() / np.log(len(row))) for row in rows]
        return {"architecture_entropy": float(np.mean(shares)) if shares else 0.0}

    # -- saving --------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return architecture parameters, Adam's state, the position in the validation split, generator, counters."""
        return {
            "bilevel": self.bilevel.state(),
            "rng": self.rng.bit_generator.state,
            "steps": self.steps,
            "below": self.below,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.bilevel.restore(state["bilevel"])
        self.rng.bit_generator.state = state["rng"]
        self.steps, self.below = state["steps"], state["below"]
