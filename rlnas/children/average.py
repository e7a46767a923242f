"""Moving average of the shared weights over the optimizer steps, for scoring.

The score of a child depends on the step after which it is measured: the last mini-batches favour the architectures they
were drawn for. Averages of weights along a training rank and generalise better than its last weights (Polyak & Juditsky
1992; Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization").
"""

import math
from typing import Any

import torch
from torch import Tensor

from rlnas.children.weights import Weights, named_tensors, restore


class AverageWeights:
    """The mean of the weights after each step, the latest weighted most: after step t a value is

        average_t = sum over i = 1..t of d^(t-i) value_i / sum over i = 1..t of d^(t-i),  d = exp(-1 / memory)

    So initial values do not count, the first `memory` steps are averaged almost equally, and later about the last
    2 `memory` steps. A parameter that no architecture of a step uses counts with its unchanged value: all parameters
    are averaged over the same steps, so that `weights` is the average of whole snapshots. Running BN statistics are
    averaged like parameters; counters are copied. The averaged weights are never trained.

    weights: as `Weights` of a supernet. memory: optimizer steps, > 0.
    """

    def __init__(self, source: Weights, memory: float):
        self.source = source
        self.memory = memory
        self.weights = Weights(
            source.seed,
            track_statistics=source.track_statistics,
            device=source.device,
            channels_last=source.channels_last,
        )
        self.steps = 0
        self._known = 0  # weight keys of the source that are in the lists
        self._averages: list[Tensor] = []
        self._values: list[Tensor] = []
        self._counters: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def update(self) -> None:
        """Include the weights after another optimizer step."""
        if self._known < len(self.source.specs):
            self._add_new_keys()
        self.steps += 1
        share = math.expm1(-1 / self.memory) / math.expm1(-self.steps / self.memory)  # of the newest, (0, 1]
        torch._foreach_lerp_(self._averages, self._values, share)
        for average, value in self._counters:
            average.copy_(value)

    def _add_new_keys(self) -> None:
        """Add the parameters that were created since the last call; until now they had their initial values."""
        for key, spec in self.source.specs.items():
            if key not in self.weights.specs:
                self.weights.make(key, spec)  # the same initial values: they depend on seed and key only
        averages, values = self.weights.state_dict(), self.source.state_dict()
        pairs = [(averages[name], value) for name, value in values.items()]
        smooth = [pair for pair in pairs if pair[1].is_floating_point()]
        self._averages, self._values = [average for average, _ in smooth], [value for _, value in smooth]
        self._counters = [pair for pair in pairs if not pair[1].is_floating_point()]
        self._known = len(self.source.specs)

    def state(self) -> dict[str, Any]:
        """Return the averages and how many steps they include."""
        return {
            "specs": [(key, spec) for key, spec in self.weights.specs.items()],
            "weights": named_tensors(self.weights),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        restore(self.weights, state["specs"], state["weights"])
        self.steps = state["steps"]
        self._known = 0
