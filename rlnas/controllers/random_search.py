"""Random search: the control every other controller is held against."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlnas.spaces import Architecture, Space


class RandomSearch:
    """Uniformly random architectures."""

    def __init__(self, space: Space, rng: np.random.Generator):
        self.space = space
        self.rng = rng

    def propose(self, count: int) -> list[Architecture]:
        """Random ones."""
        return self.sample(count)

    def observe(self, architectures: Sequence[Architecture], values: Sequence[float]) -> None:
        """Nothing is learned."""

    def sample(self, count: int) -> list[Architecture]:
        """Random ones."""
        return [self.space.sample(self.rng) for _ in range(count)]

    def state(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing is remembered."""
