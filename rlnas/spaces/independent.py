"""Spaces that are a product of independent decisions: countable, numbered, and edited directly.

An architecture is a tuple of decisions, each an index below its number of choices. So the number of architectures is
the product of the choices, and the rank of an architecture is its value as a mixed-radix number whose last
decision varies fastest.

The decision process groups the decisions into steps. All steps have the same components (`nvec`), as a
MultiDiscrete action requires; a component that is no decision at some step (a skip from a layer that does not
exist yet) has the one legal value 0; one with fewer choices than `nvec` has the lowest ones.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.spaces.base import Prefix, Space

Decisions = tuple[int, ...]


class IndependentSpace(Space):
    """A finite space whose architectures are sequences of independent decisions.

    choices: number of choices of each decision. layout: for each step, the components that are decisions, in order.
    """

    size: int

    def __init__(self, choices: Sequence[int], nvec: Sequence[int], layout: Sequence[Sequence[int]]):
        self.choices = tuple(choices)
        self.nvec = tuple(nvec)
        self.steps = len(layout)
        self.size = math.prod(self.choices)
        self.layout = tuple(tuple(components) for components in layout)
        counts = iter(self.choices)
        self._masks = tuple(self._mask({component: next(counts) for component in step}) for step in self.layout)

    def _mask(self, counts: dict[int, int]) -> NDArray[np.bool_]:
        """Return a step's mask. counts: choices of the components that are decisions; the others have one."""
        parts = [np.arange(width) < counts.get(component, 1) for component, width in enumerate(self.nvec)]
        mask = np.concatenate(parts)
        mask.setflags(write=False)
        return mask

    # -- counting ------------------------------------------------------------------------------------

    def check(self, architecture: Sequence[int]) -> Decisions:
        """Return the architecture as a tuple of ints; raise RlnasError if it is not in this space."""
        values = tuple(int(value) for value in architecture)
        if len(values) != len(self.choices):
            raise RlnasError(
                f"an architecture of space {self.name} has {len(self.choices)} decisions, got {len(values)}; "
                "was it found in a space of other settings?"
            )
        for position, (value, count) in enumerate(zip(values, self.choices, strict=True)):
            if not 0 <= value < count:
                raise RlnasError(f"decision {position} is {value}, expected 0 to {count - 1}")
        return values

    def rank(self, architecture: Sequence[int]) -> int:
        """Return the architecture's number in range(size)."""
        code = 0
        for value, count in zip(self.check(architecture), self.choices, strict=True):
            code = code * count + value
        return code

    def unrank(self, code: int) -> Decisions:
        """Return the architecture with this number; raise RlnasError outside range(size)."""
        if not 0 <= code < self.size:
            raise RlnasError(f"code {code} is outside space {self.name}: expected 0 to {self.size - 1}")
        values = []
        for count in reversed(self.choices):
            code, value = divmod(code, count)
            values.append(value)
        return tuple(reversed(values))

    def code(self, architecture: Sequence[int]) -> int:
        """Return the rank."""
        return self.rank(architecture)

    # -- sampling and editing ------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Decisions:
        """Sample an architecture uniformly."""
        return tuple(int(value) for value in rng.integers(0, self.choices))

    def neighbours(self, architecture: Sequence[int]) -> Iterator[Decisions]:
        """Yield every architecture that differs in exactly one decision, in decision order."""
        values = self.check(architecture)
        for position, count in enumerate(self.choices):
            for value in range(count):
                if value != values[position]:
                    yield (*values[:position], value, *values[position + 1 :])

    def mutate(self, architecture: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Return a copy with one decision, drawn uniformly among those with a choice, set to another value."""
        values = list(self.check(architecture))
        open_positions = [position for position, count in enumerate(self.choices) if count > 1]
        if not open_positions:
            raise RlnasError(f"space {self.name} holds one architecture only: nothing can be mutated")
        position = open_positions[int(rng.integers(len(open_positions)))]
        shift = int(rng.integers(1, self.choices[position]))
        values[position] = (values[position] + shift) % self.choices[position]
        return tuple(values)

    def crossover(self, a: Sequence[int], b: Sequence[int], rng: np.random.Generator) -> Decisions:
        """Return a child that takes each decision from either parent with equal probability."""
        from_a = rng.random(len(self.choices)) < 0.5
        parents = zip(self.check(a), self.check(b), from_a, strict=True)
        return tuple(left if take else right for left, right, take in parents)

    # -- the decision process ------------------------------------------------------------------------

    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Return which choices are legal: (sum(nvec),) bool, read-only; depends only on the number of steps."""
        if len(prefix) >= self.steps:
            raise RlnasError(f"an architecture of {self.name} is complete after {self.steps} steps")
        return self._masks[len(prefix)]

    @cached_property
    def decisions(self) -> tuple[tuple[int, int], ...]:
        """(step, component) of every decision with a choice."""
        places = [(step, component) for step, components in enumerate(self.layout) for component in components]
        return tuple(place for place, count in zip(places, self.choices, strict=True) if count > 1)

    def actions(self, architecture: Sequence[int]) -> NDArray[np.int64]:
        """Return the architecture as actions: (steps, len(nvec)), 0 where a component is no decision."""
        values = iter(self.check(architecture))
        actions = np.zeros((self.steps, len(self.nvec)), dtype=np.int64)
        for step, components in enumerate(self.layout):
            for component in components:
                actions[step, component] = next(values)
        return actions

    def architecture(self, actions: Prefix) -> Decisions:
        """Return the architecture that these (steps, len(nvec)) actions build; the inverse of `actions`."""
        return self.check(
            [int(actions[step][component]) for step, components in enumerate(self.layout) for component in components]
        )

    # -- forms ---------------------------------------------------------------------------------------

    def describe(self, architecture: Sequence[int]) -> dict[str, Any]:
        """Return the form of `Space.describe` with the decisions."""
        return {**super().describe(architecture), "decisions": list(self.check(architecture))}
