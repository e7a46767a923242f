"""Spaces whose depth is an option, so that a search may lead from shallow to deep ones; see rlnas.spaces.growing."""

from abc import abstractmethod

from rlnas.spaces.independent import IndependentSpace


class GrowableSpace(IndependentSpace):
    """A space of architectures of `depth` units, each built by the same number of steps.

    unit: what it has `depth` of, in the plural: `layers`, `hidden nodes`. option: the option `space.OPTION` that sets
    it. The steps of the first units, their masks and their decisions are those of the space of a smaller depth, and
    the values of a decision mean the same; later steps come after them, or after those of the same cell.
    """

    unit: str
    option: str

    @property
    @abstractmethod
    def depth(self) -> int:
        """The number of units."""

    @property
    @abstractmethod
    def step_units(self) -> tuple[int, ...]:
        """The unit, from 0, of each step."""

    @abstractmethod
    def depth_of(self, text: str) -> int:
        """Return how many units a text has, whether or not it is valid."""
