"""GDAS (Dong & Yang 2019): as DARTS, but a step runs one alternative of each choice, drawn by Gumbel-softmax.

A step costs about one architecture's time and memory. Deviations are in docs/controllers/gdas.md.
"""

from rlnas.children.mixing import GumbelSoftmax, Mixing
from rlnas.controllers.base import Problem
from rlnas.controllers.darts import Darts
from rlnas.errors import RlnasError
from rlnas.evaluators import Training
from rlnas.seeding import torch_stream


class Gdas(Darts):
    """A controller that trains the shared weights itself, one path a step.

    temperature, temperature_min: of the softmax, > 0; it falls from the first to the second linearly over the first
    `temperature_epochs` (> 0) epochs of the search (published code: 10 to 0.1 over all 250). The other options are
    those of Darts, of first order.
    """

    name = "gdas"

    def __init__(
        self,
        problem: Problem,
        batch: int,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        max_identities: int = 0,
        temperature: float = 10.0,
        temperature_min: float = 0.1,
        temperature_epochs: float = 20.0,
    ):
        if temperature_min > temperature:
            raise RlnasError(
                f"controller.params.temperature_min is {temperature_min}, expected at most the temperature, "
                f"{temperature}: it falls during the search"
            )
        self.temperatures = (temperature, temperature_min)
        self.temperature_epochs = temperature_epochs
        self.gumbel = GumbelSoftmax(torch_stream(problem.seed, "controller/gdas/gumbel"), temperature)
        super().__init__(
            problem,
            batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            max_identities=max_identities,
        )

    def _mixing(self) -> Mixing:
        return self.gumbel

    def train_weights(self, epoch: float) -> Training:
        """Set the temperature by the epochs so far, then train as Darts does."""
        high, low = self.temperatures
        done = min(self.steps / self.supernet.batches.per_epoch / self.temperature_epochs, 1.0)
        self.gumbel.temperature = high + (low - high) * done
        return super().train_weights(epoch)

    def logged(self) -> dict[str, float]:
        """Return the entropy and the temperature."""
        return {**super().logged(), "temperature": self.gumbel.temperature}
