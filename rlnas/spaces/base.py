"""What every space of independent decisions shares: counting, ranking, sampling, editing, stepping.

An architecture is a tuple of decisions, each an index below its number of choices. The number of
architectures is therefore the product of the choices, and the rank of an architecture is its value as a
mixed-radix number whose last decision varies fastest.

The decision process groups the decisions into steps. All steps have the same components (`nvec`), as a
MultiDiscrete action needs; a component that is no decision at some step (a skip from a layer that does not
exist yet) has one legal value there, 0, and one with fewer choices than `nvec` says has the lowest.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlnas.errors import RlnasError
from rlnas.networks.graph import Graph

Architecture = tuple[int, ...]
Prefix = Sequence[Sequence[int]]  # the actions taken so far, one row a step


class Space(ABC):
    """A finite space of architectures that are sequences of independent decisions.

    name: as in the config group `space`.
    choices: number of choices of each decision.
    steps: number of steps in which an architecture is built.
    nvec: number of choices of each component of a step.
    skip_bits: how many of the last components of a step are skip bits, one for each earlier layer.
    """

    name: str
    skip_bits: int = 0

    def __init__(self, choices: Sequence[int], nvec: Sequence[int], layout: Sequence[Sequence[int]]):
        """layout: for each step, the components that are decisions there, in decision order."""
        self.choices = tuple(choices)
        self.nvec = tuple(nvec)
        self.steps = len(layout)
        self.layout = tuple(tuple(components) for components in layout)
        counts = iter(self.choices)
        self._masks = tuple(self._mask({component: next(counts) for component in step}) for step in self.layout)

    def _mask(self, counts: dict[int, int]) -> NDArray[np.bool_]:
        """counts: choices of the components that are decisions; the others have one."""
        parts = [np.arange(width) < counts.get(component, 1) for component, width in enumerate(self.nvec)]
        mask = np.concatenate(parts)
        mask.setflags(write=False)
        return mask

    # -- counting ------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The exact number of architectures."""
        return math.prod(self.choices)

    def check(self, architecture: Sequence[int]) -> Architecture:
        """The architecture as a tuple of ints; RlnasError if it is not one of this space."""
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
        """The architecture's number in range(size)."""
        code = 0
        for value, count in zip(self.check(architecture), self.choices, strict=True):
            code = code * count + value
        return code

    def unrank(self, code: int) -> Architecture:
        """The architecture with this number; RlnasError outside range(size)."""
        if not 0 <= code < self.size:
            raise RlnasError(f"code {code} is outside space {self.name}: expected 0 to {self.size - 1}")
        values = []
        for count in reversed(self.choices):
            code, value = divmod(code, count)
            values.append(value)
        return tuple(reversed(values))

    # -- drawing and editing -------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return tuple(int(value) for value in rng.integers(0, self.choices))

    def neighbours(self, architecture: Sequence[int]) -> Iterator[Architecture]:
        """Every architecture that differs in exactly one decision, in decision order."""
        values = self.check(architecture)
        for position, count in enumerate(self.choices):
            for value in range(count):
                if value != values[position]:
                    yield (*values[:position], value, *values[position + 1 :])

    def mutate(self, architecture: Sequence[int], rng: np.random.Generator) -> Architecture:
        """A copy with one decision, drawn uniformly among those with a choice, set to another value."""
        values = list(self.check(architecture))
        open_positions = [position for position, count in enumerate(self.choices) if count > 1]
        if not open_positions:
            raise RlnasError(f"space {self.name} holds one architecture only: nothing can be mutated")
        position = open_positions[int(rng.integers(len(open_positions)))]
        shift = int(rng.integers(1, self.choices[position]))
        values[position] = (values[position] + shift) % self.choices[position]
        return tuple(values)

    def crossover(self, a: Sequence[int], b: Sequence[int], rng: np.random.Generator) -> Architecture:
        """A child that takes each decision from either parent with equal probability."""
        from_a = rng.random(len(self.choices)) < 0.5
        parents = zip(self.check(a), self.check(b), from_a, strict=True)
        return tuple(left if take else right for left, right, take in parents)

    # -- the decision process ------------------------------------------------------------------------

    def legal(self, prefix: Prefix) -> NDArray[np.bool_]:
        """Which choices are legal after the actions of `prefix`: (sum(nvec),) bool, True is legal.

        The mask is read-only. It depends on the number of steps taken alone in a space of independent
        decisions.
        """
        if len(prefix) >= self.steps:
            raise RlnasError(f"an architecture of {self.name} is complete after {self.steps} steps")
        return self._masks[len(prefix)]

    def actions(self, architecture: Sequence[int]) -> NDArray[np.int64]:
        """The architecture as actions: (steps, len(nvec)), 0 where a component is no decision."""
        values = iter(self.check(architecture))
        actions = np.zeros((self.steps, len(self.nvec)), dtype=np.int64)
        for step, components in enumerate(self.layout):
            for component in components:
                actions[step, component] = next(values)
        return actions

    def architecture(self, actions: Prefix | NDArray[np.int64]) -> Architecture:
        """The architecture that these (steps, len(nvec)) actions build; the inverse of `actions`."""
        return self.check(
            [int(actions[step][component]) for step, components in enumerate(self.layout) for component in components]
        )

    # -- forms ---------------------------------------------------------------------------------------

    @abstractmethod
    def text(self, architecture: Sequence[int]) -> str:
        """A form a person can read, that `parse` takes back."""

    @abstractmethod
    def parse(self, text: str) -> Architecture:
        """The architecture of a text form; RlnasError if it is none."""

    def to_json(self, architecture: Sequence[int]) -> str:
        """JSON with the space's name, the text, the rank (as a string: it may exceed 2^53) and decisions."""
        return json.dumps(self.describe(architecture), indent=2)

    def from_json(self, text: str) -> Architecture:
        """The architecture of a JSON form; RlnasError if it is none, or of another space."""
        try:
            record = json.loads(text)
            name, decisions = record["space"], [int(value) for value in record["decisions"]]
        except (ValueError, KeyError, TypeError) as error:
            raise RlnasError(
                f"this is no architecture in JSON ({error!r}); expected what a run writes to best/"
            ) from None
        if name != self.name:
            raise RlnasError(f"the architecture is of space {name}, the run's space is {self.name}")
        return self.check(decisions)

    def describe(self, architecture: Sequence[int]) -> dict[str, Any]:
        """What the JSON form holds."""
        values = self.check(architecture)
        return {
            "space": self.name,
            "architecture": self.text(values),
            "code": str(self.rank(values)),
            "decisions": list(values),
        }


class NetworkSpace(Space):
    """A space whose architectures are networks that can be built."""

    @abstractmethod
    def graph(self, architecture: Sequence[int], *, image_channels: int, image_size: int, classes: int) -> Graph:
        """The network: for images of `image_channels` and `image_size` x `image_size` pixels."""

    @abstractmethod
    def operator_labels(self, architecture: Sequence[int]) -> list[str]:
        """The operator of each layer, for figures and frequencies."""

    @abstractmethod
    def skips(self, architecture: Sequence[int]) -> list[tuple[int, int]]:
        """The skip connections as (from layer, to layer), layers numbered from 1; empty without any."""
