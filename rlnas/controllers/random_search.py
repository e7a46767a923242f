"""Random search: the baseline for every other controller."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.envs.scorer import Outcome
from rlnas.spaces import Architecture, Space


class RandomSearch:
    """Proposes random architectures (`Space.sample`)."""

    def __init__(self, space: Space, rng: np.random.Generator):
        self.space = space
        self.rng = rng

    def ask(self, count: int) -> list[Architecture]:
        """Propose random architectures."""
        return self.sample(count)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Ignore the outcomes."""

    def sample(self, count: int) -> list[Architecture]:
        """Sample random architectures."""
        return [self.space.sample(self.rng) for _ in range(count)]

    def state(self) -> dict[str, Any]:
        """Return an empty state."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""
